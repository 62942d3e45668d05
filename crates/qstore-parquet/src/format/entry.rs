//! The footer's entries for row groups and their chunks, encoded once: a footer is a list of such entries,
//! and most of them are those of the version before.
//!
//! The library's own writer would encode every entry at every flush, with an order of floats that older
//! readers refuse (see `statistics.rs`) and with counts that no reader of flat tables needs. The fields
//! are those of `parquet.thrift` in the Apache Parquet format.

use crate::format::leaves::{Columns, Path};
use crate::format::thrift::{Fields, structure};
use parquet::basic::{Compression, Encoding, Type as Physical};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use std::cmp::Ordering;
use std::ops::Range;

/// What the footer says about a chunk. It takes a tenth of the memory of the library's description, and
/// there may be ten thousand of them in a group.
#[derive(Debug, Clone)]
pub(crate) struct ChunkEntry {
    pub(crate) physical: Physical,
    pub(crate) codec: Compression,
    /// A bit for each encoding, by its number in the format.
    pub(crate) encodings: u16,
    pub(crate) values: u64,
    pub(crate) full_len: u64,
    pub(crate) len: u64,
    pub(crate) data_at: u64,
    pub(crate) dictionary_at: Option<u64>,
    pub(crate) index_at: Option<u64>,
    pub(crate) bounds: Option<Box<Bounds>>,
    /// The type and the encoding of pages and their number, of a chunk with a dictionary: from these a
    /// reader knows whether the dictionary holds all values.
    pub(crate) pages: Box<[[i32; 3]]>,
}

/// The statistics of a chunk; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) nulls: Option<u64>,
    pub(crate) distinct: Option<u64>,
    pub(crate) min: Option<Box<[u8]>>,
    pub(crate) max: Option<Box<[u8]>>,
}

/// The bit of an encoding.
pub(crate) fn bit(encoding: Encoding) -> u16 {
    // The enumeration has the numbers of the format, of which there are ten.
    1 << encoding as u16
}

impl ChunkEntry {
    /// The entry of a chunk that the library has described. What is outside the chunk (bloom filters, page
    /// indexes) is dropped.
    pub(crate) fn of(chunk: &ColumnChunkMetaData) -> Self {
        // Some writers give 0 where there is no such page.
        let offset = |offset: Option<i64>| offset.filter(|at| *at > 0).map(|at| at as u64);
        let dictionary_at = offset(chunk.dictionary_page_offset());
        let pages = chunk.page_encoding_stats().filter(|_| dictionary_at.is_some());
        let pages = pages.into_iter().flatten();
        let pages = pages.map(|page| [page.page_type as i32, page.encoding as i32, page.count]);
        // What was found in a file was checked before: nothing is negative.
        Self {
            physical: chunk.column_type(),
            codec: chunk.compression(),
            encodings: chunk.encodings().fold(0, |all, encoding| all | bit(encoding)),
            values: chunk.num_values() as u64,
            full_len: chunk.uncompressed_size() as u64,
            len: chunk.compressed_size() as u64,
            data_at: chunk.data_page_offset() as u64,
            dictionary_at,
            index_at: offset(chunk.index_page_offset()),
            bounds: chunk.statistics().map(|statistics| Box::new(Bounds::of(statistics))),
            pages: pages.collect(),
        }
    }

    /// The range of the chunk in its file.
    pub(crate) fn range(&self) -> Range<u64> {
        let start = self.dictionary_at.unwrap_or(self.data_at);
        start..start + self.len
    }

    /// Moves the chunk to that offset.
    pub(crate) fn move_to(&mut self, start: u64) {
        let old = self.range().start;
        // What is before the chunk is outside it, and dropped.
        let moved = |at: u64| Some(at.checked_sub(old)? + start);
        self.data_at = self.data_at - old + start;
        self.dictionary_at = self.dictionary_at.and_then(moved);
        self.index_at = self.index_at.and_then(moved);
    }

    /// Appends the entry, for the column of that path.
    pub(crate) fn append(&self, path: &Path<'_>, entries: &mut Vec<u8>) {
        structure(entries, |fields| {
            // The offset of metadata beside the chunk: writers have put anything here, readers ignore it.
            fields.long(2, 0);
            fields.structure(3, |fields| self.describe(path, fields));
        });
    }

    fn describe(&self, path: &Path<'_>, fields: &mut Fields<'_>) {
        let numbers = (0..u16::BITS).filter(|number| self.encodings >> number & 1 == 1);
        let mut encodings = [0; u16::BITS as usize];
        let mut count = 0;
        for number in numbers {
            encodings[count] = number as i32;
            count += 1;
        }
        fields.int(1, self.physical as i32);
        fields.ints(2, &encodings[..count]);
        fields.texts(3, path.parts());
        fields.int(4, codec_number(self.codec));
        fields.long(5, self.values as i64);
        fields.long(6, self.full_len as i64);
        fields.long(7, self.len as i64);
        fields.long(9, self.data_at as i64);
        if let Some(at) = self.index_at {
            fields.long(10, at as i64);
        }
        if let Some(at) = self.dictionary_at {
            fields.long(11, at as i64);
        }
        if let Some(bounds) = &self.bounds {
            fields.structure(12, |fields| bounds.describe(fields));
        }
        if !self.pages.is_empty() {
            fields.structures(13, &self.pages, |page, fields| {
                for (number, fact) in (1..).zip(page) {
                    fields.int(number, *fact);
                }
            });
        }
    }
}

