//! The pages of a column chunk, made safe for the library: nothing is allocated that the chunk's values
//! and bytes do not justify.
//!
//! A page claims its decompressed length and its number of values, up to 2 GiB and 2 billion; the
//! library allocates what is claimed. So every header is read here first, compared with the footer, and
//! written again, so that the library sees only what was checked; pages are decompressed here
//! (`decompress.rs`), and texts that are stored as deltas written out (`delta_texts.rs`). No other value
//! is decoded here. What this crate or the library does not know is never called damage.

use crate::format::leaves::Reading;
use crate::format::page_header::{Kind, PageHeader};
use crate::format::read_failure::ReadFailure;
use crate::format::{decompress, delta_texts};
use parquet::basic::Compression;

/// The bytes per value that pages of numbers may claim. Eight hold the value; levels, deltas and
/// dictionaries take less than that again.
const VALUE_BYTES_MAX: u64 = 16;

/// The bytes that a page may claim in addition, for blocks that are not full.
const PAGE_BYTES_FREE: u64 = 1 << 10;

/// The bytes that a chunk may claim in addition.
const CHUNK_BYTES_FREE: u64 = 1 << 16;

/// The values that a dictionary may have in addition to those of the chunk.
const DICTIONARY_VALUES_FREE: u64 = 1 << 20;

const PLAIN: u32 = 0;
const PLAIN_DICTIONARY: u32 = 2;
const RLE: u32 = 3;
const BIT_PACKED: u32 = 4;
const DELTA_BINARY_PACKED: u32 = 5;
const DELTA_LENGTH_BYTE_ARRAY: u32 = 6;
const DELTA_BYTE_ARRAY: u32 = 7;
const RLE_DICTIONARY: u32 = 8;
const BYTE_STREAM_SPLIT: u32 = 9;
const ALP: u32 = 10;

/// What the footer claims about a chunk, and what the caller allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    pub(crate) compression: Compression,
    pub(crate) reading: Reading,
    pub(crate) nullable: bool,
    /// One for each row, or for each element of a list.
    pub(crate) values: u64,
    /// The maximum decompressed length of a chunk.
    pub(crate) bytes_max: u64,
}

/// The pages of a chunk, not compressed, after `head` other bytes; the error names the claim that cannot
/// be true, or what is not supported.
pub(crate) fn check(chunk: &[u8], head: usize, claims: Claims) -> Result<Vec<u8>, ReadFailure> {
    let needed = claims.values.saturating_mul(VALUE_BYTES_MAX);
    // mutant: lists_of_any_length
    if claims.reading.is_list() && needed > claims.bytes_max {
        return Err(too_long(claims));
    }
    let mut pages = Pages { left: Left::new(claims), claims, bytes: Vec::new() };
    // bounded: as long as the chunk, which is in memory
    pages.bytes.reserve(head + chunk.len() + chunk.len() / 8);
    pages.bytes.resize(head, 0); // bounded: it is a constant
    let mut rest = chunk;
    while !rest.is_empty() {
        let (header, body) = next_page(&mut rest)?;
        if header.kind != Kind::Index {
            pages.add(header, body)?;
        }
    }
    Ok(pages.bytes)
}

/// The number of values that pages claim, nulls included.
pub(crate) fn values_of(chunk: &[u8]) -> Result<u64, ReadFailure> {
    let (mut rest, mut values) = (chunk, 0);
    while !rest.is_empty() {
        let (header, _) = next_page(&mut rest)?;
        if let Kind::Data { values: more, .. } | Kind::DataV2 { values: more, .. } = header.kind {
            values += u64::from(more);
        }
    }
    Ok(values)
}

/// Takes the first page off the front: its header and its body.
fn next_page<'a>(rest: &mut &'a [u8]) -> Result<(PageHeader, &'a [u8]), ReadFailure> {
    let header = PageHeader::read(rest);
    let (header, header_len) =
        header.ok_or_else(|| ReadFailure::damaged("a page has a malformed header"))?;
    let body = header_len + header.stored_len as usize;
    let body = rest.get(header_len..body);
    let body = body.ok_or_else(|| ReadFailure::damaged("a page reaches beyond its chunk"))?;
    *rest = &rest[header_len + body.len()..];
    Ok((header, body))
}

fn too_long(Claims { values, bytes_max, .. }: Claims) -> ReadFailure {
    ReadFailure::Unsupported(format!(
        "its lists have {values} elements, more than fit into the {bytes_max} bytes that this reader \
         takes with {VALUE_BYTES_MAX} for each, see MetricsFile::chunk_bytes_max"
    ))
}

/// The pages that were checked so far.
struct Pages {
    claims: Claims,
    left: Left,
    bytes: Vec<u8>,
}

