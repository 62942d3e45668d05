//! The row that is logged: the fixed columns, and any other metric by name.

mod fixed;

use self::fixed::Fixed;
use qstore_schema::{
    Field, FieldVisitor, Name, Record, SmolStr, Timestamp, TimestampUnit, TrainingMetrics, Value,
    ValueRef,
};
use smallvec::SmallVec;
use std::collections::HashSet;

/// Number of extra metrics that fit without heap memory.
const INLINE: usize = 4;

/// Up to this number of metrics, each name is compared with each.
const FEW: usize = 16;

/// One row: [`TrainingMetrics`], and further metrics by name.
///
/// * A name that is one of the fixed columns sets that column.
/// * Any other name becomes a column of its own. Rows that do not set it are null there, including rows
///   logged before.
/// * If a name is set several times, the last value counts.
/// * A value of another kind than its column's, such as a text in a column of numbers, is stored in a
///   column of its own, here `NAME__text`.
/// * A value may be a list of floats, such as a histogram, or a [`Timestamp`].
/// * A value that does not fit a *fixed* column makes the sink reject this row, and count it.
///
/// ```
/// use qstore_logger::MetricsRow;
/// use qstore_schema::TrainingMetrics;
///
/// // In one line, or with every field by name.
/// let short = MetricsRow::step(0, 17, 0.42).with("accuracy", 0.9);
/// let long = MetricsRow::from(TrainingMetrics {
///     epoch: 0,
///     step: 17,
///     train_loss: Some(0.42),
///     qubits_used: Some(4),
///     ..TrainingMetrics::default()
/// });
/// assert_eq!(short.metrics().train_loss, long.metrics().train_loss);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsRow {
    /// The fixed columns. What is in `set` overrides them.
    fixed: Fixed,
    /// In the order in which they were set. A name may occur several times, and may be a fixed column's.
    /// The background thread resolves that, where comparing names delays no training step.
    set: SmallVec<[(Name, Extra); INLINE]>,
}

/// A value in two words: a row is copied on every push.
#[derive(Debug, Clone, PartialEq)]
enum Extra {
    Float(f64),
    Int(i64),
    Bool(bool),
    /// In UTC or not.
    Timestamp(TimestampUnit, bool, i64),
    /// A text, a list or a null; rare enough to be on the heap.
    Other(Box<Value>),
}

impl MetricsRow {
    /// A row of one training step; the other columns are null until they are set.
    #[inline]
    #[must_use]
    pub fn step(epoch: i64, step: i64, train_loss: f64) -> Self {
        let train_loss = Some(train_loss);
        TrainingMetrics { epoch, step, train_loss, ..TrainingMetrics::default() }.into()
    }

    /// Adds a metric, or sets the fixed column of that name. The first four numbers, flags and times need no
    /// heap memory; a text or a list does.
    ///
    /// ```
    /// use qstore_logger::MetricsRow;
    ///
    /// let row = MetricsRow::step(0, 17, 0.42)
    ///     .with("accuracy", 0.9) // a column of its own
    ///     .with("weights", vec![3.0, 14.0, 2.0]) // a column of lists: a histogram
    ///     .with("backend", "ion_trap"); // a fixed column
    /// assert_eq!(row.extra().count(), 2);
    /// ```
    #[inline]
    #[must_use]
    pub fn with(mut self, name: impl Into<Name>, value: impl Into<Value>) -> Self {
        self.set.push((name.into(), value.into().into()));
        self
    }

    /// Like [`with`](Self::with), in place.
    ///
    /// ```
    /// use qstore_logger::MetricsRow;
    ///
    /// let mut row = MetricsRow::step(0, 17, 0.42);
    /// for (layer, norm) in [("grad_norm_0", 0.5), ("grad_norm_1", 0.25)] {
    ///     row.set(layer, norm);
    /// }
    /// assert_eq!(row.extra().count(), 2);
    /// ```
    #[inline]
    pub fn set(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> &mut Self {
        self.set.push((name.into(), value.into().into()));
        self
    }

    /// The fixed columns, without those that [`with`](Self::with) and [`set`](Self::set) override.
    #[must_use]
    pub fn metrics(&self) -> TrainingMetrics {
        (&self.fixed).into()
    }

    /// When the step ended, in seconds since 1970-01-01 UTC.
    #[inline]
    pub(crate) fn stamp(&mut self, timestamp: f64) {
        self.fixed.timestamp = timestamp;
    }

    /// The metrics that are not fixed columns, in the order in which they were set.
    pub fn extra(&self) -> impl Iterator<Item = (Name, ValueRef<'_>)> {
        self.last_values().filter(|(name, _)| !TrainingMetrics::has_column(name))
    }

    fn last_values(&self) -> impl Iterator<Item = (Name, ValueRef<'_>)> {
        // Comparing each name with each takes seconds for ten thousand; for few it is faster than hashing.
        let last = (self.set.len() > FEW).then(|| {
            let mut later = HashSet::with_capacity(self.set.len());
            let names = self.set.iter().rev().map(|(name, _)| later.insert(name.as_str()));
            let mut last: Vec<_> = names.collect();
            last.reverse();
            last
        });
        let is_last = move |index: usize, name: Name| match &last {
            Some(last) => last[index],
            None => self.set[index + 1..].iter().all(|(later, _)| *later != name),
        };
        let entries = self.set.iter().enumerate();
        entries
            .filter(move |(index, (name, _))| is_last(*index, *name))
            .map(|(_, (name, value))| (*name, value.as_ref()))
    }
}

impl Extra {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Float(v) => ValueRef::Float(*v),
            Self::Int(v) => ValueRef::Int(*v),
            Self::Bool(v) => ValueRef::Bool(*v),
            Self::Timestamp(unit, is_utc, count) => {
                let time = Timestamp::new(*count, *unit);
                ValueRef::Timestamp(if *is_utc { time } else { time.local() })
            }
            Self::Other(v) => (**v).as_ref(),
        }
    }
}

