//! Encodes rows as one row group.
//!
//! Floats are split into byte streams and integers into deltas, which compresses metrics best. A
//! dictionary pays only for text, which repeats. Floats, which are most of a table, and everything in small
//! groups is encoded without the library: see `page_writer.rs`.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup, STATISTICS_ROWS_MIN};
use crate::format::entry::{ChunkEntry, range_of};
use crate::format::facts::Facts;
use crate::format::list_levels::{Flat, Levels, by_row};
use crate::format::odd_bounds;
use crate::format::page_writer::{self, PAGE_ROWS_MAX, PageWriter, pages_of};
use crate::format::shape::Shape;
use crate::format::span_table::SpanTable;
use crate::format::spans::{ColumnSpans, Part, Span, Spans};
use crate::format::stored::step;
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
    let has_spans = !coding.is_passing && coding.has_spans;
    let mut spans = has_spans.then(|| Spans {
        rows: pages_of(rows).map(|rows| rows.len() as u32).collect(),
        columns: Vec::with_capacity(columns.len()),
    });
    let theirs: Vec<_> = (0..columns.len()).filter(|number| !is_ours(&columns[*number])).collect();
    let theirs = by_library(columns, rows, theirs, (shape, first), coding, buffers)?;
    let mut theirs = theirs.peekable();
    let values = columns.iter().map(|column| column.values.len()).sum::<usize>();
    let mut writer = PageWriter::new(coding, rows, values / columns.len().max(1))?;
    let mut file = buffers.take();
    // A buffer that doubles would take twice the memory of a large group.
    file.reserve(64 * columns.len() + 8 * values);
    let (mut chunks, mut checksums) =
        (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
    let step = step(columns.len()) as usize;
    for (number, column) in columns.iter().enumerate() {
        file.resize(file.len().next_multiple_of(step), 0);
        let theirs = theirs.next_if(|chunk| chunk.number == number);
        let (chunk, checksum, found) = if let Some(chunk) = theirs {
            let (chunk, checksum) = chunk.append(&mut file);
            let found = spans.as_ref().map(|_| spans_of(&chunk, &file, rows));
            (chunk, checksum, found)
        } else {
            let physical = shape.leaves[first + number].physical;
            let (chunk, checksum) = writer.append(column, physical, &mut file)?;
            let parts = writer.parts().iter().map(|part| Span { part: *part, facts: None });
            let dictionary = Part::default();
            (chunk, checksum, Some(ColumnSpans { dictionary, spans: parts.collect() }))
        };
        if let Some((spans, mut found)) = spans.as_mut().zip(found) {
            for (span, rows) in found.spans.iter_mut().zip(pages_of(rows)) {
                span.facts = Some(Facts::of(column, &rows));
            }
            spans.columns.push(found);
        }
        chunks.push(chunk);
        checksums.push(checksum);
    }
    let table = spans.map(|spans| (append_table(&spans, &mut file), odd_bounds::of_group(&spans)));
    Ok(EncodedGroup::new(buffers.freeze(file), chunks, checksums, rows).with_table(table))
}

/// Appends the table of the spans.
fn append_table(spans: &Spans, file: &mut Vec<u8>) -> SpanTable {
    let table = spans.encode();
    let start = file.len() as u64;
    file.extend_from_slice(&table);
    SpanTable { range: start..file.len() as u64, checksum: crc32c::crc32c(&table) }
}

/// The spans of a chunk of the library, which can be read in parts only if there is one.
fn spans_of(chunk: &ChunkEntry, file: &[u8], rows: usize) -> ColumnSpans {
    let count = pages_of(rows).count();
    if count > 1 {
        return ColumnSpans { spans: vec![Span::default(); count], ..ColumnSpans::default() };
    }
    let range = chunk.range();
    let (start, data_at, end) = (range.start as usize, chunk.data_at as usize, range.end as usize);
    let dictionary = Part::of(&file[start..data_at]);
    let span = Span { part: Part::of(&file[data_at..end]), facts: None };
    ColumnSpans { dictionary, spans: vec![span] }
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
