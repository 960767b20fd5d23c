//! Rows below a heading, in columns.

use std::io::{self, Write};

/// A table that is printed as its rows come: the first ones decide the widths.
pub(crate) struct Table {
    headings: &'static [&'static str],
    widths: Option<Vec<usize>>,
}

impl Table {
    /// Headings that end with a space belong to columns of numbers.
    pub(crate) fn new(headings: &'static [&'static str]) -> Self {
        Self { headings, widths: None }
    }

    /// Prints some rows.
    pub(crate) fn print(&mut self, out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
        let headings = self.headings;
        if self.widths.is_none() {
            let width = |column: usize| {
                let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                cells.chain([headings[column].trim_end().len()]).max().unwrap_or(0).min(WIDTH_MAX)
            };
            let widths: Vec<usize> = (0..headings.len()).map(width).collect();
            let cells: Vec<String> = headings.iter().map(|heading| heading.trim_end().to_owned()).collect();
            line(out, headings, &widths, &cells)?;
            self.widths = Some(widths);
        }
        let widths = self.widths.as_deref().unwrap_or_default();
        rows.iter().try_for_each(|row| line(out, headings, widths, row))
    }
}

fn line(out: &mut impl Write, headings: &[&str], widths: &[usize], cells: &[String]) -> io::Result<()> {
    let mut text = String::new();
    for ((heading, &width), cell) in headings.iter().zip(widths).zip(cells) {
        let cell = match heading.ends_with(' ') {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        };
        text += &cell;
        text += "  ";
    }
    writeln!(out, "{}", text.trim_end())
}

/// Characters of the widest column; what is longer pushes the others aside.
const WIDTH_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_the_first_rows() {
        let (mut table, mut out) = (Table::new(&["name", "count ", "note"]), Vec::new());
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        table.print(&mut out, &[row(["device-1", "7", "x"]), row(["ä", "1234567", ""])]).unwrap();
        table.print(&mut out, &[row(["a-longer-name", "1", "y"])]).unwrap();
        let expected =
            "name        count  note\ndevice-1        7  x\nä         1234567\na-longer-name        1  y\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
