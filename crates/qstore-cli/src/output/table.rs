//! A table in aligned columns. Where it is wider than the screen, whole columns are left out, from the right,
//! and named; nothing is cut in the middle and nothing wraps.

use super::escape::shown;
use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: &str = "  ";

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// One cell: text that is safe to print, and its color.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text, with what a terminal would obey written out.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: shown(text.as_ref()).into_owned(), style: Style::new() }
    }

    /// Green: all is well.
    #[must_use]
    pub fn good(mut self) -> Self {
        self.style = AnsiColor::Green.on_default();
        self
    }

    /// Yellow: look at it.
    #[must_use]
    pub fn doubtful(mut self) -> Self {
        self.style = AnsiColor::Yellow.on_default();
        self
    }

    /// Red: something is wrong.
    #[must_use]
    pub fn bad(mut self) -> Self {
        self.style = AnsiColor::Red.on_default().bold();
        self
    }

    /// Faint: less important than the rest.
    #[must_use]
    pub fn faint(mut self) -> Self {
        self.style = Style::new().dimmed();
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

#[derive(Debug, Clone)]
struct Column {
    head: String,
    align: Align,
    is_kept: bool,
    width_min: usize,
}

/// Rows of cells in aligned columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more column.
    #[must_use]
    pub fn column(mut self, head: impl AsRef<str>, align: Align) -> Self {
        let head = shown(head.as_ref()).into_owned();
        self.columns.push(Column { head, align, is_kept: false, width_min: 0 });
        self
    }

    /// The last column is never left out.
    #[must_use]
    pub fn kept(mut self) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.is_kept = true;
        }
        self
    }

    /// Appends a row. Missing cells at its end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Removes columns from the right until the table fits, and returns their heads. The first column and
    /// those that are [`kept`](Self::kept) stay.
    pub fn fit(&mut self, width: usize) -> Vec<String> {
        let mut left_out = Vec::new();
        while self.width() > width {
            let Some(last) = (1..self.columns.len()).rev().find(|at| !self.columns[*at].is_kept)
            else {
                break;
            };
            left_out.push(self.columns.remove(last).head);
            for row in &mut self.rows {
                if last < row.len() {
                    row.remove(last);
                }
            }
        }
        left_out.reverse();
        left_out
    }

    /// The head of each column with its width, for a table that continues this one.
    #[must_use]
    pub fn widths_by_name(&self) -> Vec<(String, usize)> {
        let heads = self.columns.iter().map(|column| column.head.clone());
        heads.zip(self.widths()).collect()
    }

    /// Makes columns at least as wide as those of an earlier table with the same heads.
    pub fn widen(&mut self, widths: &[(String, usize)]) {
        for column in &mut self.columns {
            let known = widths.iter().find(|(head, _)| *head == column.head);
            column.width_min = known.map_or(0, |(_, width)| *width);
        }
    }

    fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let of_column = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let cells = cells.map(|cell| cell.text.width()).max().unwrap_or(0);
            cells.max(self.columns[at].head.width()).max(self.columns[at].width_min)
        };
        (0..self.columns.len()).map(of_column).collect()
    }

    /// The lines of the table, without a line of heads if no column has one.
    #[must_use]
    pub fn lines(&self, is_colored: bool) -> Vec<String> {
        let widths = self.widths();
        let bold = Style::new().bold();
        let heads: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell { text: column.head.clone(), style: bold })
            .collect();
        let has_heads = heads.iter().any(|head| !head.text.is_empty());
        let rows = has_heads.then_some(&heads).into_iter().chain(&self.rows);
        rows.map(|row| self.line(row, &widths, is_colored)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], is_colored: bool) -> String {
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        let mut line = String::new();
        for (at, cell) in row.iter().take(last.map_or(0, |last| last + 1)).enumerate() {
            let Some(column) = self.columns.get(at) else { break };
            if at > 0 {
                line += GAP;
            }
            let padding = " ".repeat(widths[at].saturating_sub(cell.text.width()));
            let text = if is_colored && cell.style != Style::new() {
                format!("{}{}{}", cell.style.render(), cell.text, cell.style.render_reset())
            } else {
                cell.text.clone()
            };
            match column.align {
                Align::Right => line.extend([&*padding, &*text]),
                Align::Left if Some(at) == last => line += &text,
                Align::Left => line.extend([&*text, &*padding]),
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> Table {
        let mut table = Table::new()
            .column("run", Align::Left)
            .column("rows", Align::Right)
            .column("note", Align::Left);
        table.row(["run_1".into(), "7".into(), Cell::default()]);
        table.row(["量子".into(), "1 000".into(), "x\ny".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        assert_eq!(
            table().lines(false),
            ["run     rows  note", "run_1      7", "量子   1 000  x\\ny",]
        );
    }

    #[test]
    fn a_color_is_printed_only_where_it_is_wanted() {
        let mut table = Table::new().column("", Align::Left);
        table.row([Cell::new("crashed").bad()]);
        assert_eq!(table.lines(false), ["crashed"]);
        assert!(table.lines(true)[0].starts_with("\x1b["));
    }

    #[test]
    fn columns_are_left_out_from_the_right() {
        let mut narrow = table();
        assert_eq!(narrow.fit(18), [""; 0]);
        assert_eq!(narrow.fit(17), ["note"]);
        assert_eq!(narrow.fit(3), ["rows"]);
        assert_eq!(narrow.lines(false)[1], "run_1");
        let mut table = Table::new().column("a", Align::Left).column("b", Align::Left).kept();
        assert_eq!(table.fit(1), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_table_that_fits_has_no_wider_line(
            cells in prop::collection::vec(prop::collection::vec("[a-z]{0,9}", 4), 1..6),
            width in 10_usize..50,
        ) {
            let mut table = Table::new();
            for head in ["one", "two", "three", "four"] {
                table = table.column(head, Align::Right);
            }
            for row in cells {
                table.row(row.iter().map(Cell::new));
            }
            table.fit(width);
            prop_assert!(table.lines(false).iter().all(|line| line.width() <= width));
        }
    }
}
