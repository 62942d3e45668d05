//! The curves of a report: which charts there are, and the lines that the figures make in them.

use super::Report;
use super::chart::Line;

/// A chart: the name that figures give, and what is written on it.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

const fn curve(name: &'static str, title: &'static str, x: &'static str, y: &'static str) -> Curve {
    Curve { name, title, x, y }
}

/// Of the scaling set.
pub(super) const SCALING: [Curve; 6] = [
    curve("flush", "A flush of 100 rows", "rows in the file", "ms"),
    curve("producers", "A push", "threads that push", "ns"),
    curve("columns", "A row, written", "columns", "µs"),
    curve("tensors_save", "A durable save of 16 MB", "tensors", "ms"),
    curve("tensors_load", "A verified load of 16 MB", "tensors", "ms"),
    curve("bytes", "A durable save", "megabytes", "s"),
];

/// Of the simulated runs.
pub(super) const END_TO_END: [Curve; 4] = [
    curve("e2e_log_us_p50", "A log call, median", "steps a second", "µs"),
    curve("e2e_log_us_p99", "A log call, 99th percentile", "steps a second", "µs"),
    curve("e2e_storage_share", "The loop's time in storage calls", "steps a second", "%"),
    curve("e2e_steps_per_s", "Steps made", "steps a second wanted", "steps a second"),
];

impl Curve {
    /// Its lines in the order in which the figures name them, ours first.
    pub(super) fn lines(&self, report: &Report) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for row in &report.figures {
            let Some(point) = row.point.as_ref().filter(|point| point.curve == self.name) else {
                continue;
            };
            let place = (point.x, row.median);
            match lines.iter_mut().find(|line| line.name == point.series) {
                Some(line) => line.points.push(place),
                None => lines.push(Line { name: point.series.clone(), points: vec![place] }),
            }
        }
        for line in &mut lines {
            line.points.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn points_of_one_series_make_a_line() {
        let lines = SCALING[0].lines(&example());
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].points, [(1e3, 1.0), (1e6, 2.0)]);
        assert!(SCALING[1].lines(&example()).is_empty());
    }
}
