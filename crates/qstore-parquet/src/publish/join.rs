//! Sealed row groups become one without being decoded: the pages of each column, one group after the other.
//!
//! Pages do not depend on their place, so a merge is a list of stored ranges to copy, and takes no memory for
//! rows. Two things are encoded: nulls of columns that came after a group, and texts of a group whose
//! dictionary is another than that of the first; those pages are plain, as when a dictionary is full.
//! Nothing is written here.

use crate::columns::column::{Column, HeldValues};
use crate::columns::present::Present;
use crate::columns::table::Values;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::encoded_group::Coding;
use crate::format::entry::{Bounds, ChunkEntry, bit};
use crate::format::facts::Facts;
use crate::format::leaves::{Leaf, Reading};
use crate::format::odd_bounds;
use crate::format::page_header::PageHeader;
use crate::format::page_writer::PageWriter;
use crate::format::published::Published;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::ReadFailure;
use crate::format::shape::Shape;
use crate::format::span_table::SpanTable;
use crate::format::spans::{ColumnSpans, Part, Span, Spans};
use crate::format::stored::{Stored, step};
use crate::publish::layout_error::LayoutError;
use bytes::Bytes;
use parquet::basic::{Encoding, PageType, Type as Physical};
use std::ops::Range;
use std::sync::Arc;

/// The most bytes of pages that are encoded for one merge: they are in memory.
const ENCODED_BYTES_MAX: usize = 64 << 20;

/// A group made of others, without a place.
#[derive(Debug)]
pub(crate) struct Joined {
    rows: usize,
    chunks: Vec<(ChunkEntry, u32)>,
    /// The bytes, and where they are.
    pieces: Vec<(u64, Piece)>,
    len: u64,
    table: SpanTable,
    /// The list of its chunks that are not finite.
    odd: String,
}

/// Some of the bytes of a group.
#[derive(Debug)]
pub(crate) enum Piece {
    /// They are in the published file.
    Stored(Range<u64>),
    New(Bytes),
}

impl Piece {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Stored(range) => range.end - range.start,
            Self::New(bytes) => bytes.len() as u64,
        }
    }
}

/// A group that becomes part of another.
struct Source {
    number: usize,
    stored: Arc<Stored>,
    entries: Vec<ChunkEntry>,
    spans: Arc<Spans>,
}

impl Joined {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn pieces(&self) -> &[(u64, Piece)] {
        &self.pieces
    }

    /// The offsets of its chunks, relative to the beginning of the bytes.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.chunks.iter().map(|(chunk, _)| chunk.range().start).collect()
    }

    /// The group once its bytes are at `offset` of the file.
    pub(crate) fn place(&self, offset: u64, shape: &Shape) -> Stored {
        let mut group = Stored::new(self.rows, self.chunks.len());
        for ((chunk, checksum), leaf) in self.chunks.iter().zip(&shape.leaves) {
            let mut chunk = chunk.clone();
            chunk.move_to(offset + chunk.range().start);
            group.push(&chunk, Some(*checksum), &leaf.path());
        }
        group.set_table(self.table.moved(offset));
        group.set_odd(self.odd.clone());
        group.shrink();
        group
    }
}

