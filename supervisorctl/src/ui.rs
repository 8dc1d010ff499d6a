//! Everything that reaches the terminal goes through here.

pub(crate) mod progress;
pub(crate) mod table;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use clap::error::ErrorKind;
use serde::Serialize;

use crate::args::{Color, Format, Globals};
use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;

/// Standard output and error, and whether a person looks at them.
pub(crate) struct Terminal {
    pub(crate) out: Box<dyn Write>,
    pub(crate) err: Box<dyn Write>,
    pub(crate) out_is_terminal: bool,
    pub(crate) err_is_terminal: bool,
}

impl Terminal {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            // One write for a whole answer instead of one per line.
            out: Box::new(BufWriter::with_capacity(16 << 10, io::stdout().lock())),
            err: Box::new(io::stderr().lock()),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
        }
    }
}

/// What is emphasised, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// Up.
    Good,
    /// Neither up nor down.
    Busy,
    /// Failed.
    Bad,
    /// Of less weight.
    Faint,
}

impl Style {
    /// `text` in this style, as ANSI terminals show it.
    fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.into(),
            Self::Good => 32,
            Self::Busy => 33,
            Self::Bad => 31,
            Self::Faint => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The terminal as this command line wants it used.
pub(crate) struct Ui {
    terminal: Terminal,
    format: Format,
    quiet: bool,
    verbose: bool,
    colored_out: bool,
    colored_err: bool,
    /// Lines of the live block that are on the screen.
    live_lines: usize,
}

impl Ui {
    /// As the options say.
    pub(crate) fn new(terminal: Terminal, environment: &Environment, globals: &Globals) -> Self {
        let colored = |is_terminal| match globals.color {
            Color::Auto => is_terminal && !environment.no_color,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            format: globals.output,
            quiet: globals.quiet,
            verbose: globals.verbose,
            colored_out: colored(terminal.out_is_terminal),
            colored_err: colored(terminal.err_is_terminal),
            live_lines: 0,
            terminal,
        }
    }

    /// For when the options are not known.
    pub(crate) fn plain(terminal: Terminal, environment: &Environment) -> Self {
        Self {
            format: Format::Text,
            quiet: false,
            verbose: false,
            colored_out: terminal.out_is_terminal && !environment.no_color,
            colored_err: terminal.err_is_terminal && !environment.no_color,
            live_lines: 0,
            terminal,
        }
    }

    /// How to print.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether only errors are printed.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether to say more than the answer: asked for, or somebody looks at it.
    pub(crate) const fn is_talkative(&self) -> bool {
        !self.quiet && (self.verbose || self.terminal.out_is_terminal)
    }

    /// Whether to show progress on stderr while waiting.
    pub(crate) fn is_live(&self) -> bool {
        let for_people = self.format == Format::Text || self.format == Format::Wide;
        self.terminal.err_is_terminal && for_people && !self.quiet
    }

    /// `text` as stdout shows it in `style`.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        if self.colored_out { style.paint(text) } else { text.into() }
    }

    /// A line on stdout.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), CtlError> {
        if !self.quiet {
            self.terminal.out.write_all(line.as_bytes())?;
            self.terminal.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// A document on stdout: indented for `-o json`, else on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CtlError> {
        let text = if self.format == Format::Json {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(&text.map_err(io::Error::from)?)
    }

    /// Hands on what is buffered, for output that comes bit by bit.
    pub(crate) fn flush(&mut self) -> Result<(), CtlError> {
        Ok(self.terminal.out.flush()?)
    }

    /// A line on stderr, for people.
    pub(crate) fn note(&mut self, line: &str) {
        if !self.quiet {
            self.say(line);
        }
    }

    /// An error on stderr: the sentence, what may have been meant, what to do.
    pub(crate) fn error(&mut self, error: &CtlError) {
        if error.exit == Exit::BrokenPipe {
            return;
        }
        let head = if self.colored_err { Style::Bad.paint("error:") } else { "error:".into() };
        self.say(&format!("{head} {}", one_line(&error.message)));
        self.advice(error);
    }

    /// An error of a classic verb: on stdout, as Supervisor does.
    pub(crate) fn classic_error(&mut self, error: &CtlError) -> Result<(), CtlError> {
        if error.is_about_connection() || error.exit == Exit::Denied {
            return self.line(&one_line(&error.message));
        }
        self.line(&format!("ERROR: {}", one_line(&error.message)))?;
        if self.is_live() {
            self.advice(error);
        }
        Ok(())
    }

    fn advice(&mut self, error: &CtlError) {
        if let Some(best) = error.suggestions.first() {
            self.say(&format!("  did you mean \"{best}\"?"));
        }
        if let Some(hint) = &error.hint {
            self.say(&format!("  hint: {}", one_line(hint)));
        }
    }

    /// What clap has to say: help and the version on stdout, errors on stderr.
    pub(crate) fn usage(&mut self, error: &clap::Error) -> Exit {
        let text = error.render();
        let (wanted, colored) = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (true, self.colored_out),
            _ => (false, self.colored_err),
        };
        let text = if colored { text.ansi().to_string() } else { text.to_string() };
        if !wanted {
            self.say(text.trim_end());
            return Exit::Usage;
        }
        self.line(text.trim_end()).map_or_else(|error| error.exit, |()| Exit::Ok)
    }

    /// Shows `lines` as the live block on stderr, in the place of the block before.
    pub(crate) fn redraw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.live_lines > 0 {
            text = format!("\x1b[{}A\r\x1b[J", self.live_lines);
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.live_lines = lines.len();
        // There is nowhere to report that stderr is closed.
        drop(self.terminal.err.write_all(text.as_bytes()));
        drop(self.terminal.err.flush());
    }

    /// Columns and rows that the live block may use.
    pub(crate) fn live_size(&self) -> (usize, usize) {
        let size = terminal_size::terminal_size_of(io::stderr());
        let (width, height) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
        (usize::from(width.max(20)), usize::from(height.max(4)) - 2)
    }

    /// Flushes and answers the exit status; output that cannot be written is a failure.
    pub(crate) fn end(mut self, exit: Exit) -> u8 {
        match self.flush() {
            Ok(()) => exit.code(),
            Err(error) => {
                self.error(&error);
                error.exit.code()
            }
        }
    }

    fn say(&mut self, line: &str) {
        // There is nowhere to report that stderr is closed.
        drop(writeln!(self.terminal.err, "{line}"));
        drop(self.terminal.err.flush());
    }
}

/// Text from elsewhere as one line that moves no cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
