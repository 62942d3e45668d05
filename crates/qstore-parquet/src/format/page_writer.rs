//! Encodes chunks without the library: floats and columns of nulls always, and everything in small groups
//! that will be merged soon.
//!
//! The library sets up a writer, an encoder, a codec and their buffers for every column of every group.
//! For the hundred rows of a flush, and for thousands of columns, that costs several times as much as the
//! values. Here a page of the first version holds up to 65 536 rows: floats in byte streams, which compress
//! without a model, everything else plain. Small groups that will be merged use snappy, which needs no setup
//! and which every reader supports, and store pages of a few bytes as they are.

use crate::columns::column::{Column, HeldValues};
use crate::columns::present::Present;
use crate::format::encoded_group::{Coding, STATISTICS_ROWS_MIN};
use crate::format::entry::{Bounds, ChunkEntry, bit};
use crate::format::page_header::{Kind, PageHeader};
use crate::format::spans::Part;
use crate::format::statistics;
use flate2::{Compress, Crc, FlushCompress, Status};
use parquet::basic::{Compression, Encoding, Type as Physical};
use parquet::errors::{ParquetError, Result};
use qstore_schema::SmolStr;
use std::ops::Range;

/// Larger groups gain from dictionaries, deltas and a better codec.
pub(crate) const SMALL_ROWS_MAX: usize = STATISTICS_ROWS_MIN;

/// A group that will be merged is small as well if its columns have fewer values than that on average: a codec
/// that is set up again for each of ten thousand columns takes a hundred times as long as the values.
pub(crate) const SMALL_VALUES_MAX: usize = 512;

/// Pages of a small group that are shorter are not compressed.
pub(crate) const PACKED_BYTES_MIN: usize = 128;

/// The maximum number of bytes of text in one page of a small group.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// The maximum number of rows in a page.
pub(crate) const PAGE_ROWS_MAX: usize = 1 << 16;

/// Whether a column of a small group that will be merged needs no more than one page.
pub(crate) fn suits_small(column: &Column, rows: usize) -> bool {
    rows < SMALL_ROWS_MAX
        && match &column.values {
            HeldValues::Text(texts) => {
                texts.iter().map(SmolStr::len).sum::<usize>() <= TEXT_BYTES_MAX
            }
            HeldValues::List(_) => false,
            _ => true,
        }
}

/// Whether a column is encoded here whatever the size of its group.
pub(crate) fn suits(column: &Column) -> bool {
    match column.values {
        // Their levels are of two kinds.
        HeldValues::List(_) => false,
        HeldValues::Float(_) => true,
        _ => column.is_null(),
    }
}

/// Encodes the columns of one group, with memory that is used again for each of them.
pub(crate) struct PageWriter {
    coding: Coding,
    rows: usize,
    is_small: bool,
    codec: Codec,
    page: Vec<u8>,
    /// The pages of the last column.
    parts: Vec<Part>,
    /// The pages of a column of nulls.
    nulls: Option<NullPages>,
}

/// The pages of a column of nulls: together, their length without compression, and each of them.
struct NullPages {
    codec: Compression,
    pages: Vec<u8>,
    full_len: usize,
    parts: Vec<Part>,
}

impl PageWriter {
    /// For columns of `rows` rows that have this number of `values` on average.
    pub(crate) fn new(coding: Coding, rows: usize, values: usize) -> Result<Self> {
        let is_few = rows < SMALL_ROWS_MAX || values < SMALL_VALUES_MAX;
        let is_small = coding.is_passing && is_few;
        let compression = match coding.compression {
            Compression::UNCOMPRESSED => Compression::UNCOMPRESSED,
            _ if is_small => Compression::SNAPPY,
            other => other,
        };
        let codec = Codec::of(compression)?;
        let (page, parts) = (Vec::new(), Vec::new());
        Ok(Self { coding, rows, is_small, codec, page, parts, nulls: None })
    }

    /// Appends the chunk of a column; returns its entry and its checksum.
    pub(crate) fn append(
        &mut self,
        column: &Column,
        physical: Physical,
        file: &mut Vec<u8>,
    ) -> Result<(ChunkEntry, u32)> {
        if column.is_null() {
            return self.append_nulls(physical, file);
        }
        self.parts.clear();
        let start = file.len();
        let (mut full_len, mut encoding) = (0, Encoding::PLAIN);
        let mut codec = self.codec.compression();
        for rows in pages_of(self.rows) {
            self.page.clear();
            let page_start = file.len();
            encoding = write_page(column, &rows, physical, self.coding, &mut self.page);
            if self.is_tiny() {
                codec = Compression::UNCOMPRESSED;
            }
            let body = if codec == Compression::UNCOMPRESSED {
                &self.page
            } else {
                self.codec.pack(&self.page)?
            };
            full_len += self.page.len();
            full_len += append_page(file, rows.len(), encoding, self.page.len(), body);
            self.parts.push(Part::of(&file[page_start..]));
        }
        let bounds = self.has_bounds().then(|| statistics::of(column, physical, self.rows));
        let bounds = bounds.flatten();
        let entry = ChunkEntry {
            physical,
            codec,
            encodings: bit(Encoding::RLE) | bit(encoding),
            values: self.rows as u64,
            full_len: full_len as u64,
            len: (file.len() - start) as u64,
            data_at: start as u64,
            dictionary_at: None,
            index_at: None,
            bounds: bounds.map(Box::new),
            pages: Box::default(),
        };
        Ok((entry, joined(&self.parts)))
    }

