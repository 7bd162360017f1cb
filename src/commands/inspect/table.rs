//! Tables for people, and for programs that split at spaces.

use std::fmt::{Display, Write};

/// What stands where there is nothing.
const NONE: &str = "-";

/// Rows under a header, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(header: [&str; COLUMNS]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row. What clients and brokers made up, be it the name of a topic, stays on its line and is harmless to a
    /// terminal.
    pub(super) fn row(&mut self, cells: [String; COLUMNS]) {
        let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        self.rows.push(cells.map(|cell| cell.chars().map(escape).collect()));
    }

    /// Appends it to `out`, without spaces at the ends of lines.
    pub(super) fn print(&self, out: &mut String) {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                let _ = write!(line, "{cell:width$}  ");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
}

/// A number or the like.
pub(super) fn cell<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Text, if there is any.
pub(super) fn words(text: Option<&str>) -> String {
    cell(text.filter(|text| !text.is_empty()))
}

/// Numbers of brokers.
pub(super) fn numbers(numbers: &[i32]) -> String {
    let all: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    cell(Some(all.join(",")).filter(|all| !all.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["TOPIC", "N"]);
        table.row(["a".to_owned(), cell(Some(10))]);
        table.row(["grün-grün".to_owned(), cell::<i32>(None)]);
        let mut out = String::new();
        table.print(&mut out);
        assert_eq!(out, "TOPIC      N\na          10\ngrün-grün  -\n");
    }

    #[test]
    fn nothing_breaks_a_line_or_steers_a_terminal() {
        let mut table = Table::new(["TOPIC"]);
        table.row(["a\nb\u{1b}[31m".to_owned()]);
        let mut out = String::new();
        table.print(&mut out);
        assert_eq!(out, "TOPIC\na\\nb\\u{1b}[31m\n");
    }

    #[test]
    fn what_is_not_there_is_a_dash() {
        assert_eq!([cell(Some(7)), words(Some("")), words(None)], ["7", "-", "-"]);
        assert_eq!([numbers(&[]), numbers(&[3, 1])], ["-", "3,1"]);
    }
}
