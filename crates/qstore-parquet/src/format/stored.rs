//! A row group of the published file: its entry in the footer, the ranges of its chunks, and their
//! checksums. No more than that is kept for a group that will never change; everything else is in the
//! entry, which is decoded where it is needed.

use crate::format::checksums;
use crate::format::entry::{ChunkEntry, GroupEntry};
use crate::format::leaves::Path;
use crate::format::shape::Shape;
use crate::format::span_table::SpanTable;
use parquet::errors::Result;
use parquet::file::metadata::RowGroupMetaData;
use std::ops::Range;
use std::sync::OnceLock;

/// With more chunks than that, those of a group begin at multiples of some bytes, relative to its beginning:
/// then a group can be placed so that none of them begins where one of an earlier group began. Of few chunks
/// that is so in most places.
pub(crate) const CHUNKS_MANY: usize = 256;

/// These bytes; a column of nulls has about as many.
pub(crate) const STEP: u64 = 32;

/// The bytes of which the beginnings of that many chunks are multiples.
pub(crate) fn step(chunks: usize) -> u64 {
    if chunks > CHUNKS_MANY { STEP } else { 1 }
}

/// About the bytes of a chunk's entry, with a name of two dozen letters.
const ENTRY_BYTES: usize = 56;

/// A row group with a place in the file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    rows: usize,
    /// The entries of its chunks, one after the other.
    entries: Vec<u8>,
    /// Their checksums as the footer has them.
    sums: String,
    full_len: u64,
    /// The bytes of its chunks.
    len: u64,
    chunks: Vec<Chunk>,
    /// Where the table of its spans is.
    table: Option<SpanTable>,
    /// Its list of chunks that are not finite, as the footer has it.
    odd: String,
    /// All of its bytes.
    extents: OnceLock<Vec<Range<u64>>>,
}

#[derive(Debug, Clone)]
struct Chunk {
    place: Range<u64>,
    /// The crc32c of its bytes; unknown if another program wrote them.
    checksum: Option<u32>,
}

impl Stored {
    /// A group without chunks so far.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let (odd, extents) = (String::new(), OnceLock::new());
        // bounded: the columns are in memory
        let (chunks, sums) = (Vec::with_capacity(columns), String::with_capacity(8 * columns));
        Self {
            rows,
            entries: Vec::with_capacity(ENTRY_BYTES * columns), // bounded: the same
            sums,
            full_len: 0,
            len: 0,
            chunks,
            table: None,
            odd,
            extents,
        }
    }

    /// Adds the chunk of the next column, which has that path.
    pub(crate) fn push(&mut self, chunk: &ChunkEntry, checksum: Option<u32>, path: &Path<'_>) {
        chunk.append(path, &mut self.entries);
        checksums::append(checksum, &mut self.sums);
        self.full_len += chunk.full_len;
        self.len += chunk.len;
        self.extents = OnceLock::new();
        self.chunks.push(Chunk { place: chunk.range(), checksum });
    }

    /// Gives back memory that no further chunk will need: the group may be kept for days.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.sums.shrink_to_fit();
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Its entry in the footer.
    pub(crate) fn entry(&self) -> GroupEntry<'_> {
        GroupEntry {
            chunks: self.chunks.len(),
            entries: &self.entries,
            rows: self.rows as u64,
            start: self.chunks.first().map_or(0, |first| first.place.start),
            full_len: self.full_len,
            len: self.len,
        }
    }

    /// The ranges of its chunks, and of the table of its spans.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let table = self.table.iter().map(|table| table.range.clone());
        self.chunks.iter().map(|chunk| chunk.place.clone()).chain(table)
    }

    /// The same as few ranges, sorted; see [`extents`].
    pub(crate) fn extents(&self) -> &[Range<u64>] {
        self.extents.get_or_init(|| extents(self.ranges().collect()))
    }

    /// Where the table of its spans is, if it has one.
    pub(crate) fn table(&self) -> Option<&SpanTable> {
        self.table.as_ref()
    }

    pub(crate) fn set_table(&mut self, table: SpanTable) {
        self.table = Some(table);
        self.extents = OnceLock::new();
    }

    /// The list of its chunks that are not finite, as the footer has it.
    pub(crate) fn odd(&self) -> &str {
        &self.odd
    }

    pub(crate) fn set_odd(&mut self, odd: String) {
        self.odd = odd;
    }

    /// The range of a chunk.
    pub(crate) fn range(&self, column: usize) -> Option<Range<u64>> {
        self.chunks.get(column).map(|chunk| chunk.place.clone())
    }

    /// The checksum of a chunk, if it is known.
    pub(crate) fn checksum(&self, column: usize) -> Option<u32> {
        self.chunks.get(column)?.checksum
    }

    /// The checksum of each chunk, if it is known, and that of the table.
    pub(crate) fn checksums(&self) -> impl Iterator<Item = Option<u32>> {
        let table = self.table.iter().map(|table| Some(table.checksum));
        self.chunks.iter().map(|chunk| chunk.checksum).chain(table)
    }

    /// The checksums as the footer has them.
    pub(crate) fn sums(&self) -> &str {
        &self.sums
    }

    /// Its decoded entry, in a file of that shape.
    pub(crate) fn metadata(&self, shape: &Shape) -> Result<RowGroupMetaData> {
        self.entry().decode(shape.columns())
    }
}

/// The same bytes as sorted ranges, no two adjacent.
pub(crate) fn merged(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    merged_across(ranges, 0)
}

/// The same bytes, and the unused ones between the chunks of a wide group, as sorted ranges: else it would be ten
/// thousand ranges to look at and to copy.
pub(crate) fn extents(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    merged_across(ranges, STEP - 1)
}

/// The same bytes, and those between two ranges that are at most `gap` bytes apart, as sorted ranges.
fn merged_across(mut ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