impl Bounds {
    fn of(statistics: &Statistics) -> Self {
        let mut bounds = Self {
            nulls: statistics.null_count_opt(),
            distinct: statistics.distinct_count_opt(),
            ..Self::default()
        };
        // Bounds in the deprecated fields were found in an order that differs for texts.
        let is_text = matches!(statistics, Statistics::ByteArray(_));
        if !(statistics.is_min_max_deprecated() && is_text) {
            bounds.min = statistics.min_bytes_opt().map(Box::from);
            bounds.max = statistics.max_bytes_opt().map(Box::from);
        }
        bounds
    }

    /// The statistics of these values and of others; `are_null` tells of which all are. Only the nulls if
    /// the order of the type is not known.
    pub(crate) fn with(&self, other: &Self, are_null: [bool; 2], order: Option<Physical>) -> Self {
        let joined = |one: &Option<Box<[u8]>>, two: &Option<Box<[u8]>>, wanted: Ordering| {
            let (one, two, order) = (one.as_deref()?, two.as_deref()?, order?);
            let first = if compare(order, two, one)? == wanted { two } else { one };
            Some(Box::from(first))
        };
        let (min, max) = match are_null {
            [true, _] => (other.min.clone(), other.max.clone()),
            [_, true] => (self.min.clone(), self.max.clone()),
            _ => (
                joined(&self.min, &other.min, Ordering::Less),
                joined(&self.max, &other.max, Ordering::Greater),
            ),
        };
        let known = order.is_some();
        let nulls = self.nulls.zip(other.nulls).map(|(one, two)| one + two);
        Self { nulls, distinct: None, min: min.filter(|_| known), max: max.filter(|_| known) }
    }

    fn describe(&self, fields: &mut Fields<'_>) {
        if let Some(count) = self.nulls {
            fields.long(3, count as i64);
        }
        if let Some(count) = self.distinct {
            fields.long(4, count as i64);
        }
        if let Some(max) = &self.max {
            fields.bytes(5, max);
        }
        if let Some(min) = &self.min {
            fields.bytes(6, min);
        }
    }
}

/// Compares two bounds; `None` if they cannot be.
fn compare(order: Physical, one: &[u8], other: &[u8]) -> Option<Ordering> {
    match order {
        Physical::INT32 => {
            number(one).map(i32::from_le_bytes)?.partial_cmp(&i32::from_le_bytes(number(other)?))
        }
        Physical::INT64 => {
            number(one).map(i64::from_le_bytes)?.partial_cmp(&i64::from_le_bytes(number(other)?))
        }
        Physical::FLOAT => {
            number(one).map(f32::from_le_bytes)?.partial_cmp(&f32::from_le_bytes(number(other)?))
        }
        Physical::DOUBLE => {
            number(one).map(f64::from_le_bytes)?.partial_cmp(&f64::from_le_bytes(number(other)?))
        }
        Physical::BYTE_ARRAY => Some(one.cmp(other)),
        _ => None,
    }
}

fn number<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// The number of a codec in the format.
fn codec_number(codec: Compression) -> i32 {
    match codec {
        Compression::UNCOMPRESSED => 0,
        Compression::SNAPPY => 1,
        Compression::GZIP(_) => 2,
        Compression::LZO => 3,
        Compression::BROTLI(_) => 4,
        Compression::LZ4 => 5,
        Compression::ZSTD(_) => 6,
        Compression::LZ4_RAW => 7,
    }
}

/// A row group of chunks whose entries are encoded already. It does not contain the number of the group,
/// so that it never changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupEntry<'a> {
    pub(crate) chunks: usize,
    pub(crate) entries: &'a [u8],
    pub(crate) rows: u64,
    /// Where its first chunk begins.
    pub(crate) start: u64,
    pub(crate) full_len: u64,
    pub(crate) len: u64,
}

impl GroupEntry<'_> {
    /// Writes the fields of the entry.
    pub(crate) fn describe(&self, fields: &mut Fields<'_>) {
        fields.joined(1, self.chunks, self.entries);
        fields.long(2, self.full_len as i64);
        fields.long(3, self.rows as i64);
        fields.long(5, self.start as i64);
        fields.long(6, self.len as i64);
    }

    /// Decodes the entry, in a file of these columns.
    pub(crate) fn decode(&self, columns: &Columns) -> Result<RowGroupMetaData> {
        let mut footer = Vec::with_capacity(self.entries.len() + columns.entries.len() + 64);
        structure(&mut footer, |footer| {
            footer.int(1, 2);
            footer.joined(2, columns.count, &columns.entries);
            footer.long(3, 0);
            footer.structures(4, &[()], |(), group| self.describe(group));
        });
        let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
        let group = metadata.into_builder().take_row_groups().pop();
        group.ok_or_else(|| ParquetError::General("the entry of a row group is malformed".into()))
    }
}

/// The range of a chunk in its file.
pub(crate) fn range_of(chunk: &ColumnChunkMetaData) -> Range<u64> {
    let (start, len) = chunk.byte_range();
    start..start + len
}
