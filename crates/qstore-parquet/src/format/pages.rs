//! The pages of a column chunk, made safe for the library: nothing is allocated that the chunk's rows
//! and bytes do not justify.
//!
//! A page claims its decompressed length and its number of values, up to 2 GiB and 2 billion; the
//! library allocates what is claimed, and with gzip whatever the stream expands to. So every header is
//! read here first, compared with the footer, and written again, so that the library sees only what was
//! checked; and gzip is decompressed here, up to the length that was checked. No value is decoded here.

use crate::format::page_header::{Kind, PageHeader};
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use qstore_schema::DataType;
use std::io::Read;

/// The bytes per row that pages of numbers may claim. Eight hold the value; levels, deltas and
/// dictionaries take less than that again.
const ROW_BYTES_MAX: u64 = 16;

/// The bytes that a page may claim in addition, for blocks that are not full.
const PAGE_BYTES_FREE: u64 = 1 << 10;

/// The bytes that a chunk may claim in addition.
const CHUNK_BYTES_FREE: u64 = 1 << 16;

/// Texts can have any length. Up to this number of bytes a chunk may claim whatever it likes …
const TEXT_BYTES_FREE: u64 = 32 << 20;

/// … and beyond that at most this many bytes for each stored byte.
const TEXT_RATIO_MAX: u64 = 256;

const PLAIN: u32 = 0;
const PLAIN_DICTIONARY: u32 = 2;
const DELTA_LENGTH_BYTE_ARRAY: u32 = 6;
const DELTA_BYTE_ARRAY: u32 = 7;
const RLE_DICTIONARY: u32 = 8;

/// Pages that were checked and can be decoded.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) bytes: Vec<u8>,
    /// The compression that is left.
    pub(crate) compression: Compression,
}

/// What the footer claims about a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims {
    pub(crate) compression: Compression,
    pub(crate) data_type: DataType,
    pub(crate) rows: u64,
}

/// The pages of a chunk, after `head` other bytes; the error names the claim that cannot be true.
pub(crate) fn check(chunk: &[u8], head: usize, claims: Claims) -> Result<Pages, String> {
    let is_gzip = matches!(claims.compression, Compression::GZIP(_));
    let mut bytes = Vec::with_capacity(head + chunk.len() + chunk.len() / 8);
    bytes.resize(head, 0);
    let mut left = Left::new(chunk.len() as u64, claims);
    let mut rest = chunk;
    while !rest.is_empty() {
        let header = PageHeader::read(rest);
        let (mut header, header_len) = header.ok_or("a page has a malformed header")?;
        let body = header_len + header.stored_len as usize;
        let body = rest.get(header_len..body).ok_or("a page reaches beyond its chunk")?;
        rest = &rest[header_len + body.len()..];
        if header.kind == Kind::Index {
            continue;
        }
        // mutant: page_may_claim_anything
        left.take(&header)?;
        if !is_gzip {
            bytes.extend_from_slice(&header.write());
            bytes.extend_from_slice(body);
            continue;
        }
        // In version 2 the levels come before the compressed part.
        let plain = match &mut header.kind {
            Kind::DataV2 { is_compressed, .. } if !*is_compressed => body.len(),
            Kind::DataV2 { levels_len: [first, second], .. } => (*first + *second) as usize,
            _ => 0,
        };
        let (plain, compressed) =
            body.split_at_checked(plain).ok_or("the levels of a page reach beyond it")?;
        header.stored_len = header.full_len;
        bytes.extend_from_slice(&header.write());
        let end = bytes.len() + header.full_len as usize;
        bytes.extend_from_slice(plain);
        if !compressed.is_empty() {
            let most = (end + 1).saturating_sub(bytes.len()) as u64;
            let inflated = MultiGzDecoder::new(compressed).take(most).read_to_end(&mut bytes);
            inflated.map_err(|error| error.to_string())?;
        }
        if bytes.len() != end {
            return Err("a page does not have the length that it claims".into());
        }
    }
    let compression = if is_gzip { Compression::UNCOMPRESSED } else { claims.compression };
    Ok(Pages { bytes, compression })
}

/// The maximum that the remaining pages may claim.
#[derive(Debug)]
struct Left {
    data_type: DataType,
    values: u64,
    bytes: u64,
    has_dictionary: bool,
}

impl Left {
    fn new(stored: u64, Claims { data_type, rows, .. }: Claims) -> Self {
        let bytes = match data_type {
            DataType::Utf8 => TEXT_BYTES_FREE.saturating_add(stored.saturating_mul(TEXT_RATIO_MAX)),
            _ => CHUNK_BYTES_FREE.saturating_add(rows.saturating_mul(ROW_BYTES_MAX)),
        };
        Self { data_type, values: rows, bytes, has_dictionary: false }
    }

    fn take(&mut self, header: &PageHeader) -> Result<(), String> {
        let full_len = u64::from(header.full_len);
        let beyond = full_len.saturating_sub(PAGE_BYTES_FREE);
        let left = self.bytes.checked_sub(beyond);
        self.bytes = left.ok_or_else(|| format!("a page claims to be {full_len} bytes"))?;
        match header.kind {
            Kind::Dictionary { values, encoding } => {
                let least = match self.data_type {
                    DataType::Utf8 => 4, // the length of a text
                    _ => 8,
                };
                if self.has_dictionary
                    || !matches!(encoding, PLAIN | PLAIN_DICTIONARY)
                    || u64::from(values) * least > full_len
                {
                    return Err(format!(
                        "it claims a dictionary of {values} values in {full_len} bytes"
                    ));
                }
                self.has_dictionary = true;
                Ok(())
            }
            Kind::Data { values, encoding, .. } => self.take_values(values, encoding),
            Kind::DataV2 { values, encoding, levels_len: [first, second], .. } => {
                if u64::from(first) + u64::from(second) > full_len {
                    return Err("the levels of a page reach beyond it".into());
                }
                self.take_values(values, encoding)
            }
            Kind::Index => Ok(()),
        }
    }

    fn take_values(&mut self, values: u32, encoding: u32) -> Result<(), String> {
        match encoding {
            // In both a few bytes can expand to any amount of text, and its length is not known before.
            // No writer uses them by default.
            DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY => {
                return Err(
                    "its texts are encoded as deltas, which this reader does not support".into()
                );
            }
            PLAIN_DICTIONARY | RLE_DICTIONARY if !self.has_dictionary => {
                return Err("its values refer to a dictionary that is missing".into());
            }
            _ => {}
        }
        let left = self.values.checked_sub(values.into());
        self.values = left.ok_or("its pages have more values than there are rows")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
