//! The footer's entry for one row group, encoded once: a footer is a list of such entries, and most of
//! them are those of the version before.
//!
//! The library's own writer would encode every entry at every flush, with an order of floats that older
//! readers refuse (see `statistics.rs`) and with counts that no reader of flat tables needs. The fields
//! are those of `parquet.thrift` in the Apache Parquet format.

use crate::format::thrift::{Fields, structure};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::ops::Range;

/// The entry of a row group. It does not contain the number of the group, so that it never changes.
pub(crate) fn encode(group: &RowGroupMetaData) -> Vec<u8> {
    let columns = group.columns();
    let bytes = columns.iter().map(ColumnChunkMetaData::compressed_size).sum();
    let mut entry = Vec::with_capacity(64 * columns.len());
    structure(&mut entry, |fields| {
        fields.structures(1, columns, |chunk, fields| {
            // The offset of metadata beside the chunk: writers have put anything here, readers ignore it.
            fields.long(2, 0);
            fields.structure(3, |fields| describe(chunk, fields));
        });
        fields.long(2, group.total_byte_size());
        fields.long(3, group.num_rows());
        fields.long(5, columns.first().map_or(0, |first| range_of(first).start as i64));
        fields.long(6, bytes);
    });
    entry
}

/// Decodes the entry of a row group in a file with these columns.
pub(crate) fn decode(entry: &[u8], columns: &[Vec<u8>]) -> Result<RowGroupMetaData> {
    let mut footer = Vec::with_capacity(entry.len() + 64 * columns.len());
    structure(&mut footer, |footer| {
        footer.int(1, 2);
        footer.written(2, columns.iter());
        footer.long(3, 0);
        footer.written(4, [entry].into_iter());
    });
    let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
    let group = metadata.into_builder().take_row_groups().pop();
    group.ok_or_else(|| ParquetError::General("the entry of a row group is malformed".into()))
}

/// The range of a chunk in its file.
pub(crate) fn range_of(chunk: &ColumnChunkMetaData) -> Range<u64> {
    let (start, len) = chunk.byte_range();
    start..start + len
}

fn describe(chunk: &ColumnChunkMetaData, fields: &mut Fields<'_>) {
    // These enumerations have the numbers of the format.
    let encodings: Vec<_> = chunk.encodings().map(|encoding| encoding as i32).collect();
    fields.int(1, chunk.column_type() as i32);
    fields.ints(2, &encodings);
    fields.texts(3, chunk.column_path().parts());
    fields.int(4, chunk.compression_codec() as i32);
    fields.long(5, chunk.num_values());
    fields.long(6, chunk.uncompressed_size());
    fields.long(7, chunk.compressed_size());
    fields.long(9, chunk.data_page_offset());
    if let Some(offset) = chunk.index_page_offset() {
        fields.long(10, offset);
    }
    if let Some(offset) = chunk.dictionary_page_offset() {
        fields.long(11, offset);
    }
    if let Some(statistics) = chunk.statistics() {
        fields.structure(12, |fields| bounds(statistics, fields));
    }
    // From these a reader knows whether a dictionary holds all values of a chunk.
    let pages = chunk.page_encoding_stats().filter(|_| chunk.dictionary_page_offset().is_some());
    if let Some(pages) = pages {
        fields.structures(13, pages, |page, fields| {
            fields.int(1, page.page_type as i32);
            fields.int(2, page.encoding as i32);
            fields.int(3, page.count);
        });
    }
}

fn bounds(statistics: &Statistics, fields: &mut Fields<'_>) {
    if let Some(count) = statistics.null_count_opt() {
        fields.long(3, count as i64);
    }
    if let Some(count) = statistics.distinct_count_opt() {
        fields.long(4, count as i64);
    }
    // Bounds in the deprecated fields were found in an order that differs for texts.
    let is_text = matches!(statistics, Statistics::ByteArray(_));
    if statistics.is_min_max_deprecated() && is_text {
        return;
    }
    if let Some(max) = statistics.max_bytes_opt() {
        fields.bytes(5, max);
    }
    if let Some(min) = statistics.min_bytes_opt() {
        fields.bytes(6, min);
    }
}
