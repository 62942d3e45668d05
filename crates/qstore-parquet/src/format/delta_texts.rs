//! Texts that are stored as deltas, written out in full: the encodings `DELTA_LENGTH_BYTE_ARRAY` and
//! `DELTA_BYTE_ARRAY` become `PLAIN`.
//!
//! The library decodes both, but believes their counts, and in the second a few bytes can stand for any
//! amount of text: each value repeats the beginning of the one before. Here the lengths are read first,
//! and nothing is allocated for texts before their sum is known to be allowed.

use crate::format::decompress::room;
use crate::format::read_failure::ReadFailure;

/// The bytes before a plain text, which hold its length.
const LENGTH_BYTES: u64 = 4;

/// Integers of more bits do not exist.
const WIDTH_MAX: u32 = 64;

/// Appends the texts of `DELTA_LENGTH_BYTE_ARRAY`, of which there are at most `values`, in the plain
/// encoding. `left` is the number of bytes that they may take.
pub(crate) fn append_lengths_first(
    bytes: &[u8],
    values: u32,
    left: u64,
    out: &mut Vec<u8>,
) -> Result<(), ReadFailure> {
    let (lengths, data) = lengths(bytes, values).ok_or_else(malformed)?;
    let sum = sum(&lengths);
    if sum > data.len() as u64 {
        return Err(malformed());
    }
    make_room(sum, lengths.len(), left, out)?;
    let mut rest = data;
    for len in lengths {
        let (text, after) = rest.split_at(len as usize);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(text);
        rest = after;
    }
    Ok(())
}

/// Appends the texts of `DELTA_BYTE_ARRAY`, as [`append_lengths_first`].
pub(crate) fn append_prefixed(
    bytes: &[u8],
    values: u32,
    left: u64,
    out: &mut Vec<u8>,
) -> Result<(), ReadFailure> {
    let (prefixes, bytes) = lengths(bytes, values).ok_or_else(malformed)?;
    let (suffixes, data) = lengths(bytes, values).ok_or_else(malformed)?;
    if prefixes.len() != suffixes.len() || sum(&suffixes) > data.len() as u64 {
        return Err(malformed());
    }
    // Each text begins with a part of the one before.
    let mut before = 0_u64;
    for (prefix, suffix) in prefixes.iter().zip(&suffixes) {
        if u64::from(*prefix) > before {
            return Err(malformed());
        }
        before = u64::from(*prefix) + u64::from(*suffix);
        // A length has 31 bits.
        i32::try_from(before).map_err(|_| malformed())?;
    }
    make_room(sum(&prefixes).saturating_add(sum(&suffixes)), prefixes.len(), left, out)?;
    let (mut rest, mut last) = (data, out.len()..out.len());
    for (prefix, suffix) in prefixes.into_iter().zip(suffixes) {
        let (text, after) = rest.split_at(suffix as usize);
        rest = after;
        out.extend_from_slice(&(prefix + suffix).to_le_bytes());
        let start = out.len();
        out.extend_from_within(last.start..last.start + prefix as usize);
        out.extend_from_slice(text);
        last = start..out.len();
    }
    Ok(())
}

fn malformed() -> ReadFailure {
    ReadFailure::damaged("its texts are malformed deltas")
}

fn sum(lengths: &[u32]) -> u64 {
    lengths.iter().map(|len| u64::from(*len)).sum()
}

fn make_room(texts: u64, count: usize, left: u64, out: &mut Vec<u8>) -> Result<(), ReadFailure> {
    let bytes = texts.saturating_add(count as u64 * LENGTH_BYTES);
    // mutant: delta_texts_of_any_length
    if bytes > left {
        return Err(ReadFailure::Unsupported(format!(
            "its texts are {bytes} bytes, more than this reader takes, see \
             MetricsFile::chunk_bytes_max"
        )));
    }
    room(out, bytes as usize)
}

/// The lengths at the beginning of the bytes, encoded as `DELTA_BINARY_PACKED`, and the bytes after
/// them. `None` if they are malformed, or more than `most`.
fn lengths(bytes: &[u8], most: u32) -> Option<(Vec<u32>, &[u8])> {
    let mut bits = Bits { bytes, held: 0, count: 0 };
    let block = usize::try_from(bits.varint()?).ok()?;
    let parts = usize::try_from(bits.varint()?).ok()?;
    let count = bits.varint().filter(|count| *count <= most.into())? as usize;
    let mut value = bits.zigzag()?;
    let per_part = block.checked_div(parts)?;
    let is_valid = block.is_multiple_of(128) && block.is_multiple_of(parts);
    if !is_valid || per_part == 0 || !per_part.is_multiple_of(32) {
        return None;
    }
    let mut all = Vec::new();
    all.try_reserve(count).ok()?;
    if count > 0 {
        all.push(length(value)?);
    }
    while all.len() < count {
        let least = bits.zigzag()?;
        let (widths, rest) = bits.bytes.split_at_checked(parts)?;
        bits.bytes = rest;
        // The parts that no value needs have widths, but nothing else.
        for width in widths {
            let width = Some(u32::from(*width)).filter(|width| *width <= WIDTH_MAX)?;
            let wanted = per_part.min(count - all.len());
            if wanted == 0 {
                break;
            }
            // A part is padded to its full length; only at the very end may that be missing.
            let full = u64::try_from(per_part).ok()?.checked_mul(width.into())? / 8;
            let full = usize::try_from(full).ok()?.min(bits.bytes.len());
            let (part, rest) = bits.bytes.split_at(full);
            let mut part = Bits { bytes: part, held: 0, count: 0 };
            for _ in 0..wanted {
                value = value.wrapping_add(least).wrapping_add(part.take(width)? as i64);
                all.push(length(value)?);
            }
            bits.bytes = rest;
        }
    }
    Some((all, bits.bytes))
}

/// Lengths have 32 bits with a sign, and so has the arithmetic of their deltas.
fn length(value: i64) -> Option<u32> {
    u32::try_from(value as i32).ok()
}

/// Bits, the lowest first.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u128,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, width: u32) -> Option<u64> {
        while self.count < width {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.held |= u128::from(*byte) << self.count;
            self.count += 8;
        }
        let value = self.held & ((1 << width) - 1);
        self.held >>= width;
        self.count -= width;
        Some(value as u64)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..WIDTH_MAX).step_by(7) {
            let byte = self.take(8)?;
            number |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
mod tests;