/// Joins groups of a file whose columns have not changed. `None` if they cannot be one group: their codecs
/// differ, another program wrote one of them, or too much of them would have to be encoded.
pub(crate) fn join(
    old: &Published,
    numbers: Range<usize>,
    coding: Coding,
) -> Result<Option<Joined>, LayoutError> {
    let mut sources = Vec::with_capacity(numbers.len());
    for number in numbers {
        let Some(source) = source(old, number)? else { return Ok(None) };
        sources.push(source);
    }
    let rows: Vec<_> = sources.iter().flat_map(|source| source.spans.rows.clone()).collect();
    let columns = old.shape.fields.len();
    let mut join = Join {
        old,
        coding,
        rows: sources.iter().map(|source| source.stored.rows()).sum(),
        spans: Spans { rows, columns: Vec::with_capacity(columns) },
        chunks: Vec::with_capacity(columns),
        pieces: Vec::new(),
        len: 0,
        step: step(columns),
        encoded: 0,
    };
    for column in 0..columns {
        if join.add(column, &sources)?.is_none() {
            return Ok(None);
        }
    }
    let Join { rows, spans, chunks, mut pieces, len, .. } = join;
    let (table, odd) = (Bytes::from(spans.encode()), odd_bounds::of_group(&spans));
    let range = len..len + table.len() as u64;
    let table_at = SpanTable { range: range.clone(), checksum: crc32c::crc32c(&table) };
    pieces.push((len, Piece::New(table)));
    Ok(Some(Joined { rows, chunks, pieces, len: range.end, table: table_at, odd }))
}

/// A group of ours with its spans, which is one if it has no table of them.
fn source(old: &Published, number: usize) -> Result<Option<Source>, LayoutError> {
    let stored = Arc::clone(&old.groups[number]);
    let metadata = stored.metadata(&old.shape)?;
    let entries: Vec<_> = metadata.columns().iter().map(ChunkEntry::of).collect();
    if let Some(spans) = old.spans(number)? {
        let is_split = spans.columns.iter().all(ColumnSpans::is_split);
        return Ok(is_split.then_some(Source { number, stored, entries, spans }));
    }
    let mut columns = Vec::with_capacity(entries.len());
    for (column, entry) in entries.iter().enumerate() {
        let Some(checksum) = stored.checksum(column) else { return Ok(None) };
        let mut part = Part { len: entry.len, checksum };
        let mut dictionary = Part::default();
        if entry.dictionary_at.is_some() {
            let bytes = stored_bytes(old, &entry.range())?;
            let (words, pages) = bytes.split_at((entry.data_at - entry.range().start) as usize);
            (dictionary, part) = (Part::of(words), Part::of(pages));
        }
        columns.push(ColumnSpans { dictionary, spans: vec![Span { part, facts: None }] });
    }
    let spans = Arc::new(Spans { rows: vec![stored.rows() as u32], columns });
    Ok(Some(Source { number, stored, entries, spans }))
}

fn stored_bytes(old: &Published, range: &Range<u64>) -> Result<Vec<u8>, LayoutError> {
    let file = ReadAt::new(Arc::clone(&old.file)).map_err(ReadFailure::from)?;
    Ok(file.bytes(range.start, (range.end - range.start) as usize)?)
}

/// A group that is being put together, column by column.
struct Join<'a> {
    old: &'a Published,
    coding: Coding,
    rows: usize,
    spans: Spans,
    chunks: Vec<(ChunkEntry, u32)>,
    pieces: Vec<(u64, Piece)>,
    len: u64,
    /// Chunks begin at multiples of it.
    step: u64,
    encoded: usize,
}

