//! The simulated runs as tables: one for each rate, a line for each contender.

use crate::end_to_end::NAME;
use crate::harness::row::Row;
use crate::harness::table::number;
use std::fmt::Write;

/// What is reported of a run: the part of a figure's curve behind `e2e_`, and the head of its column.
pub(super) const COLUMNS: [(&str, &str); 12] = [
    ("log_us_p50", "log µs, median"),
    ("log_us_p99", "p99"),
    ("log_us_p999", "p99.9"),
    ("log_us_max", "max"),
    ("checkpoint_ms", "save, worst ms"),
    ("storage_share", "in storage calls %"),
    ("rows_lost", "rows lost, good end"),
    ("killed_rows_lost", "rows lost, kill -9"),
    ("steps_per_s", "steps/s made"),
    ("background_cores", "background cores"),
    ("mb_per_100k_rows", "MB per 100 k rows"),
    ("finish_ms", "to finish ms"),
];

/// A contender, whether it is ours, and its cells in the order of [`COLUMNS`].
type Line = (String, bool, Vec<String>);

/// The runs of one rate.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rate: f64,
    pub(super) lines: Vec<Line>,
}

/// One table for each rate.
pub(super) fn tables(figures: &[Row]) -> Vec<Table> {
    let rows: Vec<_> = figures.iter().filter(|row| row.set == NAME).collect();
    let mut rates: Vec<f64> = rows.iter().filter_map(|row| Some(row.point.as_ref()?.x)).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    rates.into_iter().map(|rate| table(&rows, rate)).collect()
}

fn table(rows: &[&Row], rate: f64) -> Table {
    let at_rate =
        |row: &&&Row| row.point.as_ref().is_some_and(|point| point.x.total_cmp(&rate).is_eq());
    let mut lines: Vec<Line> = Vec::new();
    for row in rows.iter().filter(at_rate) {
        let Some(point) = &row.point else { continue };
        let is_ours = row.role == crate::harness::row::Role::Ours;
        let column =
            COLUMNS.iter().position(|(what, _)| point.curve.strip_prefix("e2e_") == Some(what));
        let Some(column) = column else { continue };
        let index =
            lines.iter().position(|(name, ..)| *name == point.series).unwrap_or_else(|| {
                lines.push((point.series.clone(), is_ours, vec![String::new(); COLUMNS.len()]));
                lines.len() - 1
            });
        lines[index].2[column] = number(row.median);
    }
    Table { rate, lines }
}

/// The tables for a terminal.
pub(crate) fn text(figures: &[Row]) -> String {
    let mut text = String::new();
    for table in tables(figures) {
        let _ = writeln!(text, "  {} steps a second:", table.rate);
        let heads = COLUMNS.map(|(_, head)| head.to_owned()).to_vec();
        let mut lines = vec![(String::new(), false, heads)];
        lines.extend(table.lines);
        let length = |column: usize, line: &Line| line.2[column].chars().count();
        let longest = |column: usize| lines.iter().map(|line| length(column, line)).max();
        let widths: Vec<_> = (0..COLUMNS.len()).map(longest).collect();
        for (name, _, cells) in &lines {
            let _ = write!(text, "  {name:<17}");
            for (cell, width) in cells.iter().zip(&widths) {
                let _ = write!(text, "  {cell:>width$}", width = width.unwrap_or_default());
            }
            text.push('\n');
        }
    }
    text
}

/// Who the contenders are, once each: name and how it stores.
pub(super) fn contenders(figures: &[Row]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for row in figures.iter().filter(|row| row.set == NAME) {
        let Some(point) = &row.point else { continue };
        if all.iter().all(|(name, _)| *name != point.series) {
            let note = row.note.splitn(3, "; ").nth(2).unwrap_or_default();
            all.push((point.series.clone(), note.to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::row::Measure;
    use crate::harness::statistics::Summary;

    #[test]
    fn a_contender_is_a_line_and_what_was_not_measured_is_blank() {
        let row = |what: &str, who: &str, rate: f64, value: f64| {
            let curve = format!("e2e_{what}");
            let note = format!("{rate} steps/s wanted; one call; by {who}; in memory");
            let measure = Measure::peer(format!("{curve}_{rate}_{who}"), "us", note);
            Row::new(NAME, measure.on_curve(&curve, who, rate), Summary::once(value))
        };
        let figures = vec![
            row("log_us_p99", "csv", 1e3, 4.0),
            row("log_us_p50", "csv", 1e3, 2.0),
            row("log_us_p50", "csv", 1e2, 1.0),
        ];
        let tables = tables(&figures);
        assert_eq!(tables.iter().map(|table| table.rate).collect::<Vec<_>>(), [1e2, 1e3]);
        let (name, is_ours, cells) = &tables[1].lines[0];
        assert_eq!((name.as_str(), *is_ours), ("csv", false));
        assert_eq!(cells[..3], ["2.00", "4.00", ""]);
        assert_eq!(contenders(&figures), [("csv".to_owned(), "by csv; in memory".to_owned())]);
    }
}
