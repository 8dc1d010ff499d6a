//! Everything that reaches the terminal goes through here.

pub(crate) mod progress;
pub(crate) mod table;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use serde::Serialize;

use crate::args::{Color, Format, Globals};
use crate::environment::Environment;
use crate::error::CtlError;
use crate::exit::Exit;
use progress::Progress;

/// Where text goes.
pub(crate) struct Channel {
    writer: Box<dyn Write>,
    is_terminal: bool,
}

impl Channel {
    pub(crate) fn new(writer: impl Write + 'static, is_terminal: bool) -> Self {
        Self { writer: Box::new(writer), is_terminal }
    }
}

/// Standard output and error.
pub(crate) struct Terminal {
    pub(crate) out: Channel,
    pub(crate) err: Channel,
}

impl Terminal {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_is_terminal, err_is_terminal) = (out.is_terminal(), err.is_terminal());
        // One write for a whole answer instead of one per line.
        let out = BufWriter::with_capacity(16 << 10, out.lock());
        Self {
            out: Channel::new(out, out_is_terminal),
            err: Channel::new(err.lock(), err_is_terminal),
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

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

/// The terminal as this command line wants it used.
pub(crate) struct Ui {
    terminal: Terminal,
    format: Format,
    loudness: Loudness,
    colored_out: bool,
    colored_err: bool,
    /// Lines of the live block that are on the screen.
    live_lines: usize,
}

impl Ui {
    /// As the options say.
    pub(crate) fn new(terminal: Terminal, environment: &Environment, globals: &Globals) -> Self {
        let loudness = match (globals.quiet, globals.verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        };
        let ui = Self { format: globals.output, loudness, ..Self::plain(terminal, environment) };
        match globals.color {
            Color::Auto => ui,
            Color::Always => Self { colored_out: true, colored_err: true, ..ui },
            Color::Never => Self { colored_out: false, colored_err: false, ..ui },
        }
    }

    /// For when the options are not known.
    pub(crate) fn plain(terminal: Terminal, environment: &Environment) -> Self {
        Self {
            format: Format::Text,
            loudness: Loudness::Normal,
            colored_out: terminal.out.is_terminal && !environment.no_color,
            colored_err: terminal.err.is_terminal && !environment.no_color,
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
        matches!(self.loudness, Loudness::Quiet)
    }

    /// Whether to say more than the answer: asked for, or somebody looks at it.
    pub(crate) const fn is_talkative(&self) -> bool {
        match self.loudness {
            Loudness::Quiet => false,
            Loudness::Normal => self.terminal.out.is_terminal,
            Loudness::Verbose => true,
        }
    }

    /// Whether to show progress on stderr while waiting.
    pub(crate) fn is_live(&self) -> bool {
        let for_people = self.format == Format::Text || self.format == Format::Wide;
        self.terminal.err.is_terminal && for_people && !self.is_quiet()
    }

    /// `text` as stdout shows it in `style`.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        if self.colored_out { style.paint(text) } else { text.into() }
    }

    /// A line on stdout.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), CtlError> {
        if !self.is_quiet() {
            self.terminal.out.writer.write_all(line.as_bytes())?;
            self.terminal.out.writer.write_all(b"\n")?;
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
        Ok(self.terminal.out.writer.flush()?)
    }

    /// A line on stderr, for people, who see it below what was printed before.
    pub(crate) fn note(&mut self, line: &str) {
        if !self.is_quiet() {
            // A stdout that is closed is found out at the end.
            drop(self.flush());
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
        if error.is_about_connection {
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
        let is_error = error.use_stderr();
        let colored = if is_error { self.colored_err } else { self.colored_out };
        let text = if colored { text.ansi().to_string() } else { text.to_string() };
        if is_error {
            self.say(text.trim_end());
            return Exit::Usage;
        }
        self.line(text.trim_end()).map_or_else(|error| error.exit, |()| Exit::Ok)
    }

    /// Shows on stderr how far it is after `elapsed`, in the place of what was shown before.
    pub(crate) fn show_progress(&mut self, progress: &Progress, elapsed: Duration) {
        let (width, height) = stderr_size();
        self.redraw(&progress.lines(elapsed, width, height));
    }

    /// Takes what [`Self::show_progress`] shows off the screen.
    pub(crate) fn hide_progress(&mut self) {
        self.redraw(&[]);
    }

    fn redraw(&mut self, lines: &[String]) {
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
        drop(self.terminal.err.writer.write_all(text.as_bytes()));
        drop(self.terminal.err.writer.flush());
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
        drop(writeln!(self.terminal.err.writer, "{line}"));
        drop(self.terminal.err.writer.flush());
    }
}

/// Columns and rows for progress: the last row is the cursor's, and one is left for a prompt.
fn stderr_size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(io::stderr());
    let (width, height) = size.map_or((80, 24), |(width, height)| (width.0, height.0));
    (usize::from(width.max(20)), usize::from(height.max(4)) - 2)
}

/// Text from elsewhere as one line that moves no cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
