//! Rows of a metrics file as values, whatever their columns' types are.

use crate::console::Console;
use crate::failure::Failure;
use qstore_parquet::{Table, TableColumn, Values};
use qstore_run::RunReader;
use qstore_schema::{DataType, Timestamp, Value};
use std::ops::Range;
use std::path::Path;

/// The value of one row of a table; null after the last. A count of a column of times is a time.
#[must_use]
pub(crate) fn value_of(column: &TableColumn, row: usize) -> Value {
    let value = match (&column.values, column.field.data_type) {
        (Values::Int(counts), DataType::Timestamp { unit, is_utc }) => {
            let time = counts.get(row).copied().flatten().map(|count| Timestamp::new(count, unit));
            time.map(|time| Value::from(if is_utc { time } else { time.local() }))
        }
        (values, _) => values.get(row),
    };
    value.unwrap_or_default()
}

/// One row of a table.
#[must_use]
pub(crate) fn row_of(table: &Table, row: usize) -> Vec<Value> {
    table.columns.iter().map(|column| value_of(column, row)).collect()
}

/// Whether this row of a table summarizes an epoch: its step is -1.
#[must_use]
pub(crate) fn is_summary(table: &Table, row: usize) -> bool {
    table.column("step").and_then(|steps| steps.get(row)) == Some(Value::Int(-1))
}
/// A number of a column of numbers; `None` if the row has none.
#[must_use]
pub(crate) fn number_of(values: &Values, row: usize) -> Option<f64> {
    match values {
        Values::Float(list) => *list.get(row)?,
        Values::Int(list) => (*list.get(row)?).map(|value| value as f64),
        Values::Bool(list) => (*list.get(row)?).map(|value| f64::from(u8::from(value))),
        _ => None,
    }
}

/// The rows of a run that count, and not those that a resumed attempt has replaced.
pub(crate) fn current_ranges(
    run: &Path,
    console: &Console<'_>,
) -> Result<Vec<Range<u64>>, Failure> {
    let run = RunReader::open_in(console.place().clone(), run)?;
    Ok(run.current_rows()?.into_iter().map(|part| part.rows).collect())
}