impl From<Value> for Extra {
    #[inline]
    fn from(value: Value) -> Self {
        match value {
            Value::Float(v) => Self::Float(v),
            Value::Int(v) => Self::Int(v),
            Value::Bool(v) => Self::Bool(v),
            Value::Timestamp(v) => Self::Timestamp(v.unit(), v.is_utc(), v.count()),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<TrainingMetrics> for MetricsRow {
    #[inline]
    fn from(metrics: TrainingMetrics) -> Self {
        Self { fixed: metrics.into(), set: SmallVec::new() }
    }
}

/// Epoch, step and training loss.
impl From<(i64, i64, f64)> for MetricsRow {
    #[inline]
    fn from((epoch, step, train_loss): (i64, i64, f64)) -> Self {
        Self::step(epoch, step, train_loss)
    }
}

impl Record for MetricsRow {
    const DECLARED: &'static [Field] = TrainingMetrics::DECLARED;

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        let mut metrics = self.metrics();
        for (name, value) in self.last_values() {
            let is_fixed = TrainingMetrics::has_column(&name) && metrics.set(&name, value).is_ok();
            if !is_fixed {
                visitor.extra(&SmolStr::new_static(name.as_str()), value);
            }
        }
        metrics.visit(visitor);
    }

    fn label(&self) -> Option<i64> {
        Some(self.fixed.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The ring is an array of rows: a larger row is a longer copy in every push.
    #[test]
    fn the_size_of_a_row_is_known() {
        assert_eq!((size_of::<Fixed>(), size_of::<MetricsRow>()), (168, 312));
        assert_eq!(size_of::<Extra>(), 16);
    }

    /// What a sink receives, as text.
    struct Shown(Vec<String>);

    impl FieldVisitor for Shown {
        fn declared(&mut self, _: usize, field: &'static Field, value: ValueRef<'_>) {
            self.0.push(format!("{} {value:?}", field.name));
        }

        fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
            self.0.push(format!("{name} {value:?}, extra"));
        }
    }

    #[test]
    fn a_fixed_column_is_set_the_last_value_counts_and_everything_else_is_extra() {
        let row = MetricsRow::step(1, 2, 0.5)
            .with("grad_norm", 3.0)
            .with("accuracy", 0.8)
            .with("accuracy", 0.9)
            .with("qubits_used", "four");
        assert!(row.extra().eq([(Name::from("accuracy"), ValueRef::Float(0.9))]));
        let mut shown = Shown(Vec::new());
        row.visit(&mut shown);
        let Shown(shown) = shown;
        assert_eq!(
            shown.len(),
            18 + 2,
            "no duplicate column, except the one that is to be rejected"
        );
        for line in [
            "step Int(2)",
            "grad_norm Float(3.0)",
            "accuracy Float(0.9), extra",
            // The sink rejects a row with an extra column of a fixed column's name.
            "qubits_used Text(\"four\"), extra",
        ] {
            assert!(shown.iter().any(|known| known == line), "{line} of {shown:?}");
        }
    }

    #[test]
    fn the_last_value_counts_however_many_there_are() {
        for count in [FEW - 1, FEW, FEW + 1, 10_000] {
            let names: Vec<_> = (0..count).map(|n| Name::new(&format!("m{n}"))).collect();
            let mut row = MetricsRow::step(0, 0, 0.0);
            for (n, name) in names.iter().enumerate() {
                row.set(*name, n as f64);
            }
            row.set(names[1], 0.5);
            let values: Vec<_> = row.extra().collect();
            assert_eq!(values.len(), count);
            assert_eq!(values[0], (names[0], ValueRef::Float(0.0)));
            assert_eq!(values[1], (names[2], ValueRef::Float(2.0)));
            assert_eq!(values.last(), Some(&(names[1], ValueRef::Float(0.5))));
        }
    }

    #[test]
    fn every_kind_of_value_is_kept() {
        let mut row = MetricsRow::step(0, 0, 0.0);
        row.set("a", f64::NEG_INFINITY).set("b", i64::MIN).set("c", true).set("d", Value::Null);
        let time = Timestamp::nanos(i64::MIN);
        row.set("e", "text").set("f", -0.0).set("g", time).set("h", time.local());
        row.set("i", vec![0.5; 3]).set("j", Vec::<f64>::new());
        let values: Vec<_> = row.extra().map(|(_, value)| value).collect();
        assert_eq!(values[..2], [ValueRef::Float(f64::NEG_INFINITY), ValueRef::Int(i64::MIN)]);
        assert_eq!(values[2..5], [ValueRef::Bool(true), ValueRef::Null, ValueRef::Text("text")]);
        assert!(matches!(values[5], ValueRef::Float(zero) if zero.is_sign_negative()));
        assert_eq!(values[6..8], [ValueRef::Timestamp(time), ValueRef::Timestamp(time.local())]);
        assert_eq!(values[8..], [ValueRef::List(&[0.5; 3]), ValueRef::List(&[])]);
    }
}
