//! What is logged: the fixed columns, and whatever else there is to say.

use qstore_schema::{Field, FieldVisitor, Record, SmolStr, TrainingMetrics, Value};
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
    extra: SmallVec<[(SmolStr, Value); INLINE]>,
}

impl MetricsRow {
    /// A row of one training step; the other columns have their defaults.
    #[must_use]
    pub fn step(epoch: i64, step: i64, train_loss: f64) -> Self {
        TrainingMetrics { epoch, step, train_loss, ..TrainingMetrics::default() }.into()
    }

    /// Adds a metric, or sets the fixed column of that name. Up to four, with names and texts of up
    /// to 23 bytes, take no heap memory. A value that does not fit its column makes the sink reject
    /// the row and count it.
    #[must_use]
    pub fn with(mut self, name: impl Into<SmolStr>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        if !matches!(self.metrics.set(&name, &value), Ok(true)) {
            self.set_extra(name, value);
        }
        self
    }

    /// The metrics beside the fixed columns, in the order they were added.
    pub fn extra(&self) -> &[(SmolStr, Value)] {
        &self.extra
    }

    fn set_extra(&mut self, name: SmolStr, value: Value) {
        match self.extra.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.extra.push((name, value)),
        }
    }
}

impl From<TrainingMetrics> for MetricsRow {
    fn from(metrics: TrainingMetrics) -> Self {
        Self { metrics, extra: SmallVec::new() }
    }
}

/// Epoch, step and training loss.
impl From<(i64, i64, f64)> for MetricsRow {
    fn from((epoch, step, train_loss): (i64, i64, f64)) -> Self {
        Self::step(epoch, step, train_loss)
    }
}

impl Record for MetricsRow {
    const DECLARED: &'static [Field] = TrainingMetrics::DECLARED;

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        self.metrics.visit(visitor);
        for (name, value) in &self.extra {
            visitor.extra(name, value.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A ring of rows is an array of them: a larger row is a longer copy in every push.
    #[test]
    fn a_row_has_its_known_size_and_a_bit_pattern_to_spare() {
        assert_eq!((size_of::<TrainingMetrics>(), size_of::<MetricsRow>()), (192, 400));
        assert_eq!(size_of::<Option<MetricsRow>>(), size_of::<MetricsRow>());
    }

    #[test]
    fn a_fixed_column_is_set_and_everything_else_is_extra() {
        let row = MetricsRow::step(1, 2, 0.5)
            .with("grad_norm", 3.0)
            .with("accuracy", 0.8)
            .with("accuracy", 0.9)
            .with("qubits_used", "four");
        assert_eq!((row.metrics.epoch, row.metrics.step, row.metrics.grad_norm), (1, 2, 3.0));
        let extra = [("accuracy".into(), 0.9.into()), ("qubits_used".into(), "four".into())];
        assert_eq!(row.extra(), extra, "what does not fit is left to the sink to reject");
    }
}
