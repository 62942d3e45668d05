//! The metrics all contenders are given: training steps with seeded random values.

use crate::Result;
use qstore_schema::{Field, FieldVisitor, Record, SmolStr, TrainingMetrics, ValueRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// That many steps, the same in every run. Every float is random in all its bits, which is the
/// hardest case for a compressor; counters count and the backend repeats, as in a real run.
pub(crate) fn random(count: usize) -> Vec<TrainingMetrics> {
    let mut random = fastrand::Rng::with_seed(17);
    (0..count).map(|number| step(number as i64, &mut random)).collect()
}

fn step(number: i64, random: &mut fastrand::Rng) -> TrainingMetrics {
    TrainingMetrics {
        epoch: number / 1_000,
        step: number,
        timestamp: 1_700_000_000.0 + number as f64 * 0.005 + random.f64() * 0.001,
        train_loss: Some(random.f64()),
        val_loss: (number % 10 == 0).then(|| random.f64()),
        grad_norm: Some(random.f64()),
        grad_max: Some(random.f64()),
        grad_min: Some(-random.f64()),
        circuit_execution_time_ms: Some(20.0 * random.f64()),
        circuits_executed: Some(random.i64(1..100)),
        qubits_used: Some(8),
        shots_per_circuit: Some(1024),
        backend: Some(SmolStr::new_static("simulator")),
        queue_time_ms: Some(5.0 * random.f64()),
        cost_usd: Some(0.01 * random.f64()),
        credits_used: None,
        batch_time_ms: Some(30.0 * random.f64()),
        throughput_samples_per_sec: Some(1_000.0 * random.f64()),
    }
}

/// Steps as they stand in a file that programs in other languages can read, too.
#[derive(Debug, Serialize, Deserialize)]
struct Workload {
    columns: Vec<String>,
    /// Values in the order of the columns.
    steps: Vec<Vec<Value>>,
}

/// Writes steps into a JSON file.
pub(crate) fn write(path: &Path, steps: &[TrainingMetrics]) -> Result {
    let columns = TrainingMetrics::DECLARED.iter().map(|field| field.name.to_string()).collect();
    let values = |step: &TrainingMetrics| {
        let mut values = Values(vec![Value::Null; TrainingMetrics::DECLARED.len()]);
        step.visit(&mut values);
        values.0
    };
    let workload = Workload { columns, steps: steps.iter().map(values).collect() };
    Ok(fs::write(path, serde_json::to_string(&workload)?)?)
}

/// Reads the steps that [`write()`] wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<TrainingMetrics>> {
    let workload: Workload = serde_json::from_str(&fs::read_to_string(path)?)?;
    let mut steps = Vec::with_capacity(workload.steps.len());
    for values in &workload.steps {
        let mut step = TrainingMetrics::default();
        for (column, value) in workload.columns.iter().zip(values) {
            step.set(column, value_of(value))?;
        }
        steps.push(step);
    }
    Ok(steps)
}

fn value_of(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(number) => ValueRef::Int(number),
            None => ValueRef::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => ValueRef::Text(text),
        _ => ValueRef::Null,
    }
}

/// The values of a step, by column.
struct Values(Vec<Value>);

impl FieldVisitor for Values {
    fn declared(&mut self, index: usize, _: &'static Field, value: ValueRef<'_>) {
        self.0[index] = match value {
            ValueRef::Bool(value) => value.into(),
            ValueRef::Int(value) => value.into(),
            ValueRef::Float(value) => value.into(),
            ValueRef::Text(value) => value.into(),
            _ => Value::Null,
        };
    }

    fn extra(&mut self, _: &SmolStr, _: ValueRef<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workload.json");
        let steps = random(100);
        write(&path, &steps).unwrap();
        assert_eq!(read(&path).unwrap(), steps);
    }
}