    /// The pages of the column that was appended last.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Nulls take the same few bytes in every column, whatever its type: they are encoded once for a group.
    fn append_nulls(
        &mut self,
        physical: Physical,
        file: &mut Vec<u8>,
    ) -> Result<(ChunkEntry, u32)> {
        if self.nulls.is_none() {
            self.nulls = Some(self.null_pages()?);
        }
        let Some(NullPages { codec, pages, full_len, parts }) = &self.nulls else {
            unreachable!("they were just made")
        };
        self.parts.clone_from(parts);
        let nulls = Some(self.rows as u64);
        let has_bounds = self.has_bounds();
        let entry = ChunkEntry {
            physical,
            codec: *codec,
            encodings: bit(Encoding::RLE) | bit(Encoding::PLAIN),
            values: self.rows as u64,
            full_len: *full_len as u64,
            len: pages.len() as u64,
            data_at: file.len() as u64,
            dictionary_at: None,
            index_at: None,
            bounds: has_bounds.then(|| Box::new(Bounds { nulls, ..Bounds::default() })),
            pages: Box::default(),
        };
        file.extend_from_slice(pages);
        Ok((entry, joined(&self.parts)))
    }

    fn null_pages(&mut self) -> Result<NullPages> {
        let (mut pages, mut full_len, mut parts) = (Vec::new(), 0, Vec::new());
        // Packed, they would be longer.
        let codec =
            if self.is_small { Compression::UNCOMPRESSED } else { self.codec.compression() };
        for rows in pages_of(self.rows) {
            self.page.clear();
            write_levels(&Present::default(), rows.len(), &mut self.page);
            let (start, len) = (pages.len(), self.page.len());
            let body = if self.is_small { &self.page } else { self.codec.pack(&self.page)? };
            full_len += len + append_page(&mut pages, rows.len(), Encoding::PLAIN, len, body);
            parts.push(Part::of(&pages[start..]));
        }
        Ok(NullPages { codec, pages, full_len, parts })
    }

    /// Whether the page is the only one of its chunk, and not worth packing.
    fn is_tiny(&self) -> bool {
        self.is_small && self.rows <= PAGE_ROWS_MAX && self.page.len() < PACKED_BYTES_MIN
    }

    /// Whether chunks have statistics.
    fn has_bounds(&self) -> bool {
        self.rows >= STATISTICS_ROWS_MIN && !self.is_small
    }
}

/// The checksum of pages that are back to back.
fn joined(parts: &[Part]) -> u32 {
    let Some((first, rest)) = parts.split_first() else { return 0 };
    // Combining costs more than the checksum of a small page: most chunks have one.
    rest.iter().fold(first.checksum, |sum, part| {
        crc32c::crc32c_combine(sum, part.checksum, part.len as usize)
    })
}

/// The rows of each page.
pub(crate) fn pages_of(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(PAGE_ROWS_MAX).map(move |start| start..(start + PAGE_ROWS_MAX).min(rows))
}

/// Appends a page of `rows` rows and its header; returns the length of the header.
fn append_page(
    file: &mut Vec<u8>,
    rows: usize,
    encoding: Encoding,
    full_len: usize,
    body: &[u8],
) -> usize {
    // The enumeration has the numbers of the format.
    let levels = [Encoding::RLE as u32; 2];
    let kind = Kind::Data { values: rows as u32, encoding: encoding as u32, levels };
    let header = PageHeader { kind, full_len: full_len as u32, stored_len: body.len() as u32 };
    let start = file.len();
    header.append(file);
    let header_len = file.len() - start;
    file.extend_from_slice(body);
    header_len
}

/// Compresses pages, one after the other, with what was set up once.
struct Codec {
    compression: Compression,
    method: Method,
    packed: Vec<u8>,
}

enum Method {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Gzip(Compress),
    Zstd(zstd::bulk::Compressor<'static>),
    Lz4,
}

/// The header of a member of a gzip file without a name, a time or a comment (RFC 1952).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

impl Codec {
    fn of(compression: Compression) -> Result<Self> {
        let method = match compression {
            Compression::UNCOMPRESSED => Method::None,
            Compression::SNAPPY => Method::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::GZIP(level) => {
                let level = flate2::Compression::new(level.compression_level());
                Method::Gzip(Compress::new(level, false))
            }
            Compression::ZSTD(level) => Method::Zstd(
                zstd::bulk::Compressor::new(level.compression_level()).map_err(external)?,
            ),
            Compression::LZ4_RAW => Method::Lz4,
            other => return Err(ParquetError::NYI(format!("{other} is only read"))),
        };
        Ok(Self { compression, method, packed: Vec::new() })
    }

