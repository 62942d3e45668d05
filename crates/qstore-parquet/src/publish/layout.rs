//! Where everything goes in the next version of the file: which stored bytes stay or move, and what is
//! added. Nothing is written here.
//!
//! A version in *place* keeps every stored chunk at its offset and puts new chunks into free space. A
//! *packed* version has its chunks back to back, row group by row group, without free space. A closed
//! file is packed, unless there was hardly any free space in it.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::columns::table::Values;
use crate::error::WriteError;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::encoded_group::{self, Coding, EncodedGroup, EncodedGroups};
use crate::format::entry::range_of;
use crate::format::footer;
use crate::format::leaves::{self, Leaf};
use crate::format::published::Published;
use crate::format::read_failure::ReadFailure;
use crate::format::row_group;
use crate::format::stored::Stored;
use crate::publish::space::{Free, Space, merged};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::schema::types::SchemaDescPtr;
use qstore_schema::{DataType, Field};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A closed file is packed only if more than one byte in this many is unused: packing copies all of it.
const UNUSED_SHARE: u64 = 64;

/// What the next version of the file will be. It is complete in itself: rows that arrive while it is
/// written are not part of it.
#[derive(Debug)]
pub(crate) struct Version {
    /// The number of row groups of the old version that stay.
    pub(crate) kept: usize,
    /// All columns.
    pub(crate) fields: Vec<Field>,
    pub(crate) keys: Vec<KeyValue>,
    /// How the chunks that stored groups lack are encoded.
    pub(crate) coding: Coding,
    /// Whether it is the last version of the session.
    pub(crate) closes: bool,
}

/// For each group that stays, the chunks of columns that it lacks or has with another type. Empty if the
/// columns have not changed.
pub(crate) type Patches = Vec<Vec<Option<EncodedGroup>>>;

/// Why the next version could not be laid out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// Stored bytes that it needs could not be read, or are damaged.
    #[error(transparent)]
    Read(#[from] ReadFailure),
    /// The library refused to encode.
    #[error(transparent)]
    Encode(#[from] ParquetError),
}

impl LayoutError {
    /// The error for the version of the file at this path.
    pub(crate) fn at(self, path: &Path) -> WriteError {
        let path = path.to_path_buf();
        match self {
            Self::Read(ReadFailure::Storage(error)) => WriteError::Storage(error),
            Self::Read(ReadFailure::Damaged(reason)) => WriteError::Damaged { path, reason },
            Self::Read(ReadFailure::Unsupported(reason)) => {
                WriteError::Unsupported { path, reason }
            }
            Self::Encode(source) => WriteError::Encode { path, source },
        }
    }
}

/// Where everything goes.
pub(crate) struct Layout {
    /// Stored bytes of the new version, and their places in it.
    pub(crate) moves: Vec<Move>,
    pub(crate) writes: Vec<(u64, Bytes)>,
    pub(crate) groups: Vec<Arc<Stored>>,
    /// Where the footer begins.
    pub(crate) data_end: u64,
    /// Whether the chunks are back to back.
    pub(crate) is_packed: bool,
}

/// Bytes of the old version and their place in the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: Range<u64>,
    pub(crate) to: u64,
}

impl Version {
    /// Encodes the chunks that the groups that stay lack for the present columns.
    pub(crate) fn patches(&self, old: Option<&Published>) -> Result<Patches, LayoutError> {
        let Some(old) = old.filter(|old| old.fields != self.fields) else { return Ok(Vec::new()) };
        let leaves = leaves::continued(&self.fields, &old.leaves);
        (0..self.kept).map(|number| self.patch(old, number, &leaves)).collect()
    }

    fn patch(
        &self,
        old: &Published,
        number: usize,
        leaves: &[Leaf],
    ) -> Result<Vec<Option<EncodedGroup>>, LayoutError> {
        let rows = old.groups[number].rows();
        let mut patches = Vec::with_capacity(self.fields.len());
        for (index, field) in self.fields.iter().enumerate() {
            let column = match old.fields.get(index) {
                Some(stored) if stored == field => {
                    patches.push(None);
                    continue;
                }
                Some(_) => converted(old, number, index, field)?,
                None => Column::nulls(field.clone(), rows),
            };
            let alone = leaves::describe(&leaves[index..=index])?;
            let buffers = Buffers::default();
            patches.push(Some(row_group::encode(&[column], rows, &alone, self.coding, &buffers)?));
        }
        Ok(patches)
    }

