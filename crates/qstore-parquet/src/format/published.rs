//! A published version of the file: open, immutable, and described by its metadata.

use crate::format::entry::ChunkEntry;
use crate::format::footer::Footer;
use crate::format::leaves;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::format::shape::Shape;
use crate::format::span_table::SpanTable;
use crate::format::spans::Spans;
use crate::format::statistics;
use crate::format::stored::Stored;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use qstore_storage::{FileHandle, Stamp};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A published file. It is never written; a flush replaces it.
pub(crate) struct Published {
    pub(crate) file: Arc<dyn FileHandle>,
    /// The stamp of the file when it was published; unknown if it cannot be written once it is
    /// retired.
    pub(crate) stamp: Option<Stamp>,
    /// Its columns.
    pub(crate) shape: Arc<Shape>,
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
    /// The group whose entry was decoded last, and what was found: the next chunk is mostly of the same one.
    pub(crate) decoded: Mutex<Option<(usize, Arc<RowGroupMetaData>)>>,
    /// The same of spans.
    pub(crate) split: Mutex<Option<(usize, Arc<Spans>)>>,
}

impl Published {
    /// An existing file.
    pub(crate) fn found(file: Arc<dyn FileHandle>, stamp: Option<Stamp>, footer: Footer) -> Self {
        let Footer { metadata, checksums, tables, odd, start } = footer;
        let keys = metadata.file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let shape = Shape::of(leaves::read(metadata.file_metadata().schema_descr()));
        // bounded: they are in the footer
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        for (number, group) in metadata.row_groups().iter().enumerate() {
            // pandas writes a group without rows for an empty table; it holds nothing to keep.
            if group.num_rows() == 0 {
                continue;
            }
            // Page indexes and filters of other writers are in bytes that will be overwritten.
            // Checked when the footer was read: the number of rows is not negative.
            let mut stored = Stored::new(group.num_rows() as usize, group.num_columns());
            let checksums = checksums.get(number).map_or(&[][..], Vec::as_slice);
            for (column, chunk) in group.columns().iter().enumerate() {
                let mut entry = ChunkEntry::of(chunk);
                if !statistics::is_known(column, metadata.file_metadata()) {
                    entry.bounds = None;
                }
                let checksum = checksums.get(column).copied().flatten();
                stored.push(&entry, checksum, &shape.leaves[column].path());
            }
            if let Some(table) = tables.get(number).cloned().flatten() {
                stored.set_table(table);
                stored.set_odd(odd.get(number).cloned().unwrap_or_default());
            }
            groups.push(Arc::new(stored));
        }
        Self {
            file,
            stamp,
            shape: Arc::new(shape),
            // Completed by `with_end_sum`, which reads the end.
            data_end: start,
            len: start,
            keys,
            groups,
            end_sum: None,
            decoded: Mutex::default(),
            split: Mutex::default(),
        }
    }

    /// The decoded entry of a group.
    pub(crate) fn group(&self, number: usize) -> ParquetResult<Arc<RowGroupMetaData>> {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, group)) = decoded.as_ref().filter(|(known, _)| *known == number) {
            return Ok(Arc::clone(group));
        }
        let group = Arc::new(self.groups[number].metadata(&self.shape)?);
        *decoded = Some((number, Arc::clone(&group)));
        Ok(group)
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

    /// The spans of a group; `None` if it has no table of them, and is read as a whole.
    pub(crate) fn spans(&self, number: usize) -> Result<Option<Arc<Spans>>, ReadFailure> {
        let group = &self.groups[number];
        let Some(SpanTable { range, checksum }) = group.table() else { return Ok(None) };
        let mut split = self.split.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, spans)) = split.as_ref().filter(|(known, _)| *known == number) {
            return Ok(Some(Arc::clone(spans)));
        }
        let damaged = || ReadFailure::damaged("the table of its spans is damaged");
        let file = ReadAt::new(Arc::clone(&self.file))?;
        let table = file.bytes(range.start, (range.end - range.start) as usize)?;
        // mutant: span_table_checksum_not_compared
        if crc32c::crc32c(&table) != *checksum {
            return Err(damaged());
        }
        // bounded: they are in the footer
        let chunks: Vec<_> = (0..group.len())
            .filter_map(|column| group.range(column))
            .map(|range| range.end - range.start)
            .collect();
        let spans = Spans::decode(&table, group.rows(), &chunks).ok_or_else(damaged)?;
        let spans = Arc::new(spans);
        *split = Some((number, Arc::clone(&spans)));
        Ok(Some(spans))
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
