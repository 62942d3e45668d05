//! The parts of a sealed row group that can be read alone: up to 65 536 rows each, with a checksum and
//! bounds for every column.
//!
//! A sealed group grows by merging up to about a million rows, so that a footer, which every flush writes,
//! has few entries. Readers still want a few thousand rows of it, or the bounds of each piece for a picture.
//! So a group has a table of its spans behind its chunks, where no flush writes it again. The footer says
//! where it is and has its checksum.
//!
//! The bytes of a span in a chunk are consecutive, after the dictionary page if there is one. All numbers
//! are little-endian:
//!
//! ```text
//! "QSPN"  columns: u32  spans: u32  rows of each span: u32 …
//! for each column:
//!     length of the dictionary page: u32  its crc32c: u32
//!     for each span:
//!         length: u64  crc32c: u32  kind: u8  nulls: u32  NaN: u32  infinite: u32  min: u64  max: u64
//! ```
//!
//! `kind` is 0 where nothing is known about the values, 1 for values without bounds, 2 for bounds that are
//! integers, 3 for bounds that are floats. Lengths of 0 mean that the chunk cannot be read in parts. Columns
//! after the last one came later, and are null.

use crate::format::facts::{Facts, Finite};
use std::ops::Range;

const LETTERS: &[u8; 4] = b"QSPN";

/// The maximum length of a table: ten thousand columns of a hundred spans.
pub(crate) const BYTES_MAX: u64 = 1 << 26;

const COLUMN_LEN: usize = 8;
const SPAN_LEN: usize = 41;

/// The spans of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Spans {
    /// The number of rows in each.
    pub(crate) rows: Vec<u32>,
    pub(crate) columns: Vec<ColumnSpans>,
}

/// The spans of a chunk.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ColumnSpans {
    pub(crate) dictionary: Part,
    pub(crate) spans: Vec<Span>,
}

/// Some bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    pub(crate) len: u64,
    pub(crate) checksum: u32,
}

/// A span of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Span {
    pub(crate) part: Part,
    /// What is known about its values.
    pub(crate) facts: Option<Facts>,
}

impl Part {
    /// All of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u64, checksum: crc32c::crc32c(bytes) }
    }
}

impl ColumnSpans {
    /// Whether the spans can be read alone.
    pub(crate) fn is_split(&self) -> bool {
        self.spans.iter().all(|span| span.part.len > 0)
    }

    /// The length of the chunk, if it can be read in parts.
    fn len(&self) -> u64 {
        let spans = self.spans.iter().map(|span| span.part.len);
        spans.fold(self.dictionary.len, u64::saturating_add)
    }

    /// Where a span is, relative to the beginning of its chunk.
    pub(crate) fn range(&self, span: usize) -> Range<u64> {
        let before = self.spans[..span].iter().map(|span| span.part.len);
        let start = before.fold(self.dictionary.len, u64::saturating_add);
        start..start + self.spans[span].part.len
    }

    /// The checksum of the whole chunk.
    pub(crate) fn checksum(&self) -> u32 {
        let dictionary = Some(self.dictionary).filter(|part| part.len > 0);
        let mut parts = dictionary.into_iter().chain(self.spans.iter().map(|span| span.part));
        let first = parts.next().unwrap_or_default();
        parts.fold(first.checksum, |sum, part| {
            crc32c::crc32c_combine(sum, part.checksum, part.len as usize)
        })
    }

    /// What is known about all values.
    pub(crate) fn facts(&self) -> Option<Facts> {
        let mut all = self.spans.iter().map(|span| span.facts);
        let first = all.next()??;
        all.try_fold(first, |facts, more| Some(facts.with(more?)))
    }
}

impl Spans {
    /// The table.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let span_len = COLUMN_LEN + SPAN_LEN * self.rows.len();
        let mut table =
            Vec::with_capacity(12 + 4 * self.rows.len() + self.columns.len() * span_len);
        table.extend_from_slice(LETTERS);
        table.extend((self.columns.len() as u32).to_le_bytes());
        table.extend((self.rows.len() as u32).to_le_bytes());
        table.extend(self.rows.iter().flat_map(|rows| rows.to_le_bytes()));
        for ColumnSpans { dictionary, spans } in &self.columns {
            table.extend((dictionary.len as u32).to_le_bytes());
            table.extend(dictionary.checksum.to_le_bytes());
            for Span { part, facts } in spans {
                table.extend(part.len.to_le_bytes());
                table.extend(part.checksum.to_le_bytes());
                let (kind, min, max) = match facts.map(|facts| facts.finite) {
                    None => (0, 0, 0),
                    Some(None) => (1, 0, 0),
                    Some(Some(Finite::Int(min, max))) => (2, min as u64, max as u64),
                    Some(Some(Finite::Float(min, max))) => (3, min.to_bits(), max.to_bits()),
                };
                let facts = facts.unwrap_or_default();
                table.push(kind);
                for count in [facts.nulls, facts.nans, facts.infinite] {
                    table.extend(count.to_le_bytes());
                }
                table.extend(min.to_le_bytes());
                table.extend(max.to_le_bytes());
            }
        }
        table
    }

    /// Decodes the table of a group with that many rows, whose chunks have these lengths; `None` if it is
    /// malformed, or is about another group.
    pub(crate) fn decode(table: &[u8], rows: usize, chunks: &[u64]) -> Option<Self> {
        let mut rest = table.strip_prefix(LETTERS.as_slice())?;
        let (columns, spans) = (u32_of(&mut rest)? as usize, u32_of(&mut rest)? as usize);
        let column_len = SPAN_LEN.checked_mul(spans)?.checked_add(COLUMN_LEN)?;
        let len = column_len.checked_mul(columns)?.checked_add(spans.checked_mul(4)?)?;
        if spans == 0 || columns > chunks.len() || rest.len() != len {
            return None;
        }
        // bounded: the table has all of them
        let mut found =
            Self { rows: Vec::with_capacity(spans), columns: Vec::with_capacity(columns) };
        for _ in 0..spans {
            found.rows.push(u32_of(&mut rest).filter(|rows| *rows > 0)?);
        }
        let all = found.rows.iter().try_fold(0_usize, |all, rows| all.checked_add(*rows as usize));
        if all != Some(rows) {
            return None;
        }
        for chunk in &chunks[..columns] {
            let len = u32_of(&mut rest)?.into();
            let dictionary = Part { len, checksum: u32_of(&mut rest)? };
            // bounded: the table has all of them
            let mut column = ColumnSpans { dictionary, spans: Vec::with_capacity(spans) };
            for rows in &found.rows {
                column.spans.push(span(&mut rest, *rows)?);
            }
            let is_whole = dictionary.len == 0 && column.spans.iter().all(|one| one.part.len == 0);
            if !is_whole && (!column.is_split() || column.len() != *chunk) {
                return None;
            }
            found.columns.push(column);
        }
        Some(found)
    }
}

