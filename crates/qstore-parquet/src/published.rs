//! The file as readers see it now: open, immutable, and described by its metadata.

use crate::footer::{self, Footer};
use crate::read_at::{ReadAt, contain};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use qstore_schema::Field;
use qstore_storage::StorageFile;
use std::fmt;
use std::sync::Arc;

/// A published file. It is never written; a flush replaces it.
pub(crate) struct Published {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) fields: Vec<Field>,
    pub(crate) groups: Vec<RowGroupMetaData>,
    /// Where the footer begins.
    pub(crate) data_end: u64,
    /// Bytes of merged row groups that are still there although the footer does not mention them.
    pub(crate) dead_bytes: u64,
    /// What its footer says beside the metadata.
    pub(crate) keys: Vec<KeyValue>,
}

impl Published {
    /// Takes over a file that was found.
    pub(crate) fn found(file: Arc<dyn StorageFile>, footer: Footer, fields: Vec<Field>) -> Self {
        let Footer { metadata, start } = footer;
        let keys = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
        // pandas writes a group without rows for an empty table; there is nothing in it to keep.
        let mut groups = metadata.row_groups().to_vec();
        groups.retain(|group| group.num_rows() > 0);
        // Between the groups and the footer others keep page indexes, we nothing but the dead.
        let is_ours = keys.iter().any(|key| key.key == footer::FORMAT_VERSION_KEY);
        let dead_bytes = if is_ours {
            start - footer::MAGIC.len() as u64 - groups.iter().map(stored_bytes).sum::<u64>()
        } else {
            0
        };
        Self { file, fields, data_end: start, dead_bytes, keys, groups }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.groups.iter().map(|group| group.num_rows() as u64).sum()
    }

    /// All integers stored in one column of one row group, and a level per row if it is nullable.
    pub(crate) fn integers(
        &self,
        group: usize,
        column: usize,
    ) -> std::result::Result<(Vec<i64>, Vec<i16>), String> {
        let rows = self.groups[group].num_rows() as usize;
        let nullable = self.fields[column].nullable;
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let read = || -> Result<()> {
            // Found again by where it lies: groups without rows are not in our list.
            let reader = self.reader()?;
            let offset = self.groups[group].column(column).data_page_offset();
            let number = (0..reader.num_row_groups())
                .find(|n| {
                    let chunk = reader.metadata().row_group(*n).column(column);
                    chunk.num_values() > 0 && chunk.data_page_offset() == offset
                })
                .ok_or_else(|| ParquetError::General("the row group is gone".into()))?;
            let reader = reader.get_row_group(number)?.get_column_reader(column)?;
            get_typed_column_reader::<Int64Type>(reader).read_records(
                rows,
                nullable.then_some(&mut levels),
                None,
                &mut values,
            )?;
            Ok(())
        };
        contain(read)?.map_err(|error| error.to_string())?;
        let there: usize = levels.iter().map(|level| usize::from(*level == 1)).sum();
        let is_whole = if nullable {
            levels.len() == rows && values.len() == there
        } else {
            values.len() == rows
        };
        if is_whole { Ok((values, levels)) } else { Err("it has fewer rows than it claims".into()) }
    }

    /// A reader of the whole file.
    pub(crate) fn reader(&self) -> Result<SerializedFileReader<ReadAt>> {
        SerializedFileReader::new(ReadAt::new(Arc::clone(&self.file))?)
    }
}

/// Bytes of a row group's column chunks.
pub(crate) fn stored_bytes(group: &RowGroupMetaData) -> u64 {
    group.columns().iter().map(|chunk| chunk.byte_range().1).sum()
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("row_groups", &self.groups.len())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}
