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
use crate::format::chunk::CHUNK_BYTES_MAX;
use crate::format::encoded_group::{Coding, EncodedGroup, EncodedGroups};
use crate::format::entry::ChunkEntry;
use crate::format::footer;
use crate::format::published::Published;
use crate::format::read_failure::ReadFailure;
use crate::format::row_group;
use crate::format::shape::Shape;
use crate::format::span_table::SpanTable;
use crate::format::spans::Spans;
use crate::format::stored::{Stored, merged};
use crate::publish::join::{self, Joined, Piece};
use crate::publish::layout_error::LayoutError;
use crate::publish::space::{Free, Space};
use bytes::Bytes;
use parquet::file::metadata::KeyValue;
use qstore_schema::{DataType, Field};
use std::ops::Range;
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
    /// Those of them that become one; only if the columns have not changed.
    pub(crate) joined: Option<Range<usize>>,
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
    /// Whether the groups that were to become one did.
    pub(crate) has_joined: bool,
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
            let coding = Coding { has_spans: false, ..self.coding };
            row_group::encode(columns, rows, (&self.shape, first), coding, &buffers)
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
        let joined = match (self.joined.clone(), old) {
            (Some(range), Some(old)) if space.is_some() && range.end <= kept.len() => {
                join::join(old, range.clone(), self.coding)?.map(|joined| (range, joined))
            }
            _ => None,
        };
        let gone = joined.as_ref().map_or(0..0, |(range, _)| range.clone());
        let live = [&kept[..gone.start], &kept[gone.end..]].concat();
        let buried = [buried, &kept[gone.clone()]].concat();
        let mut places = match space {
            Some((space, now)) => Places::Free(space.free(&live, &buried, now)),
            None => Places::Packed { end: footer::MAGIC.len() as u64 },
        };
        let (moves, writes, groups) = (Vec::new(), Vec::new(), Vec::new());
        let is_packed = space.is_none();
        let has_joined = joined.is_some();
        let mut layout = Layout { moves, writes, groups, data_end: 0, is_packed, has_joined };
        let mut copies = Vec::new();
        for (number, group) in kept.iter().enumerate() {
            if let Some((range, joined)) =
                joined.as_ref().filter(|(range, _)| range.contains(&number))
            {
                if number == range.start {
                    let place = places.take(joined.len(), &joined.starts());
                    copies = layout.add_joined(joined, place);
                    layout.groups.push(Arc::new(joined.place(place, &self.shape)));
                }
                continue;
            }
            let group = match (patches.get(number), old) {
                (patch, Some(old)) if patch.is_some() || is_packed => {
                    let shapes = (&*old.shape, &*self.shape);
                    let group = (old, number, &**group);
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
        layout.moves.extend(copies);
        layout.data_end = places.end();
        Ok(layout)
    }
}

impl Layout {
    /// A group that stays, in a file that had the columns of one shape and has those of another now.
    fn keep(
        &mut self,
        (old, number, group): (&Published, usize, &Stored),
        (before, now): (&Shape, &Shape),
        patch: Option<&Patch>,
        places: &mut Places<'_>,
    ) -> Result<Stored, LayoutError> {
        let replaced = patch.map_or(&[][..], |patch| &patch.replaced);
        let mut kept = if replaced.is_empty() && !places.is_packed() {
            group.clone()
        } else {
            self.rewrite((old, number, group), (before, now), replaced, places)?
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
        (old, number, group): (&Published, usize, &Stored),
        (before, now): (&Shape, &Shape),
        replaced: &[(usize, EncodedGroup)],
        places: &mut Places<'_>,
    ) -> Result<Stored, LayoutError> {
        let metadata = group.metadata(before)?;
        let mut rewritten = Stored::new(group.rows(), now.fields.len());
        rewritten.set_odd(group.odd().to_owned());
        let mut chunks = replaced.iter().peekable();
        for (index, chunk) in metadata.columns().iter().enumerate() {
            let leaf = now.leaves.get(index..=index).ok_or_else(missing)?;
            if let Some((_, patch)) = chunks.next_if(|(number, _)| *number == index) {
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
        self.rewrite_table((old, number, group), replaced, places, &mut rewritten)?;
        Ok(rewritten)
    }

    /// The table of a group's spans, if some of its chunks are others now, or in its place in a packed version.
    fn rewrite_table(
        &mut self,
        (old, number, group): (&Published, usize, &Stored),
        replaced: &[(usize, EncodedGroup)],
        places: &mut Places<'_>,
        rewritten: &mut Stored,
    ) -> Result<(), LayoutError> {
        let Some(table) = group.table() else { return Ok(()) };
        let len = table.range.end - table.range.start;
        if replaced.is_empty() {
            let to = places.take(len, &[0]);
            rewritten.set_table(table.moved_to(to));
            self.push_move(Move { from: table.range.clone(), to });
            return Ok(());
        }
        let spans = match old.spans(number) {
            Ok(Some(spans)) => spans,
            Err(ReadFailure::Storage(error)) => return Err(ReadFailure::Storage(error).into()),
            // Without a table the group is read as a whole, and its chunks have checksums of their own.
            Ok(None) | Err(_) => return Ok(()),
        };
        let mut spans = Spans::clone(&spans);
        for (column, patch) in replaced {
            if let Some(known) = spans.columns.get_mut(*column) {
                *known = patch.spans_like(known);
            }
        }
        let table = Bytes::from(spans.encode());
        let start = places.take(table.len() as u64, &[0]);
        let checksum = crc32c::crc32c(&table);
        rewritten.set_table(SpanTable { range: start..start + table.len() as u64, checksum });
        self.writes.push((start, table));
        Ok(())
    }

    /// Adds what is encoded of a joined group at `place`; returns what is copied.
    fn add_joined(&mut self, joined: &Joined, place: u64) -> Vec<Move> {
        let mut copies = Vec::with_capacity(joined.pieces().len());
        for (start, piece) in joined.pieces() {
            let to = place + start;
            match piece {
                Piece::Stored(from) => copies.push(Move { from: from.clone(), to }),
                Piece::New(bytes) => self.writes.push((to, bytes.clone())),
            }
        }
        copies
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
        let writes = writes.map(|(offset, bytes)| *offset..offset + bytes.len() as u64);
        // mutant: joined_bytes_missing_from_the_twin
        let copies = self.moves.iter().filter(|one| one.from.start != one.to);
        merged(writes.chain(copies.map(|one| one.to..one.end())).collect())
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