impl Pages {
    fn add(&mut self, mut header: PageHeader, body: &[u8]) -> Result<(), ReadFailure> {
        // mutant: page_may_claim_anything
        self.left.take(&header)?;
        // The library takes a page without values, which pyarrow writes between others, for the end.
        if matches!(header.kind, Kind::Data { values: 0, .. } | Kind::DataV2 { values: 0, .. }) {
            return Ok(());
        }
        let (plain, packed) = parts(&header, body)?;
        let full_len = (header.full_len as usize).checked_sub(plain.len());
        let full_len = full_len.ok_or_else(levels_too_long)?;
        let delta_texts = match header.kind {
            Kind::Data { values, encoding, .. } | Kind::DataV2 { values, encoding, .. } => {
                Some((values, encoding)).filter(|(_, encoding)| is_delta_texts(*encoding))
            }
            _ => None,
        };
        if let Some((values, encoding)) = delta_texts {
            let mut page = plain.to_vec();
            decompress::append(self.codec_of(&header), packed, full_len, &mut page)?;
            let page = self.written_out(&header, &page, values, encoding)?;
            header.kind = with_encoding(header.kind, PLAIN);
            header.full_len = length_of(&page)?;
            header.stored_len = header.full_len;
            self.bytes.extend_from_slice(&header.write());
            self.bytes.extend_from_slice(&page);
            return Ok(());
        }
        header.stored_len = header.full_len;
        self.bytes.extend_from_slice(&header.write());
        self.bytes.extend_from_slice(plain);
        decompress::append(self.codec_of(&header), packed, full_len, &mut self.bytes)
    }

    fn codec_of(&self, header: &PageHeader) -> Compression {
        match header.kind {
            Kind::DataV2 { is_compressed: false, .. } => Compression::UNCOMPRESSED,
            _ => self.claims.compression,
        }
    }

    /// A page whose texts are deltas, with its levels as they are and its texts in full.
    fn written_out(
        &mut self,
        header: &PageHeader,
        page: &[u8],
        values: u32,
        encoding: u32,
    ) -> Result<Vec<u8>, ReadFailure> {
        let levels = self.levels_len(header, page).ok_or_else(levels_too_long)?;
        let (levels, texts) = page.split_at_checked(levels).ok_or_else(levels_too_long)?;
        let mut out = levels.to_vec();
        let append = if encoding == DELTA_BYTE_ARRAY {
            delta_texts::append_prefixed
        } else {
            delta_texts::append_lengths_first
        };
        append(texts, values, self.left.bytes, &mut out)?;
        self.left.bytes = self.left.bytes.saturating_sub(out.len() as u64);
        Ok(out)
    }

    /// The length of the levels at the beginning of a page that is not compressed.
    fn levels_len(&self, header: &PageHeader, page: &[u8]) -> Option<usize> {
        match header.kind {
            Kind::DataV2 { levels_len: [first, second], .. } => {
                Some(first as usize + second as usize)
            }
            Kind::Data { .. } if !self.claims.nullable => Some(0),
            Kind::Data { values, levels: [BIT_PACKED, _], .. } => {
                Some((values as usize).div_ceil(8))
            }
            _ => {
                let (len, _) = page.split_first_chunk()?;
                4_usize.checked_add(u32::from_le_bytes(*len) as usize)
            }
        }
    }
}

fn is_delta_texts(encoding: u32) -> bool {
    matches!(encoding, DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY)
}

fn with_encoding(kind: Kind, encoding: u32) -> Kind {
    match kind {
        Kind::Data { values, levels, .. } => Kind::Data { values, encoding, levels },
        Kind::DataV2 { values, nulls, rows, levels_len, is_compressed, .. } => {
            Kind::DataV2 { values, nulls, rows, encoding, levels_len, is_compressed }
        }
        other => other,
    }
}

/// The parts of a page that are never and that may be compressed: in version 2 the levels come first.
fn parts<'a>(header: &PageHeader, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), ReadFailure> {
    let levels = match header.kind {
        Kind::DataV2 { levels_len: [first, second], .. } => first as usize + second as usize,
        _ => 0,
    };
    body.split_at_checked(levels).ok_or_else(levels_too_long)
}

fn levels_too_long() -> ReadFailure {
    ReadFailure::damaged("the levels of a page reach beyond it")
}

fn length_of(page: &[u8]) -> Result<u32, ReadFailure> {
    let len = i32::try_from(page.len()).ok().and_then(|len| u32::try_from(len).ok());
    let reason = || format!("its texts are {} bytes in a page", page.len());
    len.ok_or_else(|| ReadFailure::Unsupported(reason()))
}

/// The maximum that the remaining pages may claim.
#[derive(Debug)]
struct Left {
    claims: Claims,
    values: u64,
    bytes: u64,
    has_dictionary: bool,
}

impl Left {
    fn new(claims: Claims) -> Self {
        let bytes = if claims.reading == Reading::Text {
            // Texts have any length.
            claims.bytes_max
        } else {
            let values = claims.values.saturating_mul(VALUE_BYTES_MAX);
            CHUNK_BYTES_FREE.saturating_add(values).min(claims.bytes_max)
        };
        Self { claims, values: claims.values, bytes, has_dictionary: false }
    }

