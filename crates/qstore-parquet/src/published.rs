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
        let groups = metadata.row_groups().to_vec();
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
        contain(|| {
            let rows = self.groups[group].num_rows() as usize;
            let nullable = self.fields[column].nullable;
            let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::new());
            let reader = self.reader()?.get_row_group(group)?.get_column_reader(column)?;
            get_typed_column_reader::<Int64Type>(reader).read_records(
                rows,
                nullable.then_some(&mut levels),
                None,
                &mut values,
            )?;
            Ok::<_, ParquetError>((values, levels))
        })
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
