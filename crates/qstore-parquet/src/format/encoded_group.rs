//! A row group without a place in a file: its bytes, and the entries that will refer to them.
//!
//! The bytes are position-independent until [`EncodedGroup::place`] gives them a place in the file.

use crate::format::entry::ChunkEntry;
use crate::format::leaves::Leaf;
use crate::format::span_table::SpanTable;
use crate::format::spans::{ColumnSpans, Part};
use crate::format::stored::Stored;
use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel, Type as Physical, ZstdLevel};

/// Smaller groups have no statistics: they are merged soon, and statistics are most of a footer.
pub(crate) const STATISTICS_ROWS_MIN: usize = 4_096;

/// How values become bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coding {
    pub(crate) compression: Compression,
    /// Whether numbers are written in the plain encoding, for readers that support no other.
    pub(crate) is_plain: bool,
    /// Whether the group will be merged soon.
    pub(crate) is_passing: bool,
    /// Whether a group that will not be merged soon gets a table of its spans.
    pub(crate) has_spans: bool,
}

impl Coding {
    /// The fastest coding, for groups that will be merged soon: their size does not matter for long, and
    /// their rows are encoded three times for each full group.
    pub(crate) fn passing(self) -> Self {
        let compression = match self.compression {
            Compression::GZIP(level) if level.compression_level() > 1 => {
                GzipLevel::try_new(1).map_or(self.compression, Compression::GZIP)
            }
            Compression::ZSTD(_) => Compression::ZSTD(ZstdLevel::default()),
            other => other,
        };
        Self { compression, is_passing: true, ..self }
    }
}

/// Row groups of one version, without a place.
#[derive(Debug)]
pub(crate) struct EncodedGroups {
    pub(crate) groups: Vec<EncodedGroup>,
}

/// A row group without a place.
#[derive(Debug)]
pub(crate) struct EncodedGroup {
    bytes: Bytes,
    /// The chunks, with offsets relative to the beginning of the bytes.
    pub(crate) chunks: Vec<ChunkEntry>,
    checksums: Vec<u32>,
    rows: usize,
    /// Where the table of its spans is, and the list of its chunks that are not finite.
    table: Option<(SpanTable, String)>,
}

impl EncodedGroup {
    /// A group of `rows` rows whose chunks are back to back.
    pub(crate) fn new(
        bytes: Bytes,
        chunks: Vec<ChunkEntry>,
        checksums: Vec<u32>,
        rows: usize,
    ) -> Self {
        Self { bytes, chunks, checksums, rows, table: None }
    }

    /// The same, with the table of its spans, which is among the bytes, and the list of its chunks that are
    /// not finite.
    pub(crate) fn with_table(mut self, table: Option<(SpanTable, String)>) -> Self {
        self.table = table;
        self
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The offsets of its chunks, relative to the beginning of the bytes.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.chunks.iter().map(|chunk| chunk.range().start).collect()
    }

    /// The group once its bytes are at `offset` of the file.
    pub(crate) fn place(&self, offset: u64, leaves: &[Leaf]) -> Stored {
        let mut stored = Stored::new(self.rows, self.chunks.len());
        self.place_into(&mut stored, offset, leaves);
        if let Some((table, odd)) = &self.table {
            stored.set_table(table.moved(offset));
            stored.set_odd(odd.clone());
        }
        stored.shrink();
        stored
    }

    /// The spans of its only chunk, whose values are those that `before` is about, as numbers perhaps of
    /// another type.
    pub(crate) fn spans_like(&self, before: &ColumnSpans) -> ColumnSpans {
        let mut spans = before.clone();
        let is_float = self.chunks[0].physical == Physical::DOUBLE;
        for span in &mut spans.spans {
            span.part = Part::default();
            if let Some(facts) = span.facts.as_mut().filter(|_| is_float) {
                *facts = facts.as_floats();
            }
        }
        spans.dictionary = Part::default();
        if let [span] = &mut spans.spans[..] {
            let data_at = self.chunks[0].data_at as usize;
            let (dictionary, pages) = self.bytes.split_at(data_at);
            spans.dictionary = Part::of(dictionary);
            span.part = Part::of(pages);
        }
        spans
    }

    /// Adds its chunks to a group of as many rows, once the bytes are at `offset`; `leaves` are those of the
    /// chunks.
    pub(crate) fn place_into(&self, group: &mut Stored, offset: u64, leaves: &[Leaf]) {
        for ((chunk, checksum), leaf) in self.chunks.iter().zip(&self.checksums).zip(leaves) {
            let mut chunk = chunk.clone();
            chunk.move_to(offset + chunk.range().start);
            group.push(&chunk, Some(*checksum), &leaf.path());
        }
    }
}
