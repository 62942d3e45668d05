//! The file as readers see it now: open, immutable, and described by its metadata.

use crate::footer::{self, Footer};
use bytes::{Buf, Bytes};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::SerializedFileReader;
use qstore_schema::Field;
use qstore_storage::StorageFile;
use std::fmt;
use std::io::Read;
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
        footer::contain(|| {
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

/// Lets the Parquet library read through the storage seam.
#[derive(Debug, Clone)]
pub(crate) struct ReadAt {
    file: Arc<dyn StorageFile>,
    len: u64,
}

impl ReadAt {
    pub(crate) fn new(file: Arc<dyn StorageFile>) -> Result<Self> {
        let len = file.len().map_err(external)?;
        Ok(Self { file, len })
    }
}

impl Length for ReadAt {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for ReadAt {
    type T = Cursor;

    fn get_read(&self, start: u64) -> Result<Cursor> {
        Ok(Cursor { from: self.clone(), offset: start, block: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Checked before anything is allocated: the length comes out of the file.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.len)));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(start, &mut bytes).map_err(external)?;
        Ok(bytes.into())
    }
}

/// Reads forwards in blocks; page headers are parsed from it byte by byte.
#[derive(Debug)]
pub(crate) struct Cursor {
    from: ReadAt,
    offset: u64,
    block: Bytes,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        const BLOCK: u64 = 8 * 1024;
        if self.block.is_empty() {
            let length = self.from.len.saturating_sub(self.offset).min(BLOCK);
            self.block = self.from.get_bytes(self.offset, length as usize)?;
            self.offset += length;
        }
        let count = buffer.len().min(self.block.len());
        self.block.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn external(error: qstore_storage::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
