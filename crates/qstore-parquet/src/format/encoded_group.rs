//! A row group without a place in a file: its bytes, and the metadata that will refer to them.
//!
//! The bytes are position-independent until [`EncodedGroup::place`] gives them a place in the file.

use crate::format::entry::range_of;
use crate::format::stored::Stored;
use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::schema::types::SchemaDescPtr;
use std::sync::Arc;

/// Smaller groups have no statistics: they are merged soon, and statistics are most of a footer.
pub(crate) const STATISTICS_ROWS_MIN: usize = 4_096;

/// The offset of the first group that the library writes, after the magic bytes.
const FIRST_OFFSET: u64 = 4;

/// How values become bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coding {
    pub(crate) compression: Compression,
    /// Whether numbers are written in the plain encoding, for readers that support no other.
    pub(crate) is_plain: bool,
    /// Whether the group will be merged soon.
    pub(crate) is_passing: bool,
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
pub(crate) struct EncodedGroups {
    pub(crate) schema: SchemaDescPtr,
    pub(crate) groups: Vec<EncodedGroup>,
}

/// A row group without a place.
#[derive(Debug)]
pub(crate) struct EncodedGroup {
    file: Bytes,
    end: usize,
    pub(crate) columns: Vec<ColumnChunkMetaData>,
    checksums: Vec<Option<u32>>,
    rows: usize,
}

impl EncodedGroup {
    /// A group of `rows` rows whose chunks are back to back, as in a file of its own.
    pub(crate) fn new(file: Bytes, columns: Vec<ColumnChunkMetaData>, rows: usize) -> Self {
        let ranges = columns.iter().map(range_of);
        let checksums = ranges
            .map(|range| Some(crc32c::crc32c(&file[range.start as usize..range.end as usize])))
            .collect();
        let end = columns.last().map_or(FIRST_OFFSET, |last| range_of(last).end) as usize;
        Self { file, end, columns, checksums, rows }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.file.slice(FIRST_OFFSET as usize..self.end)
    }

    /// The offsets of its chunks, relative to the beginning of the bytes.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.columns.iter().map(|chunk| range_of(chunk).start - FIRST_OFFSET).collect()
    }

    /// The group once its bytes are at `offset` of the file.
    pub(crate) fn place(&self, offset: u64, schema: &SchemaDescPtr) -> Result<Stored> {
        let shift = offset as i64 - FIRST_OFFSET as i64;
        let columns = self.columns.iter().map(|chunk| shifted(chunk, shift));
        let metadata = assemble(columns.collect::<Result<_>>()?, self.rows, schema)?;
        Ok(Stored::new(&metadata, &self.checksums))
    }

    /// Its only chunk and that chunk's checksum, once the bytes are at `offset`; for a group of one
    /// column that becomes part of another group.
    pub(crate) fn place_chunk(&self, offset: u64) -> Result<(ColumnChunkMetaData, Option<u32>)> {
        let shift = offset as i64 - FIRST_OFFSET as i64;
        Ok((shifted(&self.columns[0], shift)?, self.checksums[0]))
    }
}

/// A row group of these placed chunks.
pub(crate) fn assemble(
    columns: Vec<ColumnChunkMetaData>,
    rows: usize,
    schema: &SchemaDescPtr,
) -> Result<RowGroupMetaData> {
    let offset = columns.first().map_or(0, |chunk| range_of(chunk).start);
    RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(rows as i64)
        .set_total_byte_size(columns.iter().map(ColumnChunkMetaData::uncompressed_size).sum())
        .set_column_metadata(columns)
        .set_file_offset(offset as i64)
        .build()
}

/// The same chunk, `shift` bytes further on in the file. What was outside the chunk (bloom filters, page
/// indexes) is dropped.
pub(crate) fn shifted(chunk: &ColumnChunkMetaData, shift: i64) -> Result<ColumnChunkMetaData> {
    // Some writers give 0 where there is no such page.
    let moved = |offset: Option<i64>| offset.filter(|offset| *offset > 0).map(|o| o + shift);
    let dictionary = moved(chunk.dictionary_page_offset());
    let index_page = moved(chunk.index_page_offset());
    chunk
        .clone()
        .into_builder()
        .set_data_page_offset(chunk.data_page_offset() + shift)
        .set_dictionary_page_offset(dictionary)
        .set_index_page_offset(index_page)
        .set_bloom_filter_offset(None)
        .set_bloom_filter_length(None)
        .set_column_index_offset(None)
        .set_column_index_length(None)
        .set_offset_index_offset(None)
        .set_offset_index_length(None)
        .build()
}
