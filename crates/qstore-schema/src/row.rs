//! A row whose columns are known only at run time.

use crate::field::Field;
use crate::record::{FieldVisitor, Record};
use crate::value::Value;
use smol_str::SmolStr;
use std::collections::HashMap;

/// With more values than that, a row has an index of its names.
const FEW: usize = 32;

/// Named values in the order they were set, with unique names.
///
/// The first value of a column decides its type in the file, so write `1.0`, not `1`, for a quantity that may
/// later be fractional. A name that a row omits reads as null.
///
/// ```
/// use qstore_schema::{Row, Value};
///
/// let mut row = Row::from([("loss", 0.5)]);
/// row.set("backend", "simulator");
/// assert_eq!(row.get("loss"), Some(&Value::Float(0.5)));
/// ```
///
/// # How is this different from `TrainingMetrics`?
/// A [`TrainingMetrics`](crate::TrainingMetrics) has a fixed set of columns, allocates nothing and compares
/// no names. A `Row` allocates for its values and is looked up by name, which is what a summary per epoch or
/// a sweep with its own columns needs. `MetricsRow` of `qstore-logger` is both: fixed columns and extra ones.
#[derive(Debug, Clone, Default)]
pub struct Row {
    values: Vec<(SmolStr, Value)>,
    /// Where each name is. Not kept for few values, among which a name is found as fast without it.
    #[expect(
        clippy::box_collection,
        reason = "a row is copied with every push: a pointer is smaller"
    )]
    index: Option<Box<HashMap<SmolStr, usize>>>,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Row {
    /// An empty row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value, replacing an earlier one with that name.
    pub fn set(&mut self, name: impl Into<SmolStr>, value: impl Into<Value>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        if let Some(position) = self.position(&name) {
            self.values[position].1 = value;
            return self;
        }
        if let Some(index) = &mut self.index {
            index.insert(name.clone(), self.values.len());
        }
        self.values.push((name, value));
        if self.index.is_none() && self.values.len() > FEW {
            let names = self.values.iter().enumerate();
            let names = names.map(|(position, (name, _))| (name.clone(), position));
            self.index = Some(Box::new(names.collect()));
        }
        self
    }

    fn position(&self, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => self.values.iter().position(|(known, _)| known == name),
        }
    }

    /// The value with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).map(|position| &self.values[position].1)
    }

    /// Names and values in the order they were set.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&SmolStr, &Value)> {
        self.values.iter().map(|(name, value)| (name, value))
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<N: Into<SmolStr>, V: Into<Value>> FromIterator<(N, V)> for Row {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let mut row = Self::new();
        for (name, value) in values {
            row.set(name, value);
        }
        row
    }
}

impl<N: Into<SmolStr>, V: Into<Value>, const COUNT: usize> From<[(N, V); COUNT]> for Row {
    fn from(values: [(N, V); COUNT]) -> Self {
        values.into_iter().collect()
    }
}

impl Record for Row {
    const DECLARED: &'static [Field] = &[];

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        for (name, value) in &self.values {
            visitor.extra(name, value.as_ref());
        }
    }

    /// The value of `step`, if it is an integer.
    fn label(&self) -> Option<i64> {
        match self.get("step")? {
            Value::Int(step) => Some(*step),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one_in_place() {
        let mut row = Row::from([("a", 1.0), ("b", 2.0)]);
        row.set("a", "text");
        let seen: Vec<_> = row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(seen, [("a", Value::Text("text".into())), ("b", Value::Float(2.0))]);
    }

    /// Regression: each value was compared with all before it, which takes seconds for ten thousand.
    #[test]
    fn a_row_of_many_values_finds_each_of_them() {
        let name = |n: usize| format!("layer_{n}/grad_norm");
        for count in [FEW - 1, FEW, FEW + 1, 10_000] {
            let mut row: Row = (0..count).map(|n| (name(n), n as f64)).collect();
            row.set(name(count - 1), "again").set(name(0), "first").set("one_more", true);
            assert_eq!(row.len(), count + 1);
            assert_eq!(row.get(&name(0)), Some(&"first".into()));
            assert_eq!(row.get(&name(count - 1)), Some(&"again".into()));
            assert_eq!(row.get(&name(count / 2)), Some(&Value::Float((count / 2) as f64)));
            assert_eq!((row.get("one_more"), row.get("other")), (Some(&true.into()), None));
            assert!(
                row.iter()
                    .map(|(name, _)| name)
                    .take(count)
                    .eq((0..count).map(name).collect::<Vec<_>>().iter())
            );
            assert_eq!(row.clone(), row);
        }
    }

    #[test]
    fn a_row_is_labeled_by_its_step() {
        assert_eq!(Row::from([("loss", 0.5)]).label(), None);
        assert_eq!(Row::from([("step", 7)]).label(), Some(7));
        assert_eq!(Row::from([("step", "seven")]).label(), None);
    }
}
