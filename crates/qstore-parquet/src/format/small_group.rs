//! Encodes small groups that will be merged soon, with minimal work.
//!
//! The library sets up a writer, an encoder, a codec and their buffers for every column of every group.
//! For the hundred rows of a flush that costs several times as much as their values. Here a chunk is one
//! version-1 page: floats in byte streams, which compress without a model, everything else plain, and
//! snappy, which needs no setup and which every reader supports.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup, STATISTICS_ROWS_MIN};
use crate::format::footer::MAGIC;
use crate::format::list_levels::{Flat, Levels, by_row};
use crate::format::page_header::{Kind, PageHeader};
use parquet::basic::{Compression, Encoding, Type as Physical};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescPtr};
use qstore_schema::SmolStr;
use std::sync::Arc;

/// Larger groups gain from dictionaries, deltas and a better codec, and need statistics.
pub(crate) const ROWS_MAX: usize = STATISTICS_ROWS_MIN;

/// The maximum number of bytes of text, or of lists, in one page.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// Whether there are so few rows, and so little text in them, that one page per column is enough.
pub(crate) fn suits(columns: &[Column], rows: usize) -> bool {
    rows < ROWS_MAX
        && columns.iter().all(|column| match &column.values {
            HeldValues::Text(texts) => {
                texts.iter().map(SmolStr::len).sum::<usize>() <= TEXT_BYTES_MAX
            }
            HeldValues::List(lists) => {
                lists.iter().map(|list| size_of_val(&**list)).sum::<usize>() <= TEXT_BYTES_MAX
            }
            _ => true,
        })
}

/// Encodes these columns, all of `rows` rows, into memory of `buffers`.
pub(crate) fn encode(
    columns: &[Column],
    rows: usize,
    schema: &SchemaDescPtr,
    coding: Coding,
    buffers: &Buffers,
) -> Result<EncodedGroup> {
    let mut file = buffers.take();
    file.extend_from_slice(MAGIC);
    let mut codec = Codec::of(coding.compression);
    let mut page = Vec::new();
    let mut chunks = Vec::with_capacity(columns.len());
    for (column, descriptor) in columns.iter().zip(schema.columns()) {
        page.clear();
        let (encoding, values) = write_page(column, rows, descriptor, coding, &mut page);
        let start = file.len();
        let header_len = append_page(&mut file, values, encoding, page.len(), codec.pack(&page)?);
        let chunk = ColumnChunkMetaData::builder(descriptor.clone())
            .set_encodings(vec![Encoding::RLE, encoding])
            .set_compression(codec.compression())
            .set_num_values(values as i64)
            .set_total_uncompressed_size((header_len + page.len()) as i64)
            .set_total_compressed_size((file.len() - start) as i64)
            .set_data_page_offset(start as i64);
        chunks.push(chunk.build()?);
    }
    Ok(EncodedGroup::new(buffers.freeze(file), chunks, rows))
}

/// Appends a page of that many values, nulls included, and its header; returns the length of the header.
fn append_page(
    file: &mut Vec<u8>,
    values: usize,
    encoding: Encoding,
    full_len: usize,
    body: &[u8],
) -> usize {
    // The enumeration has the numbers of the format.
    let levels = [Encoding::RLE as u32; 2];
    let kind = Kind::Data { values: values as u32, encoding: encoding as u32, levels };
    let header = PageHeader { kind, full_len: full_len as u32, stored_len: body.len() as u32 };
    let header = header.write();
    file.extend_from_slice(&header);
    file.extend_from_slice(body);
    header.len()
}

/// How pages are compressed: with snappy, or not at all where that was chosen.
struct Codec {
    snappy: Option<snap::raw::Encoder>,
    packed: Vec<u8>,
}

impl Codec {
    fn of(compression: Compression) -> Self {
        let is_used = compression != Compression::UNCOMPRESSED;
        Self { snappy: is_used.then(snap::raw::Encoder::new), packed: Vec::new() }
    }

    fn compression(&self) -> Compression {
        if self.snappy.is_some() { Compression::SNAPPY } else { Compression::UNCOMPRESSED }
    }

    fn pack<'a>(&'a mut self, page: &'a [u8]) -> Result<&'a [u8]> {
        let Self { snappy: Some(snappy), packed } = self else { return Ok(page) };
        let most = snap::raw::max_compress_len(page.len());
        if packed.len() < most {
            packed.resize(most, 0);
        }
        let packed_len = snappy.compress(page, packed);
        Ok(&packed[..packed_len.map_err(|error| ParquetError::External(Box::new(error)))?])
    }
}

