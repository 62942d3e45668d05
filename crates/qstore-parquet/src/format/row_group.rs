//! Encodes rows as one row group.
//!
//! Floats are split into byte streams and integers into deltas, which compresses metrics best. A
//! dictionary pays only for text, which repeats. Small groups take another path: see `small_group.rs`.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup, STATISTICS_ROWS_MIN};
use crate::format::list_levels::{Flat, Levels, by_row};
use crate::format::small_group;
use crate::format::statistics;
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
use parquet::schema::types::{ColumnDescriptor, SchemaDescPtr};
use qstore_schema::SmolStr;
use std::sync::Arc;

/// The number of texts that are passed on at a time: the batch size of the library.
const TEXTS_AT_ONCE: usize = 1_024;

/// The number of elements of lists that are passed on at a time, or the length of one list that has more.
const ELEMENTS_AT_ONCE: usize = 1 << 14;

/// Encodes these columns, all of `rows` rows, into memory of `buffers`; `schema` describes exactly these
/// columns.
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
    let properties = Arc::new(properties(columns, rows, schema, coding));
    let mut writer =
        SerializedFileWriter::new(buffers.take(), schema.root_schema_ptr(), properties)?;
    let mut group = writer.next_row_group()?;
    for (column, descriptor) in columns.iter().zip(schema.columns()) {
        write_column(&mut group, column, descriptor)?;
    }
    let metadata = group.close()?;
    let chunks = metadata.columns().iter().zip(columns);
    let columns = chunks.map(|(chunk, column)| statistics::settled(chunk, column));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(EncodedGroup::new(buffers.freeze(writer.into_inner()?), columns, rows))
}

fn properties(
    columns: &[Column],
    rows: usize,
    schema: &SchemaDescPtr,
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
    descriptor: &ColumnDescriptor,
) -> Result<()> {
    let physical = descriptor.physical_type();
    let levels = column.field.nullable.then_some(column.levels.as_slice());
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
        HeldValues::List(lists) => write_lists(group, column, lists, descriptor),
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
    column: &Column,
    lists: &[Arc<[f64]>],
    descriptor: &ColumnDescriptor,
) -> Result<()> {
    let levels = Levels::of(descriptor, column.field.nullable);
    let mut rows = by_row(lists, &column.levels).peekable();
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
mod small_group_tests;
