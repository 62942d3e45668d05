//! Quantities of several runs, as columns or as rows, in the style that is wanted.

use crate::console::Console;
use crate::failure::Failure;
use crate::output::escape::shown;
use crate::output::table::{Align, Cell, Table};

/// With more runs than this, each is a row.
const COLUMNS_MAX: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Text,
    Markdown,
    Csv,
}

#[derive(Debug)]
pub(super) struct Grid {
    pub(super) runs: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// One quantity.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    fold: &'static str,
    values: Vec<String>,
    change: String,
}

impl Line {
    pub(super) fn new(
        name: impl Into<String>,
        fold: &'static str,
        values: Vec<String>,
        change: String,
    ) -> Self {
        Self { name: name.into(), fold, values, change }
    }

    fn label(&self) -> String {
        if self.fold.is_empty() {
            self.name.clone()
        } else {
            format!("{} {}", self.name, self.fold)
        }
    }
}

impl Grid {
    pub(super) fn print(&self, style: Style, console: &mut Console<'_>) -> Result<(), Failure> {
        match style {
            Style::Text if self.runs.len() <= COLUMNS_MAX => self.columns(console),
            Style::Text => self.rows(console),
            _ => {
                let rows = self.cells();
                for (at, row) in rows.iter().enumerate() {
                    console.line(match style {
                        Style::Csv => csv_line(row),
                        _ => markdown_line(row),
                    })?;
                    if style == Style::Markdown && at == 0 {
                        console.line(format!("|{}", "---|".repeat(row.len())))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// A quantity a line.
    fn columns(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut table = Table::new().column("", Align::Left).column("", Align::Left).kept();
        for run in &self.runs {
            table = table.column(run, Align::Left);
        }
        table = table.column("", Align::Right);
        for line in &self.lines {
            let values = line.values.iter().map(Cell::new);
            let name = [Cell::new(&line.name), Cell::new(line.fold)];
            table.row(name.into_iter().chain(values).chain([Cell::new(&line.change)]));
        }
        console.table(table, "--csv and --json have them")
    }

    /// A run a line.
    fn rows(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut table = Table::new().column("run", Align::Left);
        for line in &self.lines {
            table = table.column(line.label(), Align::Left);
        }
        for (at, run) in self.runs.iter().enumerate() {
            let values = self.lines.iter().map(|line| line.values.get(at).map(Cell::new));
            let values = values.map(Option::unwrap_or_default);
            table.row([Cell::new(run)].into_iter().chain(values));
        }
        console.table(table, "--keep NAME, --csv and --json have them")
    }

    /// A run a row, with a row of heads.
    fn cells(&self) -> Vec<Vec<String>> {
        let heads = ["run".to_owned()].into_iter().chain(self.lines.iter().map(Line::label));
        let mut rows = vec![heads.collect::<Vec<_>>()];
        for (at, run) in self.runs.iter().enumerate() {
            let values =
                self.lines.iter().map(|line| line.values.get(at).cloned().unwrap_or_default());
            rows.push([run.clone()].into_iter().chain(values).collect());
        }
        rows
    }
}

fn csv_line(row: &[String]) -> String {
    let field = |text: &String| {
        // A table of CSV is also printed: it holds no control character.
        let text = shown(text);
        if text.contains([',', '"']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.into()
        }
    };
    row.iter().map(field).collect::<Vec<_>>().join(",")
}

fn markdown_line(row: &[String]) -> String {
    let cells = row.iter().map(|text| {
        let text = markdown(&shown(text));
        format!(" {text} |")
    });
    format!("|{}", cells.collect::<String>())
}

/// A text that Markdown shows as it is: no link, no emphasis, nobody and no issue that is mentioned.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\\' | '|' | '[' | ']' | '`' | '*' | '_' | '~' | '@' | '#' => out.extend(['\\', char]),
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_markdown_is_only_text() {
        let row = ["a|b\\c".to_owned(), "<b>&lt;".into(), "[x](y) `c` *d* _e_ ~f~ @me #7".into()];
        assert_eq!(
            markdown_line(&row),
            "| a\\|b\\\\c | &lt;b>&amp;lt; | \\[x\\](y) \\`c\\` \\*d\\* \\_e\\_ \\~f\\~ \\@me \\#7 |"
        );
    }
}