/// Writes the contents of a page, and returns the number of its values, nulls included.
fn write_page(
    column: &Column,
    rows: usize,
    descriptor: &ColumnDescriptor,
    coding: Coding,
    page: &mut Vec<u8>,
) -> (Encoding, usize) {
    if let HeldValues::List(lists) = &column.values {
        return write_lists(column, lists, descriptor, coding, page);
    }
    if column.field.nullable {
        write_levels(&column.levels, 1, page);
    }
    (write_values(&column.values, descriptor.physical_type(), coding, page), rows)
}

/// Writes values after their levels.
fn write_values(
    values: &HeldValues,
    physical: Physical,
    coding: Coding,
    page: &mut Vec<u8>,
) -> Encoding {
    match values {
        HeldValues::Bool(flags) => write_bits(flags.iter().copied(), page),
        // Numbers of 32 bits are those of another program's column, in which these fit.
        HeldValues::Int(integers) if physical == Physical::INT32 => {
            page.extend(integers.iter().flat_map(|integer| (*integer as i32).to_le_bytes()));
        }
        HeldValues::Int(integers) => {
            page.extend(integers.iter().flat_map(|integer| integer.to_le_bytes()));
        }
        HeldValues::Float(floats) => return write_floats(floats, physical, coding, page),
        HeldValues::List(lists) => {
            return write_floats(&lists.concat(), physical, coding, page);
        }
        HeldValues::Text(texts) => {
            for text in texts {
                page.extend_from_slice(&(text.len() as u32).to_le_bytes());
                page.extend_from_slice(text.as_bytes());
            }
        }
    }
    Encoding::PLAIN
}

/// As [`write_page`], of lists: each element is a value, and so is a list without any.
fn write_lists(
    column: &Column,
    lists: &[Arc<[f64]>],
    descriptor: &ColumnDescriptor,
    coding: Coding,
    page: &mut Vec<u8>,
) -> (Encoding, usize) {
    let levels = Levels::of(descriptor, column.field.nullable);
    let mut flat = Flat::default();
    for list in by_row(lists, &column.levels) {
        flat.push(list, levels);
    }
    write_levels(&flat.repetition, 1, page);
    write_levels(&flat.definition, levels.most(), page);
    let encoding = write_floats(&flat.elements, descriptor.physical_type(), coding, page);
    (encoding, flat.definition.len())
}

fn write_floats(
    floats: &[f64],
    physical: Physical,
    coding: Coding,
    page: &mut Vec<u8>,
) -> Encoding {
    if physical == Physical::FLOAT {
        split(floats.iter().map(|float| (*float as f32).to_le_bytes()), coding, page)
    } else {
        split(floats.iter().map(|float| float.to_le_bytes()), coding, page)
    }
}

/// Floats one after the other, or split into streams of their first, second, … bytes.
fn split<const N: usize>(
    floats: impl Iterator<Item = [u8; N]> + Clone,
    coding: Coding,
    page: &mut Vec<u8>,
) -> Encoding {
    if coding.is_plain {
        page.extend(floats.flatten());
        return Encoding::PLAIN;
    }
    for byte in 0..N {
        page.extend(floats.clone().map(|float| float[byte]));
    }
    Encoding::BYTE_STREAM_SPLIT
}

/// Levels from 0 to `most`, which is less than 4: a single run if all are equal, otherwise all of them
/// packed.
fn write_levels(levels: &[i16], most: i16, page: &mut Vec<u8>) {
    let len_at = page.len();
    page.extend_from_slice(&[0; 4]);
    match levels {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|level| level == first) => {
            write_varint(levels.len() << 1, page);
            page.push(*first as u8);
        }
        _ => {
            write_varint(levels.len().div_ceil(8) << 1 | 1, page);
            // mutant: nulls_of_small_groups_shifted
            write_packed(levels, 1 + usize::from(most > 1), page);
        }
    }
    let len = (page.len() - len_at - 4) as u32;
    page[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}

/// Levels of that many bits, eight at a time, the lowest bits first.
fn write_packed(levels: &[i16], bits: usize, page: &mut Vec<u8>) {
    for eight in levels.chunks(8) {
        let levels = eight.iter().enumerate();
        let packed =
            levels.fold(0, |packed, (place, level)| packed | (*level as u16) << (place * bits));
        page.extend_from_slice(&packed.to_le_bytes()[..bits]);
    }
}

/// Bits, the lowest first, padded to a whole byte.
fn write_bits(mut bits: impl ExactSizeIterator<Item = bool>, page: &mut Vec<u8>) {
    while bits.len() > 0 {
        let eight = bits.by_ref().take(8).enumerate();
        page.push(eight.fold(0, |byte, (place, bit)| byte | u8::from(bit) << place));
    }
}

fn write_varint(mut number: usize, page: &mut Vec<u8>) {
    while number >= 0x80 {
        page.push(number as u8 | 0x80);
        number >>= 7;
    }
    page.push(number as u8);
}
