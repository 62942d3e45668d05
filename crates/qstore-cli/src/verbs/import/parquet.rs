//! A Parquet table of another program, such as trackio's: its readable columns, row by row.

use super::Rows;
use crate::failure::Failure;
use crate::rows::row_of;
use qstore_parquet::MetricsFile;
use std::path::Path;

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
