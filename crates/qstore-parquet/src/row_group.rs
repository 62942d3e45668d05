//! Encodes held rows as one row group: its bytes, and the metadata that will point into them.
//!
//! The bytes are position-independent until [`EncodedGroup::place`] says where in the file they go.
//! Floats are split into byte streams and integers into deltas, which compresses metrics best; a
//! dictionary pays only for text, which repeats.

use crate::buffers::Buffers;
use crate::rows::{Column, Values};
use crate::small_group;
use crate::statistics;
use crate::stored::{Stored, range_of};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type,
};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::types::{ColumnPath, SchemaDescPtr};
use qstore_schema::SmolStr;
use std::sync::Arc;

/// Smaller groups carry no statistics: they are merged soon, and statistics are most of a footer.
pub(crate) const STATISTICS_ROWS_MIN: usize = 4_096;

/// Where the library starts the first group of a file, behind the magic bytes.
const FIRST_OFFSET: u64 = 4;

/// As many as the library takes at a time itself.
const TEXTS_AT_ONCE: usize = 1_024;

/// How values become bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coding {
    pub(crate) compression: Compression,
    /// Whether numbers are written as they are, for readers that know nothing newer.
    pub(crate) is_plain: bool,
    /// Whether what is encoded will be merged before long.
    pub(crate) is_passing: bool,
}

impl Coding {
    /// What is fastest, for groups that will be merged before long: what is saved on them is not saved
    /// for long, and they are encoded three times for each full group.
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

/// A row group without a place.
#[derive(Debug)]
pub(crate) struct EncodedGroup {
    file: Bytes,
    end: usize,
    pub(crate) columns: Vec<ColumnChunkMetaData>,
    checksums: Vec<Option<u32>>,
    rows: usize,
}

/// Encodes these columns, all of so many rows, into memory of `buffers`; `schema` describes exactly
/// them.
pub(crate) fn encode(
    columns: &[Column],
    rows: usize,
    schema: &SchemaDescPtr,
    coding: Coding,
    buffers: &Buffers,
) -> Result<EncodedGroup> {
    if coding.is_passing && small_group::suits(columns, rows) {
        return small_group::encode(columns, rows, schema, coding, buffers);
    }
    let properties = Arc::new(properties(columns, rows, coding));
    let mut writer =
        SerializedFileWriter::new(buffers.take(), schema.root_schema_ptr(), properties)?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        write_column(&mut group, column)?;
    }
    let metadata = group.close()?;
    let chunks = metadata.columns().iter().zip(columns);
    let columns = chunks.map(|(chunk, column)| statistics::settled(chunk, column));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(EncodedGroup::new(buffers.freeze(writer.into_inner()?), columns, rows))
}

impl EncodedGroup {
    /// A group of so many rows whose chunks stand one behind the other, as in a file of its own.
    pub(crate) fn new(file: Bytes, columns: Vec<ColumnChunkMetaData>, rows: usize) -> Self {
        let checksum = |chunk: &ColumnChunkMetaData| {
            let range = range_of(chunk);
            crc32c::crc32c(&file[range.start as usize..range.end as usize])
        };
        let checksums = columns.iter().map(|chunk| Some(checksum(chunk))).collect();
        let end = columns.last().map_or(FIRST_OFFSET, |last| range_of(last).end) as usize;
        Self { file, end, columns, checksums, rows }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.file.slice(FIRST_OFFSET as usize..self.end)
    }

    /// Where its chunks begin, from the beginning of the bytes.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.columns.iter().map(|chunk| range_of(chunk).start - FIRST_OFFSET).collect()
    }

    /// The group once its bytes stand at `offset` of the file.
    pub(crate) fn place(&self, offset: u64, schema: &SchemaDescPtr) -> Result<Stored> {
        let shift = offset as i64 - FIRST_OFFSET as i64;
        let columns = self.columns.iter().map(|chunk| shifted(chunk, shift));
        let metadata = assemble(columns.collect::<Result<_>>()?, self.rows, schema)?;
        Ok(Stored::new(&metadata, &self.checksums))
    }

    /// Its one chunk and that chunk's checksum, once the bytes stand at `offset`; for a group of one
    /// column that becomes part of another.
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

/// The same chunk, `shift` bytes further on in the file. What lay outside the chunk (bloom filters,
/// page indexes) is let go.
pub(crate) fn shifted(chunk: &ColumnChunkMetaData, shift: i64) -> Result<ColumnChunkMetaData> {
    // Some writers say 0 where there is no such page.
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

fn properties(columns: &[Column], rows: usize, coding: Coding) -> WriterProperties {
    let statistics = if rows >= STATISTICS_ROWS_MIN {
        EnabledStatistics::Chunk
    } else {
        EnabledStatistics::None
    };
    let mut builder = WriterProperties::builder()
        .set_compression(coding.compression)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false);
    for column in columns {
        let path = ColumnPath::from(column.field.name.as_str());
        let encoding = |modern| if coding.is_plain { Encoding::PLAIN } else { modern };
        builder = match column.values {
            Values::Bool(_) => builder.set_column_encoding(path, encoding(Encoding::RLE)),
            Values::Int64(_) => {
                builder.set_column_encoding(path, encoding(Encoding::DELTA_BINARY_PACKED))
            }
            Values::Float64(_) => {
                builder.set_column_encoding(path, encoding(Encoding::BYTE_STREAM_SPLIT))
            }
            Values::Utf8(_) => builder.set_column_dictionary_enabled(path, true),
        };
    }
    builder.build()
}

fn write_column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, column: &Column) -> Result<()> {
    let levels = column.field.nullable.then_some(column.levels.as_slice());
    match &column.values {
        Values::Bool(values) => write::<BoolType>(group, values, levels),
        Values::Int64(values) => write::<Int64Type>(group, values, levels),
        Values::Float64(values) => write::<DoubleType>(group, values, levels),
        Values::Utf8(values) => write_texts(group, values, levels),
    }
}

/// Texts, a page's worth at a time: as what the library wants them they take more than they are.
fn write_texts(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[SmolStr],
    levels: Option<&[i16]>,
) -> Result<()> {
    let mut column = next_column(group)?;
    let (mut values, mut levels) = (values.iter(), levels);
    let mut shared: Option<ByteArray> = None;
    let mut texts = Vec::with_capacity(TEXTS_AT_ONCE.min(values.len()));
    while values.len() > 0 || levels.is_some_and(|levels| !levels.is_empty()) {
        let (mut now, mut count) = (None, TEXTS_AT_ONCE);
        if let Some(all) = levels {
            let (first, rest) = all.split_at(TEXTS_AT_ONCE.min(all.len()));
            count = first.iter().filter(|level| **level == 1).count();
            (now, levels) = (Some(first), Some(rest));
        }
        texts.clear();
        texts.extend(values.by_ref().take(count).map(|text| {
            let repeated = shared.take().filter(|last| last.data() == text.as_bytes());
            let text = repeated.unwrap_or_else(|| ByteArray::from(text.as_str()));
            shared = Some(text.clone());
            text
        }));
        column.typed::<ByteArrayType>().write_batch(&texts, now, None)?;
    }
    column.close()
}

fn write<T: ParquetType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let mut column = next_column(group)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn next_column<'a>(
    group: &'a mut SerializedRowGroupWriter<'_, Vec<u8>>,
) -> Result<SerializedColumnWriter<'a>> {
    Ok(group.next_column()?.expect("the schema describes as many columns as there are"))
}
