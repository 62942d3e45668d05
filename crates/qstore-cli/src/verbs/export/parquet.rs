//! Rows as a Parquet file of their own: full row groups, columns in their order, every type
//! kept, and every column and row, also those without a value.

use super::row_sink::RowSink;
use crate::console::Console;
use crate::failure::Failure;
use crate::row_file::RowFile;
use qstore_schema::{Field, Row, SmolStr, Value};
use std::path::Path;

pub(super) struct Parquet {
    file: RowFile,
    names: Vec<SmolStr>,
}

impl Parquet {
    pub(super) fn create(path: &Path, is_forced: bool) -> Result<Self, Failure> {
        Ok(Self { file: RowFile::create(path, "", is_forced)?, names: Vec::new() })
    }
}

impl RowSink for Parquet {
    fn begin(&mut self, fields: &[Field], _: &mut Console<'_>) -> Result<(), Failure> {
        self.names = fields.iter().map(|field| field.name.clone()).collect();
        self.file.columns(fields.iter().cloned());
        Ok(())
    }

    fn row(&mut self, row: &[Value], _: &mut Console<'_>) -> Result<(), Failure> {
        let values = self.names.iter().zip(row).filter(|(_, value)| **value != Value::Null);
        let row: Row = values.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.file.push(&row)
    }

    fn finish(self: Box<Self>, _: &mut Console<'_>) -> Result<u64, Failure> {
        self.file.finish()
    }
}
