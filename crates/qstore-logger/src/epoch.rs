//! One row from the metrics of an epoch.

use crate::error::LogError;
use crate::row::MetricsRow;
use qstore_schema::{Name, Row, SmolStr, TrainingMetrics};

/// The step of a row that sums up an epoch.
const EPOCH_STEP: i64 = -1;

/// Columns that identify the row, which no metric may set.
const RESERVED: [&str; 3] = ["epoch", "step", "timestamp"];

/// One row with step −1. In `train`, `loss` becomes `train_loss` and `circuit_time_ms` becomes
/// `circuit_execution_time_ms`; in `val`, every name gets the prefix `val_` unless it has one. A name
/// that then is a fixed column sets it; every other metric is kept as an extra column.
pub(crate) fn row(epoch: i64, train: &Row, val: &Row) -> Result<MetricsRow, LogError> {
    let mut metrics = TrainingMetrics { epoch, step: EPOCH_STEP, ..TrainingMetrics::default() };
    let mut extra = Vec::new();
    let mut seen: Vec<SmolStr> = Vec::new();
    let named = train.iter().map(|(name, value)| (train_column(name), value));
    let named = named.chain(val.iter().map(|(name, value)| (val_column(name), value)));
    for (name, value) in named {
        if RESERVED.contains(&name.as_str()) {
            return Err(LogError::Reserved { name });
        }
        if seen.contains(&name) {
            return Err(LogError::Duplicate { name });
        }
        if !metrics.set(&name, value)? {
            extra.push((Name::new(&name), value.clone()));
        }
        seen.push(name);
    }
    let row = MetricsRow::from(metrics);
    Ok(extra.into_iter().fold(row, |row, (name, value)| row.with(name, value)))
}

fn train_column(name: &SmolStr) -> SmolStr {
    match name.as_str() {
        "loss" => SmolStr::new_static("train_loss"),
        "circuit_time_ms" => SmolStr::new_static("circuit_execution_time_ms"),
        _ => name.clone(),
    }
}

fn val_column(name: &SmolStr) -> SmolStr {
    if name.starts_with("val_") { name.clone() } else { SmolStr::from_iter(["val_", name]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::ValueRef;

    fn row(train: &Row, val: &Row) -> Result<MetricsRow, LogError> {
        super::row(3, train, val)
    }

    #[test]
    fn every_metric_is_kept() {
        let mut train = Row::from([("loss", 0.5), ("accuracy", 0.8), ("circuit_time_ms", 12.0)]);
        train.set("qubits_used", 4_i64).set("backend", "ion_trap").set("note", "warm");
        let val = Row::from([("loss", 0.6), ("accuracy", 0.7), ("val_f1", 0.65)]);
        let row = row(&train, &val).unwrap();
        let metrics = row.metrics();
        assert_eq!((metrics.epoch, metrics.step), (3, -1));
        assert_eq!((metrics.train_loss, metrics.val_loss), (Some(0.5), Some(0.6)));
        assert_eq!((metrics.circuit_execution_time_ms, metrics.qubits_used), (Some(12.0), Some(4)));
        assert_eq!(metrics.backend.as_deref(), Some("ion_trap"));
        let extra: [(Name, ValueRef<'_>); 4] = [
            ("accuracy".into(), ValueRef::Float(0.8)),
            ("note".into(), ValueRef::Text("warm")),
            ("val_accuracy".into(), ValueRef::Float(0.7)),
            ("val_f1".into(), ValueRef::Float(0.65)),
        ];
        assert!(row.extra().eq(extra));
    }

    /// Regression: an epoch without a loss was recorded with a loss of 0.
    #[test]
    fn what_was_not_measured_is_null() {
        let row = row(&Row::new(), &Row::from([("accuracy", 0.7)])).unwrap();
        let unknown = TrainingMetrics { epoch: 3, step: -1, ..TrainingMetrics::default() };
        assert_eq!(row.metrics(), unknown);
        assert_eq!((unknown.train_loss, unknown.grad_norm, unknown.backend), (None, None, None));
    }

    #[test]
    fn a_metric_that_cannot_be_kept_is_an_error() {
        let duplicate = row(&Row::from([("val_f1", 0.1)]), &Row::from([("f1", 0.2)]));
        assert!(matches!(duplicate, Err(LogError::Duplicate { name }) if name == "val_f1"));
        let reserved = row(&Row::from([("step", 7_i64)]), &Row::new());
        assert!(matches!(reserved, Err(LogError::Reserved { name }) if name == "step"));
        let clash = row(&Row::from([("loss", "low")]), &Row::new());
        assert!(matches!(clash, Err(LogError::Metric(_))));
    }
}
