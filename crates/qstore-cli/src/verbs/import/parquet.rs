//! A Parquet table of another program, such as trackio's: its readable columns, row by row.

use super::Rows;
use crate::failure::Failure;
use crate::rows::row_of;
use qstore_parquet::MetricsFile;
use qstore_schema::{DataType, Field};
use std::path::Path;

/// The columns that a run of this file has, also where no row has a value.
pub(super) fn columns(path: &Path, is_one_of_many: bool) -> Result<Vec<Field>, Failure> {
    let file = MetricsFile::open(path)?;
    let is_taken_out = |field: &Field| is_one_of_many && field.name == "run_name";
    let fields = file.fields().iter().filter(|field| !is_taken_out(field));
    let as_in_a_run = |field: &Field| {
        let is_time = matches!(field.data_type, DataType::Int64 | DataType::Timestamp { .. });
        let is_seconds = field.name == "timestamp" && is_time;
        let data_type = if is_seconds { DataType::Float64 } else { field.data_type };
        Field { data_type, ..field.clone() }
    };
    // A text may turn out to be a time, so the column of such texts is what its first value says.
    let is_open = |field: &Field| field.name == "timestamp" && field.data_type == DataType::Utf8;
    Ok(fields.filter(|field| !is_open(field)).map(as_in_a_run).collect())
}

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let file = MetricsFile::open(path)?;
    for (name, reason) in file.unreadable() {
        rows.console.note(format!("column {name} is left out: {reason}"));
    }
    let names: Vec<_> = file.fields().iter().map(|field| field.name.clone()).collect();
    let wanted: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    for batch in file.batches(&wanted, 0..file.rows())? {
        let batch = batch?;
        for row in 0..batch.rows {
            rows.push(names.iter().cloned().zip(row_of(&batch, row)).collect())?;
        }
    }
    Ok(())
}
