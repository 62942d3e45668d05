//! Decompresses the body of a page, to exactly the length that its header claims.
//!
//! The claim is not trusted. What a codec cannot reach with the bytes at hand is refused before anything
//! is allocated; where a few bytes can become any number, memory grows with what really comes out.
//! How much a chunk may decompress to at all is decided in `pages.rs`.

use crate::format::read_failure::ReadFailure;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use std::io::Read;

/// A claim of this many bytes is believed at once …
const BYTES_FREE: usize = 1 << 22;

/// … and beyond that one of this many bytes per compressed byte: pages that repeat themselves less are
/// the usual ones, and decompressing them in one step is faster.
const RATIO_FREE: usize = 64;

/// The most that a byte of snappy stands for: three bytes copy 64.
const SNAPPY_RATIO_MAX: usize = 22;

/// The most that a byte of LZ4 stands for: each further byte of a length counts up to 255.
const LZ4_RATIO_MAX: usize = 255;

/// What a codec may produce beyond its ratio, for the first few bytes.
const RATIO_SLACK: usize = 64;

/// The largest window of zstd, as the logarithm of its bytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// The first bytes of an LZ4 frame.
const LZ4_FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// The buffer between the compressed bytes, which are in memory already, and brotli.
const BROTLI_BUFFER: usize = 4_096;

/// Appends the decompressed bytes, of which there must be `full_len`.
pub(crate) fn append(
    codec: Compression,
    packed: &[u8],
    full_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), ReadFailure> {
    let end = out.len() + full_len;
    match codec {
        Compression::UNCOMPRESSED => out.extend_from_slice(packed),
        // A page of nulls has no values, and some writers then store nothing at all.
        _ if packed.is_empty() && full_len == 0 => {}
        Compression::SNAPPY => {
            possible(packed, full_len, SNAPPY_RATIO_MAX)?;
            let mut decoder = snap::raw::Decoder::new();
            in_one_step(out, full_len, |into| decoder.decompress(packed, into))?;
        }
        Compression::LZ4_RAW => {
            possible(packed, full_len, LZ4_RATIO_MAX)?;
            in_one_step(out, full_len, |into| lz4_flex::block::decompress_into(packed, into))?;
        }
        Compression::LZ4 => lz4_of_unknown_form(packed, full_len, out)?,
        Compression::ZSTD(_) if is_modest(packed, full_len) => {
            in_one_step(out, full_len, |into| zstd::bulk::decompress_to_buffer(packed, into))?;
        }
        Compression::ZSTD(_) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed);
            let mut decoder = decoder.map_err(|error| malformed(&error))?;
            // As far as the format goes: the window is memory of the page, which is allowed.
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| malformed(&error))?;
            in_pieces(decoder, full_len, out)?;
        }
        Compression::GZIP(_) => in_pieces(MultiGzDecoder::new(packed), full_len, out)?,
        Compression::BROTLI(_) => {
            let decoder = brotli_decompressor::Decompressor::new(packed, BROTLI_BUFFER);
            in_pieces(decoder, full_len, out)?;
        }
        Compression::LZO => {
            let reason = "it is compressed with LZO, which this reader does not decompress";
            return Err(ReadFailure::unsupported(reason));
        }
    }
    // mutant: page_of_another_length
    if out.len() == end { Ok(()) } else { Err(other_length()) }
}

fn other_length() -> ReadFailure {
    ReadFailure::damaged("a page does not have the length that it claims")
}

fn malformed(error: &dyn std::fmt::Display) -> ReadFailure {
    ReadFailure::Damaged(format!("a page cannot be decompressed: {error}"))
}

fn is_modest(packed: &[u8], full_len: usize) -> bool {
    full_len <= BYTES_FREE.max(packed.len().saturating_mul(RATIO_FREE))
}

/// Checks that a codec of that ratio can reach the length.
fn possible(packed: &[u8], full_len: usize, ratio: usize) -> Result<(), ReadFailure> {
    let most = packed.len().saturating_mul(ratio).saturating_add(RATIO_SLACK);
    if full_len <= most { Ok(()) } else { Err(other_length()) }
}

/// Decompresses into memory of the length that was claimed, which is possible or small.
fn in_one_step<E: std::fmt::Display>(
    out: &mut Vec<u8>,
    full_len: usize,
    decompress: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<(), ReadFailure> {
    let start = out.len();
    room(out, full_len)?;
    out.resize(start + full_len, 0);
    let len = decompress(&mut out[start..]).map_err(|error| malformed(&error))?;
    out.truncate(start + len);
    Ok(())
}

/// Decompresses piece by piece; a byte too many shows that the length is another.
fn in_pieces(decoder: impl Read, full_len: usize, out: &mut Vec<u8>) -> Result<(), ReadFailure> {
    let read = decoder.take(full_len as u64 + 1).read_to_end(out);
    read.map(drop).map_err(|error| match error.kind() {
        std::io::ErrorKind::OutOfMemory => no_memory(full_len),
        _ => malformed(&error),
    })
}

/// Makes room for that many bytes more.
pub(crate) fn room(out: &mut Vec<u8>, bytes: usize) -> Result<(), ReadFailure> {
    out.try_reserve(bytes).map_err(|_| no_memory(bytes))
}

fn no_memory(bytes: usize) -> ReadFailure {
    let reason = format!("{bytes} bytes of it need more memory than there is");
    ReadFailure::Unsupported(reason)
}

/// LZ4 as the format first had it, without saying which form: Hadoop's blocks, as its implementations
/// in Java write them; a frame, from old versions of the Parquet library; or a bare block, from old
/// versions of Arrow.
fn lz4_of_unknown_form(
    packed: &[u8],
    full_len: usize,
    out: &mut Vec<u8>,
) -> Result<(), ReadFailure> {
    let start = out.len();
    if packed.starts_with(&LZ4_FRAME) {
        return in_pieces(lz4_flex::frame::FrameDecoder::new(packed), full_len, out);
    }
    possible(packed, full_len, LZ4_RATIO_MAX)?;
    room(out, full_len)?;
    out.resize(start + full_len, 0);
    if hadoop_blocks(packed, &mut out[start..]).is_some() {
        return Ok(());
    }
    out.truncate(start);
    in_one_step(out, full_len, |into| lz4_flex::block::decompress_into(packed, into))
}

/// Blocks of Hadoop: a decompressed length, then pieces, each with its compressed length, until that
/// length is reached. Both are big-endian. `None` if the bytes are something else, or do not fill `out`.
fn hadoop_blocks(mut packed: &[u8], mut out: &mut [u8]) -> Option<()> {
    while !packed.is_empty() {
        let mut left = length(&mut packed)?;
        while left > 0 {
            let len = length(&mut packed)?;
            let (piece, rest) = packed.split_at_checked(len)?;
            packed = rest;
            let into = out.get_mut(..left)?;
            let done = lz4_flex::block::decompress_into(piece, into).ok()?;
            // A piece of nothing would go on forever.
            left = left.checked_sub(done).filter(|_| done > 0)?;
            out = &mut std::mem::take(&mut out)[done..];
        }
    }
    out.is_empty().then_some(())
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests;
