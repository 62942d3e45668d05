//! Rows of a metrics file as values, whatever their columns' types are.

use qstore_parquet::{Table, TableColumn, Values};
use qstore_schema::{DataType, Timestamp, Value};

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
