//! A row group of the published file: what the footer says of it, and the checksums of its chunks.

use crate::entry;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use std::ops::Range;

/// A row group that has its place in the file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) metadata: RowGroupMetaData,
    /// The same as it stands in the footer.
    pub(crate) entry: Vec<u8>,
    /// The crc32c of each column chunk; unknown where another writer wrote it.
    pub(crate) checksums: Vec<Option<u32>>,
}

impl Stored {
    pub(crate) fn new(metadata: RowGroupMetaData, checksums: Vec<Option<u32>>) -> Self {
        Self { entry: entry::encode(&metadata), metadata, checksums }
    }

    pub(crate) fn rows(&self) -> usize {
        // Checked when the footer was read: never negative.
        self.metadata.num_rows() as usize
    }

    /// Where its chunks lie.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.metadata.columns().iter().map(range_of)
    }
}

/// Where a chunk lies in its file.
pub(crate) fn range_of(chunk: &ColumnChunkMetaData) -> Range<u64> {
    let (start, len) = chunk.byte_range();
    start..start + len
}
