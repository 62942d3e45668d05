//! Encodes rows as one row group.
//!
//! Floats are split into byte streams and integers into deltas, which compresses metrics best. A
//! dictionary pays only for text, which repeats. Floats, which are most of a table, and everything in small
//! groups is encoded without the library: see `page_writer.rs`.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup, STATISTICS_ROWS_MIN};
use crate::format::entry::{ChunkEntry, range_of};
use crate::format::list_levels::{Flat, Levels, by_row};
use crate::format::page_writer::{self, PAGE_ROWS_MAX, PageWriter};
use crate::format::shape::Shape;
use bytes::Bytes;
use parquet::basic::{Encoding, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, FloatType, Int32Type,
    Int64Type,
};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use qstore_schema::SmolStr;
use std::sync::Arc;
use std::vec::IntoIter;

/// The number of texts that are passed on at a time: the batch size of the library.
const TEXTS_AT_ONCE: usize = 1_024;

/// The number of elements of lists that are passed on at a time, or the length of one list that has more.
const ELEMENTS_AT_ONCE: usize = 1 << 14;

/// Encodes these columns, all of `rows` rows, into memory of `buffers`. They are those of the shape from
/// number `first` on.
pub(crate) fn encode(
    columns: &[Column],
    rows: usize,
    (shape, first): (&Shape, usize),
    coding: Coding,
    buffers: &Buffers,
) -> Result<EncodedGroup> {
    let is_ours = |column: &Column| {
        page_writer::suits(column) || coding.is_passing && page_writer::suits_small(column, rows)
    };
    let theirs: Vec<_> = (0..columns.len()).filter(|number| !is_ours(&columns[*number])).collect();
    let theirs = by_library(columns, rows, theirs, (shape, first), coding, buffers)?;
    let mut theirs = theirs.peekable();
    let mut writer = PageWriter::new(coding, rows)?;
    let mut file = buffers.take();
    let (mut chunks, mut checksums) =
        (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
    for (number, column) in columns.iter().enumerate() {
        let (chunk, checksum) = match theirs.next_if(|chunk| chunk.number == number) {
            Some(chunk) => chunk.append(&mut file),
            None => writer.append(column, shape.leaves[first + number].physical, &mut file)?,
        };
        chunks.push(chunk);
        checksums.push(checksum);
    }
    Ok(EncodedGroup::new(buffers.freeze(file), chunks, checksums, rows))
}

/// A chunk that the library has encoded, as in a file of its own.
struct TheirChunk {
    number: usize,
    entry: ChunkEntry,
    file: Bytes,
}

impl TheirChunk {
    fn append(self, file: &mut Vec<u8>) -> (ChunkEntry, u32) {
        let Self { mut entry, file: found, .. } = self;
        let range = entry.range();
        let bytes = &found[range.start as usize..range.end as usize];
        entry.move_to(file.len() as u64);
        file.extend_from_slice(bytes);
        (entry, crc32c::crc32c(bytes))
    }
}

/// Encodes the columns with these numbers.
fn by_library(
    columns: &[Column],
    rows: usize,
    numbers: Vec<usize>,
    (shape, first): (&Shape, usize),
    coding: Coding,
    buffers: &Buffers,
) -> Result<IntoIter<TheirChunk>> {
    if numbers.is_empty() {
        return Ok(Vec::new().into_iter());
    }
    let chosen: Vec<_> = numbers.iter().map(|number| &columns[*number]).collect();
    let schema = shape.describe(numbers.iter().map(|number| first + number))?;
    let properties = Arc::new(properties(&chosen, rows, &schema, coding));
    let mut writer =
        SerializedFileWriter::new(buffers.take(), schema.root_schema_ptr(), properties)?;
    let mut group = writer.next_row_group()?;
    for (column, descriptor) in chosen.iter().zip(schema.columns()) {
        write_column(&mut group, column, rows, descriptor)?;
    }
    let metadata = group.close()?;
    let file = buffers.freeze(writer.into_inner()?);
    let chunks = metadata.columns().iter().zip(numbers).map(|(chunk, number)| {
        debug_assert!(range_of(chunk).end <= file.len() as u64, "it was written there");
        let mut entry = ChunkEntry::of(chunk);
        if matches!(columns[number].values, HeldValues::List(_)) {
            // Readers disagree on what a null among the elements of lists is.
            entry.bounds = None;
        }
        TheirChunk { number, entry, file: file.clone() }
    });
    Ok(chunks.collect::<Vec<_>>().into_iter())
}

fn properties(
    columns: &[&Column],
    rows: usize,
    schema: &SchemaDescriptor,
    coding: Coding,
) -> WriterProperties {
    let statistics = if rows >= STATISTICS_ROWS_MIN {
        EnabledStatistics::Chunk
    } else {
        EnabledStatistics::None
    };
    let mut builder = WriterProperties::builder()
        .set_compression(coding.compression)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(true)
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_dictionary_enabled(false);
    for (column, descriptor) in columns.iter().zip(schema.columns()) {
        let path = descriptor.path().clone();
        let encoding = |modern| if coding.is_plain { Encoding::PLAIN } else { modern };
        builder = match column.values {
            HeldValues::Bool(_) => builder.set_column_encoding(path, encoding(Encoding::RLE)),
            HeldValues::Int(_) => {
                builder.set_column_encoding(path, encoding(Encoding::DELTA_BINARY_PACKED))
            }
            HeldValues::Float(_) | HeldValues::List(_) => {
                builder.set_column_encoding(path, encoding(Encoding::BYTE_STREAM_SPLIT))
            }
            HeldValues::Text(_) => builder.set_column_dictionary_enabled(path, true),
        };
    }
    builder.build()
}

/// Writes a column. Numbers of 32 bits are those of another program's column; they fit, which was checked
/// when they were taken.
fn write_column(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    column: &Column,
    rows: usize,
    descriptor: &ColumnDescriptor,
) -> Result<()> {
    let physical = descriptor.physical_type();
    let levels = column.field.nullable.then(|| column.present.levels(rows));
    let levels = levels.as_deref();
    match &column.values {
        HeldValues::Bool(values) => write::<BoolType>(group, values, levels),
        HeldValues::Int(values) if physical == Physical::INT32 => {
            let values: Vec<_> = values.iter().map(|value| *value as i32).collect();
            write::<Int32Type>(group, &values, levels)
        }
        HeldValues::Float(values) if physical == Physical::FLOAT => {
            let values: Vec<_> = values.iter().map(|value| *value as f32).collect();
            write::<FloatType>(group, &values, levels)
        }
        HeldValues::Int(values) => write::<Int64Type>(group, values, levels),
        HeldValues::Float(values) => write::<DoubleType>(group, values, levels),
        HeldValues::Text(values) => write_texts(group, values, levels),
        HeldValues::List(lists) => write_lists(group, lists, levels, descriptor),
    }
}

/// Texts, a batch at a time: the library's representation of a text takes more memory than the text.
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

/// Lists, some rows at a time: as one sequence of elements they would be in memory twice.
fn write_lists(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    lists: &[Arc<[f64]>],
    present: Option<&[i16]>,
    descriptor: &ColumnDescriptor,
) -> Result<()> {
    let levels = Levels::of(descriptor, present.is_some());
    let mut rows = by_row(lists, present.unwrap_or_default()).peekable();
    let (mut writer, mut flat) = (next_column(group)?, Flat::default());
    while rows.peek().is_some() {
        flat.clear();
        while flat.definition.len() < ELEMENTS_AT_ONCE
            && let Some(list) = rows.next()
        {
            flat.push(list, levels);
        }
        let Flat { elements, definition, repetition } = &flat;
        let (definition, repetition) = (Some(&definition[..]), Some(&repetition[..]));
        if descriptor.physical_type() == Physical::FLOAT {
            let elements: Vec<_> = elements.iter().map(|element| *element as f32).collect();
            writer.typed::<FloatType>().write_batch(&elements, definition, repetition)?;
        } else {
            writer.typed::<DoubleType>().write_batch(elements, definition, repetition)?;
        }
    }
    writer.close()
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

#[cfg(test)]
mod page_writer_tests;