    fn compression(&self) -> Compression {
        self.compression
    }

    fn pack<'a>(&'a mut self, page: &'a [u8]) -> Result<&'a [u8]> {
        let Self { method, packed, .. } = self;
        match method {
            Method::None => return Ok(page),
            Method::Snappy(snappy) => {
                let most = snap::raw::max_compress_len(page.len());
                if packed.len() < most {
                    packed.resize(most, 0);
                }
                let packed_len = snappy.compress(page, packed).map_err(external)?;
                return Ok(&packed[..packed_len]);
            }
            Method::Gzip(deflate) => gzip(deflate, page, packed)?,
            Method::Zstd(zstd) => {
                packed.clear();
                packed.reserve(zstd::zstd_safe::compress_bound(page.len()));
                zstd.compress_to_buffer(page, packed).map_err(external)?;
            }
            Method::Lz4 => {
                let most = lz4_flex::block::get_maximum_output_size(page.len());
                packed.resize(most, 0);
                let len = lz4_flex::block::compress_into(page, packed).map_err(external)?;
                packed.truncate(len);
            }
        }
        Ok(packed)
    }
}

/// A gzip file of one member.
fn gzip(deflate: &mut Compress, page: &[u8], packed: &mut Vec<u8>) -> Result<()> {
    packed.clear();
    packed.extend(GZIP_HEADER);
    deflate.reset();
    loop {
        let read = deflate.total_in() as usize;
        // What does not shrink grows by a few bytes for each block.
        packed.reserve(64 + (page.len() - read) + (page.len() - read) / 64);
        let status = deflate.compress_vec(&page[read..], packed, FlushCompress::Finish);
        if status.map_err(external)? == Status::StreamEnd {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(page);
    packed.extend(crc.sum().to_le_bytes());
    packed.extend(crc.amount().to_le_bytes());
    Ok(())
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Writes the contents of a page: levels, if there are any, and the values.
fn write_page(
    column: &Column,
    rows: &Range<usize>,
    physical: Physical,
    coding: Coding,
    page: &mut Vec<u8>,
) -> Encoding {
    if column.field.nullable {
        if rows.start == 0 && column.present.end() <= rows.end {
            write_levels(&column.present, rows.len(), page);
        } else {
            let mut present = Present::default();
            present.copy_from(&column.present, rows);
            write_levels(&present, rows.len(), page);
        }
    }
    let values = column.values_of(rows);
    match &column.values {
        HeldValues::Bool(flags) => write_bits(flags[values].iter().copied(), page),
        // Numbers of 32 bits are those of another program's column, in which these fit.
        HeldValues::Int(integers) if physical == Physical::INT32 => {
            let integers = integers[values].iter();
            page.extend(integers.flat_map(|integer| (*integer as i32).to_le_bytes()));
        }
        HeldValues::Int(integers) => {
            page.extend(integers[values].iter().flat_map(|integer| integer.to_le_bytes()));
        }
        HeldValues::Float(floats) if physical == Physical::FLOAT => {
            let floats = floats[values].iter().map(|float| (*float as f32).to_le_bytes());
            return write_floats(floats, coding, page);
        }
        HeldValues::Float(floats) => {
            let floats = floats[values].iter().map(|float| float.to_le_bytes());
            return write_floats(floats, coding, page);
        }
        HeldValues::Text(texts) => {
            for text in &texts[values] {
                page.extend_from_slice(&(text.len() as u32).to_le_bytes());
                page.extend_from_slice(text.as_bytes());
            }
        }
        HeldValues::List(_) => unreachable!("lists are left to the library"),
    }
    Encoding::PLAIN
}

/// Floats one after the other, or split into streams of their first, second, … bytes.
fn write_floats<const N: usize>(
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

/// Definition levels of one bit for each row: runs of equal ones, or, if that is shorter, all of them packed.
fn write_levels(present: &Present, rows: usize, page: &mut Vec<u8>) {
    let len_at = page.len();
    page.extend_from_slice(&[0; 4]);
    let packed_len = rows.div_ceil(8);
    // Each run, and the nulls before it, have a length and a byte.
    if present.runs().len() <= 1 || present.runs().len() * 2 * 3 < packed_len {
        let mut row = 0;
        for run in present.runs() {
            write_run(run.start - row, 0, page);
            write_run(run.len(), 1, page);
            row = run.end;
        }
        write_run(rows - row, 0, page);
    } else {
        write_varint(packed_len << 1 | 1, page);
        let bits_at = page.len();
        page.resize(bits_at + packed_len, 0);
        for run in present.runs() {
            // mutant: nulls_of_small_groups_shifted
            set_bits(&mut page[bits_at..], run);
        }
    }
    let len = (page.len() - len_at - 4) as u32;
    page[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}

/// A run of equal levels.
fn write_run(rows: usize, level: u8, page: &mut Vec<u8>) {
    if rows > 0 {
        write_varint(rows << 1, page);
        page.push(level);
    }
}

fn set_bits(bits: &mut [u8], range: Range<usize>) {
    for place in range {
        bits[place / 8] |= 1 << (place % 8);
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
