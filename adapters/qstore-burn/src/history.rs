//! The metrics of the epochs that have ended, in this process and before.

use qstore_parquet::Values;
use qstore_run::{RunError, RunReader};
use qstore_schema::{Row, Value};
use std::collections::HashMap;

/// Rows that are read at a time.
const BLOCK: u64 = 65_536;

/// One number for each epoch, metric and split.
#[derive(Debug, Default)]
pub(crate) struct History {
    values: HashMap<(usize, String), f64>,
}

impl History {
    /// What the rows of a run that count say of its epochs, up to this one.
    pub(crate) fn read(run: &RunReader, last: u64) -> Result<Self, RunError> {
        let mut history = Self::default();
        let Some(file) = run.metrics()? else { return Ok(history) };
        let names: Vec<_> = file.fields().iter().map(|field| field.name.as_str()).collect();
        for current in run.current_rows()? {
            let mut start = current.rows.start;
            while start < current.rows.end {
                let rows = start..(start + BLOCK).min(current.rows.end);
                start = rows.end;
                let index = file.read(&["epoch", "step"], rows.clone())?;
                let (Some(Values::Int(epochs)), Some(Values::Int(steps))) =
                    (index.column("epoch"), index.column("step"))
                else {
                    return Ok(history);
                };
                // Most blocks have no row of an epoch, or a few.
                for (at, (epoch, step)) in epochs.iter().zip(steps).enumerate() {
                    let epoch = epoch.and_then(|epoch| u64::try_from(epoch).ok());
                    let (Some(epoch), Some(-1)) = (epoch.filter(|epoch| *epoch <= last), step)
                    else {
                        continue;
                    };
                    let row = rows.start + at as u64;
                    let table = file.read(&names, row..row + 1)?;
                    for name in &names {
                        if let Some(Values::Float(values)) = table.column(name)
                            && let [Some(value)] = values[..]
                        {
                            history.values.insert((epoch as usize, (*name).to_owned()), value);
                        }
                    }
                }
            }
        }
        Ok(history)
    }

    /// An epoch that has ended.
    pub(crate) fn add(&mut self, epoch: usize, train: &Row, valid: &Row) {
        for (row, is_valid) in [(train, false), (valid, true)] {
            for (name, value) in row.iter() {
                if let Value::Float(value) = value {
                    self.values.insert((epoch, column(name, is_valid)), *value);
                }
            }
        }
    }

    pub(crate) fn get(&self, epoch: usize, metric: &str, is_valid: bool) -> Option<f64> {
        self.values.get(&(epoch, column(metric, is_valid))).copied()
    }
}

/// As `log_epoch` names it.
fn column(metric: &str, is_valid: bool) -> String {
    match (metric, is_valid) {
        (metric, true) => format!("val_{metric}"),
        ("loss", false) => "train_loss".to_owned(),
        (metric, false) => metric.to_owned(),
    }
}
