//! A published version of the file: open, immutable, and described by its metadata.

use crate::format::encoded_group;
use crate::format::footer::Footer;
use crate::format::leaves;
use crate::format::leaves::Leaf;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::format::statistics;
use crate::format::stored::Stored;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use qstore_schema::Field;
use qstore_storage::{FileHandle, Stamp};
use std::fmt;
use std::sync::Arc;

/// A published file. It is never written; a flush replaces it.
pub(crate) struct Published {
    pub(crate) file: Arc<dyn FileHandle>,
    /// The stamp of the file when it was published; unknown if it cannot be written once it is
    /// retired.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) fields: Vec<Field>,
    /// How each column is stored.
    pub(crate) leaves: Vec<Leaf>,
    /// Shared with the versions before and after: most of them never change.
    pub(crate) groups: Vec<Arc<Stored>>,
    /// Where the footer begins.
    pub(crate) data_end: u64,
    /// The length of the file.
    pub(crate) len: u64,
    /// The key-value metadata of its footer.
    pub(crate) keys: Vec<KeyValue>,
    /// The crc32c of the bytes from `data_end` on; unknown if they could not be read.
    pub(crate) end_sum: Option<u32>,
}

impl Published {
    /// An existing file.
    pub(crate) fn found(
        file: Arc<dyn FileHandle>,
        stamp: Option<Stamp>,
        footer: Footer,
    ) -> ParquetResult<Self> {
        let Footer { metadata, checksums, start } = footer;
        let keys = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let leaves = leaves::read(metadata.file_metadata().schema_descr());
        let fields = leaves.iter().map(|leaf| leaf.field.clone()).collect();
        // bounded: they are in the footer
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for (number, group) in metadata.row_groups().iter().enumerate() {
            // pandas writes a group without rows for an empty table; it holds nothing to keep.
            if group.num_rows() == 0 {
                continue;
            }
            // Page indexes and filters of other writers are in bytes that will be overwritten.
            let chunks = group.columns().iter().enumerate().map(|(number, chunk)| {
                let chunk = encoded_group::shifted(chunk, 0)?;
                statistics::of_found(chunk, number, metadata.file_metadata())
            });
            let chunks = chunks.collect::<ParquetResult<_>>()?;
            let group = group.clone().into_builder().set_column_metadata(chunks).build()?;
            let checksums = checksums.get(number).cloned();
            // bounded: they are in the footer
            let checksums = checksums.unwrap_or_else(|| vec![None; group.num_columns()]);
            groups.push(Arc::new(Stored::new(&group, &checksums)));
        }
        let end_sum = None;
        // Completed by `with_end_sum`, which reads the end.
        let (data_end, len) = (start, start);
        Ok(Self { file, stamp, fields, leaves, groups, data_end, len, keys, end_sum })
    }

    /// The same, with what a writer needs to recognize its file.
    pub(crate) fn with_end_sum(mut self) -> Result<Self, ReadFailure> {
        let file = ReadAt::new(Arc::clone(&self.file))?;
        self.len = file.len();
        self.end_sum = Some(end_sum(&file, self.data_end)?);
        Ok(self)
    }

    /// Whether the file still holds what was published, as far as its checksums tell. Reads all of it.
    pub(crate) fn is_intact(&self) -> Result<bool, ReadFailure> {
        let file = ReadAt::new(Arc::clone(&self.file))?;
        if file.len() < self.data_end || Some(end_sum(&file, self.data_end)?) != self.end_sum {
            return Ok(false);
        }
        for group in &self.groups {
            for (range, sum) in group.ranges().zip(group.checksums()) {
                let Some(sum) = sum else { continue };
                let bytes = file.bytes(range.start, (range.end - range.start) as usize)?;
                if crc32c::crc32c(&bytes) != sum {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The number of bytes in its chunks.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let chunks = self.groups.iter().flat_map(|group| group.ranges());
        chunks.map(|range| range.end - range.start).sum()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.groups.iter().map(|group| group.rows() as u64).sum()
    }
}

fn end_sum(file: &ReadAt, data_end: u64) -> Result<u32, ReadFailure> {
    let len = file.len().saturating_sub(data_end);
    Ok(crc32c::crc32c(&file.bytes(data_end, len as usize)?))
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("encoded_groups", &self.groups.len())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}