    fn take(&mut self, header: &PageHeader) -> Result<(), ReadFailure> {
        let full_len = u64::from(header.full_len);
        let beyond = full_len.saturating_sub(PAGE_BYTES_FREE);
        self.bytes = self.bytes.checked_sub(beyond).ok_or_else(|| self.too_much(full_len))?;
        match header.kind {
            Kind::Dictionary { values, encoding } => {
                self.take_dictionary(values, encoding, full_len)
            }
            Kind::Data { values, encoding, levels: [definition, repetition] } => {
                if self.claims.reading.is_list() && !matches!(repetition, RLE | BIT_PACKED) {
                    return Err(unknown_encoding("level", repetition));
                }
                if self.claims.nullable && !matches!(definition, RLE | BIT_PACKED) {
                    return Err(unknown_encoding("level", definition));
                }
                self.take_values(values, encoding)
            }
            Kind::DataV2 { values, encoding, .. } => self.take_values(values, encoding),
            Kind::Unknown(kind) => Err(ReadFailure::Unsupported(format!(
                "it has a page of type {kind}, which this crate does not know"
            ))),
            Kind::Index => Ok(()),
        }
    }

    fn too_much(&self, full_len: u64) -> ReadFailure {
        let Claims { values, bytes_max, .. } = self.claims;
        ReadFailure::Unsupported(match self.claims.reading {
            Reading::Text => format!(
                "its texts take more than the {bytes_max} bytes that this reader takes, see \
                 MetricsFile::chunk_bytes_max (a page claims to be {full_len} bytes)"
            ),
            _ => format!(
                "a page claims to be {full_len} bytes, and this reader takes {VALUE_BYTES_MAX} for \
                 each of the {values} values"
            ),
        })
    }

    fn take_dictionary(
        &mut self,
        values: u32,
        encoding: u32,
        full_len: u64,
    ) -> Result<(), ReadFailure> {
        if !matches!(encoding, PLAIN | PLAIN_DICTIONARY) {
            return Err(unknown_encoding("dictionary", encoding));
        }
        let least = match self.claims.reading {
            // One bit each, and a dictionary of two values saves nothing: no writer has them.
            Reading::Bool => return Err(unknown_encoding("dictionary", encoding)),
            Reading::Float16 => 2,
            // A text has its length before it.
            Reading::Text
            | Reading::Int32
            | Reading::UInt32
            | Reading::Float32
            | Reading::Lists32
            | Reading::Nulls => 4,
            Reading::Int64 | Reading::UInt64 | Reading::Float64 | Reading::Lists64 => 8,
        };
        if self.has_dictionary || u64::from(values) * least > full_len {
            return Err(ReadFailure::Damaged(format!(
                "it claims a dictionary of {values} values in {full_len} bytes"
            )));
        }
        // Some writers keep values that no row has. Each takes memory, even an empty text.
        if u64::from(values) > self.claims.values.saturating_add(DICTIONARY_VALUES_FREE) {
            return Err(ReadFailure::Unsupported(format!(
                "it has a dictionary of {values} values for a chunk of {}, and this reader takes \
                 {DICTIONARY_VALUES_FREE} more than the chunk has",
                self.claims.values
            )));
        }
        self.has_dictionary = true;
        Ok(())
    }

    fn take_values(&mut self, values: u32, encoding: u32) -> Result<(), ReadFailure> {
        let is_known = match (encoding, self.claims.reading) {
            (PLAIN | PLAIN_DICTIONARY | RLE_DICTIONARY, _) => true,
            (RLE, reading) => reading == Reading::Bool,
            (DELTA_BINARY_PACKED, reading) => matches!(
                reading,
                Reading::Int32 | Reading::UInt32 | Reading::Int64 | Reading::UInt64
            ),
            (DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY, reading) => reading == Reading::Text,
            (BYTE_STREAM_SPLIT, reading) => !matches!(reading, Reading::Text | Reading::Bool),
            (ALP, reading) => {
                reading.is_list() || matches!(reading, Reading::Float32 | Reading::Float64)
            }
            _ => false,
        };
        if !is_known {
            return Err(unknown_encoding("value", encoding));
        }
        if matches!(encoding, PLAIN_DICTIONARY | RLE_DICTIONARY) && !self.has_dictionary {
            return Err(ReadFailure::damaged("its values refer to a dictionary that is missing"));
        }
        let left = self.values.checked_sub(values.into());
        let too_many = || ReadFailure::damaged("its pages have more values than it claims");
        self.values = left.ok_or_else(too_many)?;
        Ok(())
    }
}

fn unknown_encoding(what: &str, encoding: u32) -> ReadFailure {
    ReadFailure::Unsupported(format!(
        "its {what} encoding is {encoding}, which this reader does not decode"
    ))
}

#[cfg(test)]
mod tests;
