//! What is logged: the fixed columns, and whatever else there is to say.

use qstore_schema::{Field, FieldVisitor, Name, Record, SmolStr, TrainingMetrics, Value, ValueRef};
use smallvec::SmallVec;

/// Extra metrics that fit without heap memory.
const INLINE: usize = 4;

/// One row: [`TrainingMetrics`] and further metrics by name.
///
/// ```
/// use qstore_logger::MetricsRow;
/// use qstore_schema::TrainingMetrics;
///
/// // In one line, or with all fields by name.
/// let short = MetricsRow::step(0, 17, 0.42).with("accuracy", 0.9);
/// let long = MetricsRow::from(TrainingMetrics {
///     epoch: 0,
///     step: 17,
///     train_loss: 0.42,
///     qubits_used: 4,
///     ..TrainingMetrics::default()
/// });
/// assert_eq!(short.metrics.train_loss, long.metrics.train_loss);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsRow {
    /// The fixed columns.
    pub metrics: TrainingMetrics,
    extra: SmallVec<[(Name, Extra); INLINE]>,
}

/// A value in two words: a row is copied on every push.
#[derive(Debug, Clone, PartialEq)]
enum Extra {
    Float(f64),
    Int(i64),
    Bool(bool),
    /// A text or a null; rare enough to live on the heap.
    Other(Box<Value>),
}

impl MetricsRow {
    /// A row of one training step; the other columns have their defaults.
    #[inline]
    #[must_use]
    pub fn step(epoch: i64, step: i64, train_loss: f64) -> Self {
        TrainingMetrics { epoch, step, train_loss, ..TrainingMetrics::default() }.into()
    }

    /// Adds a metric, or sets the fixed column of that name. The first four numbers and flags take no
    /// heap memory; a text does. A value that does not fit its column makes the sink reject the row
    /// and count it.
    #[inline]
    #[must_use]
    pub fn with(mut self, name: impl Into<Name>, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// As [`with`](Self::with), in place.
    #[inline]
    pub fn set(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        if !matches!(self.metrics.set(&name, &value), Ok(true)) {
            self.set_extra(name, value.into());
        }
        self
    }

    /// The metrics beside the fixed columns, in the order they were added.
    pub fn extra(&self) -> impl ExactSizeIterator<Item = (Name, ValueRef<'_>)> {
        self.extra.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    #[inline]
    fn set_extra(&mut self, name: Name, value: Extra) {
        match self.extra.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.extra.push((name, value)),
        }
    }
}

impl Extra {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Float(v) => ValueRef::Float(*v),
            Self::Int(v) => ValueRef::Int(*v),
            Self::Bool(v) => ValueRef::Bool(*v),
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
            other => Self::Other(Box::new(other)),
        }
    }
}

impl From<TrainingMetrics> for MetricsRow {
    #[inline]
    fn from(metrics: TrainingMetrics) -> Self {
        Self { metrics, extra: SmallVec::new() }
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
        self.metrics.visit(visitor);
        for (name, value) in self.extra() {
            visitor.extra(&SmolStr::new_static(name.as_str()), value);
        }
    }

    fn label(&self) -> Option<i64> {
        Some(self.metrics.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A ring of rows is an array of them: a larger row is a longer copy in every push.
    #[test]
    fn a_row_has_its_known_size() {
        assert_eq!((size_of::<TrainingMetrics>(), size_of::<MetricsRow>()), (192, 336));
    }

    #[test]
    fn a_fixed_column_is_set_and_everything_else_is_extra() {
        let row = MetricsRow::step(1, 2, 0.5)
            .with("grad_norm", 3.0)
            .with("accuracy", 0.8)
            .with("accuracy", 0.9)
            .with("qubits_used", "four");
        assert_eq!((row.metrics.epoch, row.metrics.step, row.metrics.grad_norm), (1, 2, 3.0));
        let extra = [
            ("accuracy".into(), ValueRef::Float(0.9)),
            ("qubits_used".into(), ValueRef::Text("four")),
        ];
        assert!(row.extra().eq(extra), "what does not fit is left to the sink to reject");
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let mut row = MetricsRow::step(0, 0, 0.0);
        row.set("a", f64::NEG_INFINITY).set("b", i64::MIN).set("c", true).set("d", Value::Null);
        row.set("e", "text").set("f", -0.0);
        let values: Vec<_> = row.extra().map(|(_, value)| value).collect();
        assert_eq!(values[..2], [ValueRef::Float(f64::NEG_INFINITY), ValueRef::Int(i64::MIN)]);
        assert_eq!(values[2..5], [ValueRef::Bool(true), ValueRef::Null, ValueRef::Text("text")]);
        assert!(matches!(values[5], ValueRef::Float(zero) if zero.is_sign_negative()));
    }
}