    /// Gives everything its place. A closed file is packed, unless it `has_twin`, which needs only what
    /// is new, and hardly anything in it is free.
    pub(crate) fn lay_out(
        &self,
        old: Option<&Published>,
        encoded: &EncodedGroups,
        patches: &Patches,
        space: (&Space, Instant),
        has_twin: bool,
    ) -> Result<Layout, LayoutError> {
        if !self.closes || has_twin {
            let layout = self.arrange(old, encoded, patches, Some(space))?;
            if !self.closes || layout.unused() <= layout.data_end / UNUSED_SHARE {
                return Ok(layout);
            }
        }
        self.arrange(old, encoded, patches, None)
    }

    /// In place, where there is space, or packed.
    fn arrange(
        &self,
        old: Option<&Published>,
        encoded: &EncodedGroups,
        patches: &Patches,
        space: Option<(&Space, Instant)>,
    ) -> Result<Layout, LayoutError> {
        let stored = old.map_or(&[][..], |old| &old.groups);
        let leaves = old.map_or(&[][..], |old| &old.leaves);
        let (kept, buried) = stored.split_at_checked(self.kept).ok_or_else(missing)?;
        let mut places = match space {
            Some((space, now)) => Places::Free(space.free(kept, buried, now)),
            None => Places::Packed { end: footer::MAGIC.len() as u64 },
        };
        let (moves, writes, groups) = (Vec::new(), Vec::new(), Vec::new());
        let is_packed = space.is_none();
        let mut layout = Layout { moves, writes, groups, data_end: 0, is_packed };
        for (number, group) in kept.iter().enumerate() {
            let patches = patches.get(number).map_or(&[][..], Vec::as_slice);
            let group = layout.keep((group, leaves), patches, &mut places, &encoded.schema)?;
            layout.groups.push(group);
        }
        for group in &encoded.groups {
            let offset = places.take(group.bytes().len() as u64, &group.starts());
            layout.groups.push(Arc::new(group.place(offset, &encoded.schema)?));
            layout.writes.push((offset, group.bytes()));
        }
        if let (Places::Free(free), Some(_)) = (&places, old) {
            layout.moves.extend(free.kept.iter().map(|range| Move::none(range.clone())));
        } else {
            layout.writes.push((0, Bytes::from_static(footer::MAGIC)));
        }
        layout.data_end = places.end();
        Ok(layout)
    }
}

impl Layout {
    /// A group that stays, with the present columns of the file; so far it had `leaves`.
    fn keep(
        &mut self,
        (group, leaves): (&Arc<Stored>, &[Leaf]),
        patches: &[Option<EncodedGroup>],
        places: &mut Places<'_>,
        schema: &SchemaDescPtr,
    ) -> Result<Arc<Stored>, LayoutError> {
        if patches.is_empty() && !places.is_packed() {
            return Ok(Arc::clone(group));
        }
        let stored = group.metadata(leaves)?;
        let (mut chunks, mut checksums) = (Vec::new(), Vec::new());
        for (index, _) in schema.columns().iter().enumerate() {
            if let Some(Some(patch)) = patches.get(index) {
                let offset = places.take(patch.bytes().len() as u64, &patch.starts());
                let (chunk, checksum) = patch.place_chunk(offset)?;
                self.writes.push((offset, patch.bytes()));
                chunks.push(chunk);
                checksums.push(checksum);
                continue;
            }
            let chunk = stored.columns().get(index).ok_or_else(missing)?;
            let from = range_of(chunk);
            let to = match places {
                Places::Packed { .. } => places.take(from.end - from.start, &[0]),
                Places::Free(_) => from.start,
            };
            chunks.push(encoded_group::shifted(chunk, to as i64 - from.start as i64)?);
            checksums.push(group.checksums().nth(index).flatten());
            if places.is_packed() {
                self.push_move(Move { from, to });
            }
        }
        let metadata = encoded_group::assemble(chunks, group.rows(), schema)?;
        Ok(Arc::new(Stored::new(&metadata, &checksums)))
    }

