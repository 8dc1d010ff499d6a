//! Columns for people.

use super::{Style, Ui};
use crate::error::CtlError;

/// A cell and its style.
pub(crate) type Cell = (String, Style);

/// Prints rows under a header, each column as wide as its widest cell, nothing behind the last.
pub(crate) fn print(ui: &mut Ui, header: &[&str], rows: &[Vec<Cell>]) -> Result<(), CtlError> {
    let mut widths: Vec<usize> = header.iter().map(|title| title.len()).collect();
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let header = header.iter().map(|title| ((*title).to_owned(), Style::Faint)).collect();
    for row in std::iter::once(&header).chain(rows) {
        ui.line(&line(ui, &widths, row))?;
    }
    Ok(())
}

fn line(ui: &Ui, widths: &[usize], row: &[Cell]) -> String {
    let mut line = String::new();
    // Blanks wait for something to stand behind them: a line has none at its end.
    let mut blanks = 0;
    for ((text, style), width) in row.iter().zip(widths) {
        if !text.is_empty() {
            line.extend(std::iter::repeat_n(' ', std::mem::take(&mut blanks)));
            line.push_str(&ui.styled(*style, text));
        }
        blanks += width + 2 - text.chars().count();
    }
    line
}