impl Join<'_> {
    /// Adds the chunk of a column; `None` if it cannot be one.
    fn add(&mut self, column: usize, sources: &[Source]) -> Result<Option<()>, LayoutError> {
        self.len = self.len.next_multiple_of(self.step);
        let leaf = &self.old.shape.leaves[column];
        let known = |source: &Source| source.spans.columns.len() > column;
        let is_list = leaf.reading.as_ref().is_ok_and(|reading| reading.is_list());
        if is_list && !sources.iter().all(known) {
            // The nulls of lists have levels of two kinds, which only the library writes.
            return Ok(None);
        }
        let values = sources.iter().map(|source| match source.entries.get(column) {
            Some(theirs) if is_list => theirs.values,
            _ => source.stored.rows() as u64,
        });
        let codec = sources.iter().find(|source| known(source));
        let codec = codec.map_or(self.coding.compression, |source| source.entries[column].codec);
        let mut entry = ChunkEntry {
            physical: leaf.physical,
            codec,
            encodings: 0,
            values: values.sum(),
            full_len: 0,
            len: 0,
            data_at: self.len,
            dictionary_at: None,
            index_at: None,
            bounds: None,
            pages: Box::default(),
        };
        let dictionary = self.dictionary(column, sources, &mut entry)?;
        let mut found = ColumnSpans { dictionary: dictionary.part, spans: Vec::new() };
        let mut bounds = JoinedBounds::new(leaf);
        for source in sources {
            let rows = source.stored.rows() as u64;
            if !known(source) {
                bounds.add(Some(&Bounds { nulls: Some(rows), ..Bounds::default() }), rows);
                self.add_nulls(source, &mut entry, &mut found)?;
                continue;
            }
            let theirs = &source.entries[column];
            if theirs.codec != codec {
                return Ok(None);
            }
            bounds.add(theirs.bounds.as_deref(), rows);
            let spans = &source.spans.columns[column];
            if self.has_words(source, column, &dictionary)? {
                let left_out = if spans.dictionary.len == 0 { 0 } else { dictionary.full_len };
                self.copy(source, column, left_out, (&mut entry, &mut found));
            } else if self.encode_texts(source, column, &mut entry, &mut found)?.is_none() {
                return Ok(None);
            }
        }
        entry.len = self.len - entry.range().start;
        entry.bounds = bounds.all.map(Box::new);
        entry.pages = dictionary.pages.into();
        self.chunks.push((entry, found.checksum()));
        self.spans.columns.push(found);
        Ok(Some(()))
    }

    /// The dictionary of the first group that has one: those of the others are left out if they are the same.
    fn dictionary(
        &mut self,
        column: usize,
        sources: &[Source],
        entry: &mut ChunkEntry,
    ) -> Result<Dictionary, LayoutError> {
        let part = |source: &Source| {
            source.spans.columns.get(column).map_or(Part::default(), |spans| spans.dictionary)
        };
        let Some(first) = sources.iter().find(|source| part(source).len > 0) else {
            return Ok(Dictionary::default());
        };
        let theirs = &first.entries[column];
        let range = theirs.range().start..theirs.data_at;
        entry.dictionary_at = Some(self.len);
        entry.encodings |= bit(Encoding::PLAIN);
        let bytes = Bytes::from(stored_bytes(self.old, &range)?);
        let header = PageHeader::read(&bytes).filter(|_| Part::of(&bytes) == part(first));
        let (header, header_len) =
            header.ok_or_else(|| ReadFailure::damaged("a dictionary is damaged"))?;
        let full_len = header_len as u64 + u64::from(header.full_len);
        entry.full_len += full_len;
        self.push(Piece::New(bytes.clone()));
        entry.data_at = self.len;
        let page = [PageType::DICTIONARY_PAGE as i32, Encoding::PLAIN as i32, 1];
        let mut pages = vec![page];
        for source in sources.iter().filter(|source| part(source) == part(first)) {
            let data = source.entries[column].pages.iter();
            pages.extend(data.filter(|page| page[0] != PageType::DICTIONARY_PAGE as i32));
        }
        Ok(Dictionary { part: part(first), bytes, full_len, pages })
    }

    /// Whether the pages of a group refer to the same dictionary, or to none.
    fn has_words(
        &self,
        source: &Source,
        column: usize,
        dictionary: &Dictionary,
    ) -> Result<bool, LayoutError> {
        let part = source.spans.columns[column].dictionary;
        if part.len == 0 {
            return Ok(true);
        }
        let entry = &source.entries[column];
        let bytes = stored_bytes(self.old, &(entry.range().start..entry.data_at))?;
        // mutant: joined_dictionaries_not_compared
        Ok(bytes == dictionary.bytes)
    }

    /// Copies the pages of a group.
    fn copy(
        &mut self,
        source: &Source,
        column: usize,
        left_out: u64,
        (entry, found): (&mut ChunkEntry, &mut ColumnSpans),
    ) {
        let (theirs, spans) = (&source.entries[column], &source.spans.columns[column]);
        entry.encodings |= theirs.encodings;
        entry.full_len += theirs.full_len.saturating_sub(left_out);
        found.spans.extend(&spans.spans);
        self.push(Piece::Stored(theirs.data_at..theirs.range().end));
    }

    /// Adds the pages of a column that came after a group.
    fn add_nulls(
        &mut self,
        source: &Source,
        entry: &mut ChunkEntry,
        found: &mut ColumnSpans,
    ) -> Result<(), LayoutError> {
        let field = self.old.shape.fields[self.chunks.len()].clone();
        let column = Column::new(field, false);
        for rows in &source.spans.rows {
            self.encode(&column, *rows as usize, entry, found)?;
        }
        Ok(())
    }

    /// Adds the texts of a group without its dictionary; `None` if they are too many.
    fn encode_texts(
        &mut self,
        source: &Source,
        column: usize,
        entry: &mut ChunkEntry,
        found: &mut ColumnSpans,
    ) -> Result<Option<()>, LayoutError> {
        if self.old.shape.leaves[column].reading != Ok(Reading::Text) {
            return Ok(None);
        }
        for (span, rows) in source.spans.rows.iter().enumerate() {
            let values = self.old.span_values(source.number, span, column, CHUNK_BYTES_MAX)?;
            let Values::Text(values) = values else { return Ok(None) };
            let mut texts = Column::new(self.old.shape.fields[column].clone(), false);
            let mut present = Present::default();
            let with_text = values.iter().enumerate().filter(|(_, text)| text.is_some());
            with_text.for_each(|(row, _)| present.push(row));
            texts.present = present;
            texts.values = HeldValues::Text(values.into_iter().flatten().collect());
            self.encode(&texts, *rows as usize, entry, found)?;
            if self.encoded > ENCODED_BYTES_MAX {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Encodes and adds a span.
    fn encode(
        &mut self,
        column: &Column,
        rows: usize,
        entry: &mut ChunkEntry,
        found: &mut ColumnSpans,
    ) -> Result<(), LayoutError> {
        let coding = Coding { compression: entry.codec, is_passing: false, ..self.coding };
        let mut bytes = Vec::new();
        let mut writer = PageWriter::new(coding, rows, rows)?;
        let (chunk, checksum) = writer.append(column, entry.physical, &mut bytes)?;
        entry.encodings |= chunk.encodings;
        entry.full_len += chunk.full_len;
        let part = Part { len: bytes.len() as u64, checksum };
        let facts = Some(Facts::of(column, &(0..rows)));
        found.spans.push(Span { part, facts });
        self.encoded += bytes.len();
        self.push(Piece::New(bytes.into()));
        Ok(())
    }

    fn push(&mut self, piece: Piece) {
        let len = piece.len();
        self.pieces.push((self.len, piece));
        self.len += len;
    }
}

/// The dictionary of a joined chunk, and what is known about its pages.
#[derive(Debug, Default)]
struct Dictionary {
    part: Part,
    bytes: Bytes,
    full_len: u64,
    pages: Vec<[i32; 3]>,
}

/// The statistics of chunks together, as long as there are any of each.
struct JoinedBounds {
    all: Option<Bounds>,
    rows: u64,
    order: Option<Physical>,
}

impl JoinedBounds {
    fn new(leaf: &Leaf) -> Self {
        let is_ordered = matches!(
            leaf.reading,
            Ok(Reading::Int64
                | Reading::Int32
                | Reading::Float64
                | Reading::Float32
                | Reading::Text)
        );
        let all = Some(Bounds { nulls: Some(0), ..Bounds::default() });
        Self { all, rows: 0, order: is_ordered.then_some(leaf.physical) }
    }

    fn add(&mut self, more: Option<&Bounds>, rows: u64) {
        let before = self.rows;
        self.rows += rows;
        self.all = self.all.take().zip(more).map(|(all, more)| {
            let are_null = [all.nulls == Some(before), more.nulls == Some(rows)];
            all.with(more, are_null, self.order)
        });
    }
}
