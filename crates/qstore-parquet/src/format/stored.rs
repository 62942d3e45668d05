//! A row group of the published file: its entry in the footer, the ranges of its chunks, and their
//! checksums. No more than that is kept for a group that will never change; everything else is in the
//! entry, which is decoded where it is needed.

use crate::format::leaves::Leaf;
use crate::format::{entry, leaves};
use parquet::errors::Result;
use parquet::file::metadata::RowGroupMetaData;
use std::ops::Range;

/// A row group with a place in the file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    rows: usize,
    entry: Box<[u8]>,
    chunks: Box<[Chunk]>,
}

#[derive(Debug, Clone)]
struct Chunk {
    place: Range<u64>,
    /// The crc32c of its bytes; unknown if another program wrote them.
    checksum: Option<u32>,
}

impl Stored {
    /// What is kept of a group with these checksums, one per chunk.
    pub(crate) fn new(metadata: &RowGroupMetaData, checksums: &[Option<u32>]) -> Self {
        let chunks = metadata.columns().iter().zip(checksums);
        let chunk = |(chunk, checksum): (_, &_)| Chunk {
            place: entry::range_of(chunk),
            checksum: *checksum,
        };
        Self {
            // Checked when the footer was read: never negative.
            rows: metadata.num_rows() as usize,
            entry: entry::encode(metadata).into(),
            chunks: chunks.map(chunk).collect(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Its entry in the footer.
    pub(crate) fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The ranges of its chunks.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.chunks.iter().map(|chunk| chunk.place.clone())
    }

    /// The checksum of each chunk, if it is known.
    pub(crate) fn checksums(&self) -> impl Iterator<Item = Option<u32>> {
        self.chunks.iter().map(|chunk| chunk.checksum)
    }

    /// Its decoded entry; `leaves` are the columns of the file.
    pub(crate) fn metadata(&self, leaves: &[Leaf]) -> Result<RowGroupMetaData> {
        entry::decode(&self.entry, &leaves::entries(leaves))
    }
}