fn span(rest: &mut &[u8], rows: u32) -> Option<Span> {
    let part = Part { len: u64_of(rest)?, checksum: u32_of(rest)? };
    let kind = bytes_of::<1>(rest)?[0];
    let (nulls, nans, infinite) = (u32_of(rest)?, u32_of(rest)?, u32_of(rest)?);
    let (min, max) = (u64_of(rest)?, u64_of(rest)?);
    let finite = match kind {
        0 | 1 => None,
        2 => Some(Finite::Int(min as i64, max as i64)),
        3 => Some(Finite::Float(f64::from_bits(min), f64::from_bits(max))),
        _ => return None,
    };
    let counted = u64::from(nulls) + u64::from(nans) + u64::from(infinite);
    if counted > rows.into() {
        return None;
    }
    let facts = Facts { nulls, nans, infinite, finite };
    Some(Span { part, facts: (kind > 0).then_some(facts) })
}

fn bytes_of<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

fn u32_of(rest: &mut &[u8]) -> Option<u32> {
    bytes_of(rest).map(u32::from_le_bytes)
}

fn u64_of(rest: &mut &[u8]) -> Option<u64> {
    bytes_of(rest).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Spans, Vec<u64>) {
        let span = |len, finite| {
            let facts = Facts { nulls: 1, nans: 2, infinite: 3, finite };
            Span { part: Part { len, checksum: 7 }, facts: Some(facts) }
        };
        let floats = ColumnSpans {
            spans: vec![span(10, Some(Finite::Float(-0.5, 2.0))), span(20, None)],
            ..ColumnSpans::default()
        };
        let texts = ColumnSpans {
            dictionary: Part { len: 5, checksum: 9 },
            spans: vec![
                Span { facts: None, ..span(1, None) },
                span(2, Some(Finite::Int(i64::MIN, 3))),
            ],
        };
        let whole = ColumnSpans { spans: vec![Span::default(); 2], ..ColumnSpans::default() };
        let spans = Spans { rows: vec![100, 50], columns: vec![floats, texts, whole] };
        (spans, vec![30, 8, 1_000, 4])
    }

    #[test]
    fn a_table_is_read_back_and_no_part_of_it_nor_one_of_another_group_is() {
        let (spans, chunks) = table();
        let bytes = spans.encode();
        assert_eq!(Spans::decode(&bytes, 150, &chunks), Some(spans));
        for len in 0..bytes.len() {
            assert_eq!(Spans::decode(&bytes[..len], 150, &chunks), None, "cut to {len}");
        }
        assert_eq!(Spans::decode(&bytes, 151, &chunks), None, "other rows");
        assert_eq!(Spans::decode(&bytes, 150, &chunks[..2]), None, "fewer columns");
        assert_eq!(Spans::decode(&bytes, 150, &[31, 8, 1_000]), None, "another length");
        let huge = [LETTERS.as_slice(), &[0xff; 8]].concat();
        assert_eq!(Spans::decode(&huge, 150, &chunks), None, "nothing is allocated for a claim");
        // No bytes make it panic.
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 0x80;
            drop(Spans::decode(&other, 150, &chunks));
        }
    }

    #[test]
    fn the_checksum_of_a_chunk_is_that_of_its_parts_together() {
        let (dictionary, first, second) =
            (b"words".as_slice(), b"pages".as_slice(), b"more of them".as_slice());
        let part = |bytes: &[u8]| Part { len: bytes.len() as u64, checksum: crc32c::crc32c(bytes) };
        let span = |bytes| Span { part: part(bytes), facts: None };
        let mut column =
            ColumnSpans { dictionary: part(dictionary), spans: vec![span(first), span(second)] };
        assert_eq!(column.checksum(), crc32c::crc32c(&[dictionary, first, second].concat()));
        assert_eq!(column.range(1), 10..22);
        column.dictionary = Part::default();
        assert_eq!(column.checksum(), crc32c::crc32c(&[first, second].concat()));
    }
}
