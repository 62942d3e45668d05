//! The chunks with numbers that are not finite, and the bounds of their other numbers: a key in the footer,
//! which any program can read.
//!
//! Such a chunk has no statistics, or useless ones. The value is JSON, a list for each row group; in it
//! `[column, NaN, infinite, min, max]` for each chunk of a sealed group that has a NaN or an infinity:
//! the number of the column, how many values are NaN and how many are infinite, and the least and the
//! largest finite value, or null.

use crate::format::facts::{Facts, Finite};
use crate::format::spans::Spans;
use crate::format::stored::Stored;
use serde_json::{Value, json};
use std::sync::Arc;

/// The metadata key.
pub(crate) const KEY: &str = "qstore.bounds";

/// The list of a group, without its brackets.
pub(crate) fn of_group(spans: &Spans) -> String {
    let mut text = String::new();
    for (number, column) in spans.columns.iter().enumerate() {
        let Some(facts) = column.facts().filter(Facts::has_odd) else { continue };
        let (min, max) = match facts.finite {
            Some(Finite::Float(min, max)) => (Some(min), Some(max)),
            _ => (None, None),
        };
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&json!([number, facts.nans, facts.infinite, min, max]).to_string());
    }
    text
}

/// The value of the key; `None` if there are no such chunks.
pub(crate) fn encode(groups: &[Arc<Stored>]) -> Option<String> {
    if groups.iter().all(|group| group.odd().is_empty()) {
        return None;
    }
    let lists: Vec<_> = groups.iter().map(|group| format!("[{}]", group.odd())).collect();
    Some(format!("[{}]", lists.join(",")))
}

/// The lists of the groups, without their brackets; empty if the value is malformed, since nothing but
/// this key depends on it.
pub(crate) fn decode(text: &str) -> Vec<String> {
    let Ok(Value::Array(groups)) = serde_json::from_str(text) else { return Vec::new() };
    let list = |group: &Value| {
        let items = group.as_array()?.iter().map(Value::to_string);
        Some(items.collect::<Vec<_>>().join(","))
    };
    groups.iter().map(|group| list(group).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::spans::{ColumnSpans, Part, Span};

    #[test]
    fn chunks_that_are_not_finite_are_listed_and_read_back() {
        let column = |nans, infinite, finite| {
            let facts = Some(Facts { nulls: 1, nans, infinite, finite });
            let span = Span { part: Part::default(), facts };
            ColumnSpans { spans: vec![span; 2], ..ColumnSpans::default() }
        };
        let finite = Some(Finite::Float(-0.5, 2.5));
        let columns = vec![column(0, 0, finite), column(2, 0, finite), column(0, 3, None)];
        let odd = of_group(&Spans { rows: vec![9, 9], columns });
        assert_eq!(odd, "[1,4,0,-0.5,2.5],[2,0,6,null,null]");
        let mut group = Stored::new(18, 3);
        group.set_odd(odd.clone());
        let key = encode(&[Arc::new(Stored::new(1, 3)), Arc::new(group)]).unwrap();
        assert_eq!(key, format!("[[],[{odd}]]"));
        assert_eq!(decode(&key), [String::new(), odd]);
        assert_eq!(encode(&[Arc::new(Stored::new(1, 3))]), None);
        for malformed in ["", "{", "7", "[7]"] {
            assert!(decode(malformed).iter().all(String::is_empty), "{malformed}");
        }
    }
}
