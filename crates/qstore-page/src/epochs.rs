//! The rows that sum up epochs.

use crate::error::PageError;
use crate::number::Number;
use crate::summary::{number, numbers};
use qstore_parquet::Values;
use qstore_run::RunReader;
use serde::Serialize;

/// The newest epochs that are listed.
const EPOCHS_MAX: usize = 500;

/// The rows that sum up epochs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Epochs {
    schema: &'static str,
    columns: Vec<String>,
    /// The newest 500, in the order of the file.
    rows: Vec<Vec<Option<Number>>>,
    /// How many there are.
    count: usize,
}

impl Epochs {
    /// The rows whose step is −1, of those that count. Only parts of the file that have one are read.
    pub(crate) fn read(reader: &RunReader) -> Result<Self, PageError> {
        let schema = "qstore.page.epochs/1";
        let Some(file) = reader.metrics()? else { return Ok(Self { schema, ..Self::default() }) };
        let has = |name: &str| file.fields().iter().any(|field| field.name == name);
        if !has("step") || !has("epoch") {
            return Ok(Self { schema, ..Self::default() });
        }
        let mut found = Vec::new();
        for part in reader.current_rows()? {
            for bounds in file.bounds("step", part.rows.clone())? {
                let may_have = bounds
                    .min
                    .as_ref()
                    .is_none_or(|least| number(least).is_none_or(|least| least < 0.0));
                let rows =
                    bounds.rows.start.max(part.rows.start)..bounds.rows.end.min(part.rows.end);
                if may_have && !rows.is_empty() {
                    let table = file.read(&["step"], rows.clone())?;
                    let Some(Values::Int(steps)) = table.column("step") else { continue };
                    let summing = steps.iter().enumerate().filter(|(_, step)| **step == Some(-1));
                    found.extend(summing.map(|(at, _)| rows.start + at as u64));
                }
            }
        }
        let count = found.len();
        let shown = found.split_off(count.saturating_sub(EPOCHS_MAX));
        let mut columns = vec!["epoch".to_owned()];
        columns.extend(numbers(reader)?);
        let names: Vec<_> = columns.iter().map(String::as_str).collect();
        let mut rows = Vec::new();
        for row in shown {
            let table = file.read(&names, row..row + 1)?;
            let value = |name: &&str| match table.column(name) {
                Some(Values::Int(values)) => values[0].map(|value| Number(value as f64)),
                Some(Values::Float(values)) => values[0].map(Number),
                _ => None,
            };
            rows.push(names.iter().map(value).collect());
        }
        let mut epochs = Self { schema, columns, rows, count };
        epochs.leave_out_empty();
        Ok(epochs)
    }

    /// Columns that no such row has say nothing here.
    fn leave_out_empty(&mut self) {
        let has: Vec<bool> = (0..self.columns.len())
            .map(|at| self.rows.iter().any(|row| row[at].is_some()))
            .collect();
        let mut at = 0;
        self.columns.retain(|_| {
            at += 1;
            has[at - 1]
        });
        for row in &mut self.rows {
            let kept = row.drain(..).zip(&has).filter(|(_, has)| **has).map(|(value, _)| value);
            *row = kept.collect();
        }
    }
}
