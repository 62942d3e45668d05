//! Where everything goes in the next version of the file: which stored bytes stay or move, and what is
//! added. Nothing is written here.
//!
//! A version in *place* keeps every stored chunk at its offset and puts new chunks into free space. A
//! *packed* version has its chunks back to back, row group by row group, without free space. A closed
//! file is packed, unless there was hardly any free space in it.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::columns::present::Present;
use crate::columns::table::Values;
use crate::error::WriteError;
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::encoded_group::{Coding, EncodedGroup, EncodedGroups};
use crate::format::entry::ChunkEntry;
use crate::format::footer;
use crate::format::published::Published;
use crate::format::read_failure::ReadFailure;
use crate::format::row_group;
use crate::format::shape::Shape;
use crate::format::stored::Stored;
use crate::publish::space::{Free, Space, merged};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
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
    pub(crate) shape: Arc<Shape>,
    pub(crate) keys: Vec<KeyValue>,
    /// How the chunks that stored groups lack are encoded.
    pub(crate) coding: Coding,
    /// Whether it is the last version of the session.
    pub(crate) closes: bool,
}

/// For each group that stays, what it lacks for the present columns. Empty if they have not changed.
pub(crate) type Patches = Vec<Patch>;

/// What a group that stays lacks for the present columns.
#[derive(Debug)]
pub(crate) struct Patch {
    /// The columns that it has in another type, each as a group of its own, in ascending order.
    replaced: Vec<(usize, EncodedGroup)>,
    /// The columns that came after it.
    added: EncodedGroup,
}

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
        let is_same = |old: &&Published| {
            Arc::ptr_eq(&old.shape, &self.shape) || old.shape.fields == self.shape.fields
        };
        let Some(old) = old.filter(|old| !is_same(old)) else { return Ok(Vec::new()) };
        let (before, now) = (&old.shape.fields, &self.shape.fields);
        let changed = before.iter().zip(now).enumerate();
        let changed = changed.filter(|(_, (before, now))| before != now);
        let changed: Vec<_> = changed.map(|(index, _)| index).collect();
        (0..self.kept).map(|number| self.patch(old, number, &changed)).collect()
    }

    fn patch(
        &self,
        old: &Published,
        number: usize,
        changed: &[usize],
    ) -> Result<Patch, LayoutError> {
        let (rows, fields) = (old.groups[number].rows(), &self.shape.fields);
        let encode = |columns: &[Column], first| {
            let buffers = Buffers::default();
            row_group::encode(columns, rows, (&self.shape, first), self.coding, &buffers)
        };
        let mut replaced = Vec::with_capacity(changed.len());
        for &index in changed {
            let column = converted(old, number, index, &fields[index])?;
            replaced.push((index, encode(&[column], index)?));
        }
        let first = old.shape.fields.len();
        let added = fields[first..].iter().map(|field| Column::new(field.clone(), false));
        let added = encode(&added.collect::<Vec<_>>(), first)?;
        Ok(Patch { replaced, added })
    }

    /// Gives everything its place. A closed file is packed, unless its footers stay in place, or it `has_twin`,
    /// which needs only what is new, and hardly anything in it is free.
    pub(crate) fn lay_out(
        &self,
        old: Option<&Published>,
        encoded: &EncodedGroups,
        patches: &Patches,
        space: (&Space, Instant),
        has_twin: bool,
    ) -> Result<Layout, LayoutError> {
        let stays = !self.closes || space.0.keeps_footers();
        if stays || has_twin {
            let layout = self.arrange(old, encoded, patches, Some(space))?;
            if stays || layout.unused() <= layout.data_end / UNUSED_SHARE {
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
        let (kept, buried) = stored.split_at_checked(self.kept).ok_or_else(missing)?;
        let mut places = match space {
            Some((space, now)) => Places::Free(space.free(kept, buried, now)),
            None => Places::Packed { end: footer::MAGIC.len() as u64 },
        };
        let (moves, writes, groups) = (Vec::new(), Vec::new(), Vec::new());
        let is_packed = space.is_none();
        let mut layout = Layout { moves, writes, groups, data_end: 0, is_packed };
        for (number, group) in kept.iter().enumerate() {
            let group = match (patches.get(number), old) {
                (patch, Some(old)) if patch.is_some() || is_packed => {
                    let shapes = (&*old.shape, &*self.shape);
                    Arc::new(layout.keep(group, shapes, patch, &mut places)?)
                }
                _ => Arc::clone(group),
            };
            layout.groups.push(group);
        }
        for group in &encoded.groups {
            let offset = places.take(group.bytes().len() as u64, &group.starts());
            layout.groups.push(Arc::new(group.place(offset, &self.shape.leaves)));
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
    /// A group that stays, in a file that had the columns of one shape and has those of another now.
    fn keep(
        &mut self,
        group: &Arc<Stored>,
        (before, now): (&Shape, &Shape),
        patch: Option<&Patch>,
        places: &mut Places<'_>,
    ) -> Result<Stored, LayoutError> {
        let replaced = patch.map_or(&[][..], |patch| &patch.replaced);
        let mut kept = if replaced.is_empty() && !places.is_packed() {
            Stored::clone(group)
        } else {
            self.rewrite(group, (before, now), replaced, places)?
        };
        if let Some(Patch { added, .. }) = patch.filter(|patch| !patch.added.chunks.is_empty()) {
            let offset = places.take(added.bytes().len() as u64, &added.starts());
            added.place_into(&mut kept, offset, &now.leaves[group.len()..]);
            self.writes.push((offset, added.bytes()));
        }
        Ok(kept)
    }

    /// The chunks of a group with some of them replaced, and in a packed version with others moved.
    fn rewrite(
        &mut self,
        group: &Stored,
        (before, now): (&Shape, &Shape),
        replaced: &[(usize, EncodedGroup)],
        places: &mut Places<'_>,
    ) -> Result<Stored, LayoutError> {
        let metadata = group.metadata(before)?;
        let mut rewritten = Stored::new(group.rows(), now.fields.len());
        let mut replaced = replaced.iter().peekable();
        for (index, chunk) in metadata.columns().iter().enumerate() {
            let leaf = now.leaves.get(index..=index).ok_or_else(missing)?;
            if let Some((_, patch)) = replaced.next_if(|(number, _)| *number == index) {
                let offset = places.take(patch.bytes().len() as u64, &patch.starts());
                patch.place_into(&mut rewritten, offset, leaf);
                self.writes.push((offset, patch.bytes()));
                continue;
            }
            let mut entry = ChunkEntry::of(chunk);
            if places.is_packed() {
                let from = entry.range();
                let to = places.take(entry.len, &[0]);
                entry.move_to(to);
                self.push_move(Move { from, to });
            }
            rewritten.push(&entry, group.checksum(index), &leaf[0].path());
        }
        Ok(rewritten)
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
    fn parts<T>(all: Vec<Option<T>>) -> (Vec<T>, Present) {
        let mut present = Present::default();
        let with_value = all.iter().enumerate().filter(|(_, value)| value.is_some());
        with_value.for_each(|(row, _)| present.push(row));
        (all.into_iter().flatten().collect(), present)
    }
    let mut column = Column::new(field.clone(), false);
    (column.values, column.present) = match old.values(group, index, CHUNK_BYTES_MAX)? {
        Values::Bool(all) => {
            let (values, present) = parts(all);
            (HeldValues::Bool(values), present)
        }
        Values::Int(all) => {
            let (values, present) = parts(all);
            match field.data_type {
                DataType::Float64 => {
                    let floats = values.into_iter().map(|value| value as f64).collect();
                    (HeldValues::Float(floats), present)
                }
                _ => (HeldValues::Int(values), present),
            }
        }
        Values::Float(all) => {
            let (values, present) = parts(all);
            (HeldValues::Float(values), present)
        }
        Values::List(all) => {
            let (values, levels) = parts(all);
            (HeldValues::List(values.into_iter().map(Arc::from).collect()), levels)
        }
        Values::Text(all) => {
            let (values, present) = parts(all);
            (HeldValues::Text(values), present)
        }
    };
    Ok(column)
}
