//! One measured figure, as it is printed and as it stands in the JSON file.

use crate::statistics::Summary;
use serde::Serialize;

/// Whose figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Q-Store's.
    Ours,
    /// Of what people would use instead.
    Peer,
    /// What the machine or the bare library needs for the core of the work.
    Limit,
}

/// What is measured, before it is.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) unit: &'static str,
    /// How: durability, threads, what the clock includes.
    pub(crate) note: String,
    /// Rows of the same set it is to be seen beside.
    pub(crate) rivals: &'static [&'static str],
}

impl Measure {
    /// A figure of ours, to be divided by the figures of these rivals.
    pub(crate) fn ours(
        name: &'static str,
        unit: &'static str,
        rivals: &'static [&'static str],
        note: impl Into<String>,
    ) -> Self {
        Self { name, role: Role::Ours, unit, note: note.into(), rivals }
    }

    /// A figure of what people would use instead.
    pub(crate) fn peer(name: &'static str, unit: &'static str, note: impl Into<String>) -> Self {
        Self { name, role: Role::Peer, unit, note: note.into(), rivals: &[] }
    }

    /// What the core of the work costs at least.
    pub(crate) fn limit(name: &'static str, unit: &'static str, note: impl Into<String>) -> Self {
        Self { name, role: Role::Limit, unit, note: note.into(), rivals: &[] }
    }
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) set: &'static str,
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) unit: &'static str,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) n: usize,
    pub(crate) note: String,
    #[serde(skip)]
    pub(crate) rivals: &'static [&'static str],
}

impl Row {
    pub(crate) fn new(set: &'static str, measure: Measure, summary: Summary) -> Self {
        let Measure { name, role, unit, note, rivals } = measure;
        let Summary { median, min, max, n } = summary;
        Self { set, name, role, unit, median, min, max, n, note, rivals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_has_exactly_the_agreed_fields() {
        let measure = Measure::ours("push", "ns", &["send"], "one thread, nothing durable");
        let summary = Summary { median: 2.5, min: 2.0, max: 9.0, n: 4 };
        let row = Row::new("buffer", measure, summary);
        let expected = json!({
            "set": "buffer", "name": "push", "role": "ours", "unit": "ns",
            "median": 2.5, "min": 2.0, "max": 9.0, "n": 4,
            "note": "one thread, nothing durable",
        });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
    }
}
