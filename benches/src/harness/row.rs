//! One measured figure, as it is printed, as it stands in the report, and as it is read from one.

use crate::harness::statistics::Summary;
use serde::{Deserialize, Serialize};

/// Whose figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Q-Store's.
    Ours,
    /// Of what people would use instead.
    Peer,
    /// What the machine or the bare library needs for the core of the work.
    Limit,
}

impl Role {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer => "peer",
            Self::Limit => "limit",
        }
    }
}

/// Where a figure stands on a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The chart: one of those that `report/curves.rs` knows.
    pub(crate) curve: String,
    /// The line in it.
    pub(crate) series: String,
    pub(crate) x: f64,
}

/// What is measured, before it is.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    name: String,
    role: Role,
    unit: &'static str,
    /// How: durability, threads, what the clock includes.
    note: String,
    /// Rows of the same set it is to be seen beside.
    pub(crate) rivals: Vec<String>,
    point: Option<Point>,
}

impl Measure {
    /// A figure of ours, to be divided by the figures of these rivals.
    pub(crate) fn ours(
        name: impl Into<String>,
        unit: &'static str,
        rivals: &[&str],
        note: impl Into<String>,
    ) -> Self {
        let rivals = rivals.iter().map(|rival| (*rival).to_owned()).collect();
        Self { name: name.into(), role: Role::Ours, unit, note: note.into(), rivals, point: None }
    }

    /// A figure of what people would use instead.
    pub(crate) fn peer(
        name: impl Into<String>,
        unit: &'static str,
        note: impl Into<String>,
    ) -> Self {
        Self { role: Role::Peer, ..Self::ours(name, unit, &[], note) }
    }

    /// What the core of the work costs at least.
    pub(crate) fn limit(
        name: impl Into<String>,
        unit: &'static str,
        note: impl Into<String>,
    ) -> Self {
        Self { role: Role::Limit, ..Self::ours(name, unit, &[], note) }
    }

    /// The same, to be seen beside these rows, too.
    pub(crate) fn beside(mut self, rivals: impl IntoIterator<Item = String>) -> Self {
        self.rivals.extend(rivals);
        self
    }

    /// The same, as a point of a curve.
    pub(crate) fn on_curve(mut self, curve: &str, series: &str, x: f64) -> Self {
        self.point = Some(Point { curve: curve.to_owned(), series: series.to_owned(), x });
        self
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) set: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) unit: String,
    pub(crate) median: f64,
    /// The lower and the upper quartile.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Number of samples.
    pub(crate) n: usize,
    pub(crate) note: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rivals: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<Point>,
}

impl Row {
    pub(crate) fn new(set: &str, measure: Measure, summary: Summary) -> Self {
        let Measure { name, role, unit, note, rivals, point } = measure;
        let Summary { median, low, high, min, max, n } = summary;
        let (set, unit) = (set.to_owned(), unit.to_owned());
        Self { set, name, role, unit, median, low, high, min, max, n, note, rivals, point }
    }

    /// How far the samples spread: half the distance of the quartiles as a share of the median.
    /// `None` where there is one sample only.
    pub(crate) fn spread(&self) -> Option<f64> {
        (self.n > 1 && self.median != 0.0).then(|| (self.high - self.low) / 2.0 / self.median)
    }

    /// Whether a larger figure is a better one.
    pub(crate) fn more_is_better(&self) -> bool {
        matches!(self.unit.as_str(), "rows/s" | "MB/s" | "steps/s" | "% kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let measure = Measure::ours("push", "ns", &["send"], "one thread, nothing durable");
        let samples = vec![2.0, 2.5, 9.0];
        let summary = Summary::of(samples).unwrap();
        let row = Row::new("buffer", measure, summary);
        let expected = json!({
            "set": "buffer", "name": "push", "role": "ours", "unit": "ns", "median": 2.5,
            "low": 2.0, "high": 9.0, "min": 2.0, "max": 9.0, "n": 3,
            "note": "one thread, nothing durable", "rivals": ["send"],
        });
        let value = serde_json::to_value(&row).unwrap();
        assert_eq!(value, expected);
        assert_eq!(serde_json::from_value::<Row>(value).unwrap(), row);
        assert_eq!(row.spread(), Some(1.4));
    }

    #[test]
    fn one_sample_has_no_spread() {
        let row = Row::new("parquet", Measure::limit("a", "ms", ""), Summary::once(4.0));
        assert_eq!(row.spread(), None);
    }
}
