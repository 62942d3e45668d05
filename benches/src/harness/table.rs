//! The rows of one set as a table for people: figures first, then how each was measured.

use crate::harness::row::Row;
use std::fmt::Write;

const HEAD: [&str; 8] = ["", "name", "median", "min", "max", "unit", "n", "ratio"];

/// The table, and below it the notes.
pub(crate) fn of(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| cells(row, rows)));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: [usize; 8] = std::array::from_fn(|column| width(column).unwrap_or(0));

    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Numbers stand to the right.
            let _ = match column {
                2..=4 | 6 => write!(row, "  {cell:>width$}"),
                _ => write!(row, "  {cell:<width$}"),
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text.push_str("  ratio: ours / rival; more is better for rows/s, less for everything else\n");
    for notes in rows.chunk_by(|one, next| one.note == next.note) {
        let names: Vec<_> = notes.iter().map(|row| row.name.as_str()).collect();
        let _ = writeln!(text, "  {}: {}", names.join(", "), notes[0].note);
    }
    text
}

fn cells(row: &Row, rows: &[Row]) -> [String; 8] {
    [
        row.role.name().into(),
        row.name.clone(),
        number(row.median),
        number(row.min),
        number(row.max),
        row.unit.clone(),
        row.n.to_string(),
        ratios(row, rows),
    ]
}

/// The row's median divided by each rival's.
fn ratios(row: &Row, rows: &[Row]) -> String {
    let rivals =
        row.rivals.iter().filter_map(|name| rows.iter().find(|rival| rival.name == **name));
    let ratios = rivals.map(|rival| format!("{:.2} × {}", row.median / rival.median, rival.name));
    ratios.collect::<Vec<_>>().join(", ")
}

/// Three digits, or all before the point; what is smaller than a hundred-thousandth is nothing.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 1e-5 => return "0".into(),
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        _ => 6,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::row::Measure;
    use crate::harness::statistics::Summary;

    #[test]
    fn figures_stand_in_columns_with_a_ratio_to_the_rival() {
        let summary = |median| Summary { min: 0.5, max: 1234.6, n: 9, ..Summary::once(median) };
        let ours = Measure::ours("push", "ns", &["send", "not_measured"], "one thread");
        let peer = Measure::peer("send", "ns", "two threads");
        let limit = Measure::limit("copy", "ns", "two threads");
        let rows = [
            Row::new("buffer", ours, summary(7.5)),
            Row::new("buffer", peer, summary(15.0)),
            Row::new("buffer", limit, summary(123.4)),
        ];
        let expected = [
            "         name  median    min   max  unit  n  ratio",
            "  ours   push    7.50  0.500  1235  ns    9  0.50 × send",
            "  peer   send    15.0  0.500  1235  ns    9",
            "  limit  copy     123  0.500  1235  ns    9",
            "  ratio: ours / rival; more is better for rows/s, less for everything else",
            "  push: one thread",
            "  send, copy: two threads",
        ];
        assert_eq!(of(&rows).lines().collect::<Vec<_>>(), expected);
    }
    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in
            [(0.0, "0"), (-1e-9, "0"), (0.000_2, "0.000200"), (0.0123, "0.0123"), (0.5, "0.500")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!((number(12.34), number(1234.4)), ("12.3".into(), "1234".into()));
    }
}