    /// Bytes before the footer that belong to no chunk.
    fn unused(&self) -> u64 {
        let chunks = self.groups.iter().flat_map(|group| group.ranges());
        let used: u64 = chunks.map(|chunk| chunk.end - chunk.start).sum();
        self.data_end - used
    }

    /// Adds a move, as part of the last one if it continues that.
    fn push_move(&mut self, new: Move) {
        match self.moves.last_mut() {
            Some(last) if last.from.end == new.from.start && last.end() == new.to => {
                last.from.end = new.from.end;
            }
            _ => self.moves.push(new),
        }
    }

    /// The moves that bring a file up to date that has all bytes of the old version in place except for
    /// those that are `missing`.
    pub(crate) fn moves_into_twin(&self, missing: &[Range<u64>]) -> Vec<Move> {
        let mut moves = Vec::new();
        for one in &self.moves {
            if one.from.start != one.to {
                moves.push(one.clone());
                continue;
            }
            for range in missing {
                let both = one.from.start.max(range.start)..one.from.end.min(range.end);
                if !both.is_empty() {
                    moves.push(Move::none(both));
                }
            }
        }
        moves
    }

    /// The ranges that the new version writes.
    pub(crate) fn written(&self) -> Vec<Range<u64>> {
        let writes = self.writes.iter();
        merged(writes.map(|(offset, bytes)| *offset..offset + bytes.len() as u64).collect())
    }
}

impl Move {
    /// Bytes that stay where they are.
    fn none(range: Range<u64>) -> Self {
        Self { to: range.start, from: range }
    }

    fn end(&self) -> u64 {
        self.to + (self.from.end - self.from.start)
    }
}

/// Where new chunks may go.
enum Places<'a> {
    Free(Free<'a>),
    Packed { end: u64 },
}

impl Places<'_> {
    fn is_packed(&self) -> bool {
        matches!(self, Self::Packed { .. })
    }

    fn take(&mut self, len: u64, starts: &[u64]) -> u64 {
        match self {
            Self::Free(free) => free.take(len, starts),
            Self::Packed { end } => {
                let place = *end;
                *end += len;
                place
            }
        }
    }

    fn end(&self) -> u64 {
        match self {
            Self::Free(free) => free.end(),
            Self::Packed { end } => *end,
        }
    }
}

fn missing() -> LayoutError {
    ReadFailure::damaged("the file has fewer chunks than it claims").into()
}

/// A stored chunk as its column is now: integers have become floats, or it may hold nulls.
fn converted(
    old: &Published,
    group: usize,
    index: usize,
    field: &Field,
) -> Result<Column, ReadFailure> {
    fn parts<T>(all: Vec<Option<T>>) -> (Vec<T>, Vec<i16>) {
        let levels = all.iter().map(|value| i16::from(value.is_some())).collect();
        (all.into_iter().flatten().collect(), levels)
    }
    let mut column = Column::nulls(field.clone(), 0);
    (column.values, column.levels) = match old.values(group, index, CHUNK_BYTES_MAX)? {
        Values::Bool(all) => {
            let (values, levels) = parts(all);
            (HeldValues::Bool(values), levels)
        }
        Values::Int(all) => {
            let (values, levels) = parts(all);
            match field.data_type {
                DataType::Float64 => {
                    let floats = values.into_iter().map(|value| value as f64).collect();
                    (HeldValues::Float(floats), levels)
                }
                _ => (HeldValues::Int(values), levels),
            }
        }
        Values::Float(all) => {
            let (values, levels) = parts(all);
            (HeldValues::Float(values), levels)
        }
        Values::Text(all) => {
            let (values, levels) = parts(all);
            (HeldValues::Text(values), levels)
        }
    };
    Ok(column)
}
