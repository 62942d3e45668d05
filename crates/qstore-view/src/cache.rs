//! Chunks that were reduced, kept under what their bytes are known by.
//!
//! A chunk is found again by its column and rows, and by the type, the length and the checksum of its bytes and of
//! those of its x. Where the bytes are does not matter: a merge of row groups copies them. What a flush or another session adds is
//! read, the rest is not. Chunks without a checksum, of other programs, are not kept.

use crate::axis::XAxis;
use crate::grid::Cells;
use crate::leaf::Leaf;
use qstore_parquet::{Chunk, Extent, RowGroup};
use qstore_schema::DataType;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

/// What a picture is put together from, so that the next one reads only what is new. One cache serves any number
/// of columns and files, since equal bytes have equal values.
#[derive(Debug)]
pub struct Cache {
    leaves: Store<LeafKey, Leaf>,
    ranges: Store<RangeKey, Reach>,
    tables: Store<TableKey, Vec<Chunk>>,
    bytes_max: usize,
}

/// Reduced rows of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LeafKey {
    pub(crate) x: RangeKey,
    pub(crate) column: String,
    pub(crate) value: Content,
    pub(crate) cells: Cells,
}

/// What some bytes are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    len: u64,
    checksum: Option<u32>,
    /// The same bytes are other numbers in a column of another type.
    data_type: Option<DataType>,
}

/// Some rows of a chunk of x.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RangeKey {
    pub(crate) rows: Range<u64>,
    pub(crate) x: XAxis,
    /// The bytes of the chunk; `None` if x is the number of the row.
    pub(crate) content: Option<Content>,
    /// The bits of what is subtracted, and of what is divided by.
    pub(crate) origin: u64,
    pub(crate) unit: u64,
    /// Whether 0 and what is below are left out.
    pub(crate) is_positive: bool,
}

/// The x of some rows, from the least to the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    /// No row has a place on the axis.
    Nowhere,
    Between(f64, f64),
}

/// The chunks of a column in a row group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TableKey {
    pub(crate) rows: Range<u64>,
    pub(crate) table: Extent,
    pub(crate) column: String,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Cache {
    /// A cache of at most 128 MiB: enough for 20 columns of 10⁷ rows whose x rises. Where x goes back in every
    /// row, each row takes as much as a pixel column does elsewhere.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bytes_max(128 << 20)
    }

    /// A cache that takes about that many bytes. What was not used for longest goes first.
    #[must_use]
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        let (leaves, ranges, tables) = (Store::default(), Store::default(), Store::default());
        Self { leaves, ranges, tables, bytes_max }
    }

    /// About the memory that it takes now, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.leaves.bytes + self.ranges.bytes + self.tables.bytes
    }

    /// The number of reduced chunks in it.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.leaves.items.len()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::with_bytes_max(self.bytes_max);
    }

    pub(crate) fn leaf(&mut self, key: &LeafKey) -> Option<Arc<Leaf>> {
        self.leaves.get(key)
    }

    pub(crate) fn range(&mut self, key: &RangeKey) -> Option<Reach> {
        self.ranges.get(key).map(|range| *range)
    }

    pub(crate) fn table(&mut self, key: &TableKey) -> Option<Arc<Vec<Chunk>>> {
        self.tables.get(key)
    }

    pub(crate) fn keep_leaf(&mut self, key: LeafKey, leaf: Arc<Leaf>) {
        if key.value.checksum.is_some() && key.x.is_known() {
            let bytes = leaf.bytes() + key.column.len();
            self.leaves.keep(key, leaf, bytes);
        }
    }

    pub(crate) fn keep_range(&mut self, key: RangeKey, range: Reach) {
        if key.is_known() {
            self.ranges.keep(key, Arc::new(range), 0);
        }
    }

    pub(crate) fn keep_table(&mut self, key: TableKey, chunks: Arc<Vec<Chunk>>) {
        let bytes = chunks.capacity() * size_of::<Chunk>() + key.column.len();
        self.tables.keep(key, chunks, bytes);
    }

    /// Forgets what is beyond the limit. Called when a picture is done, so that all of it was there at once.
    pub(crate) fn trim(&mut self) {
        // The small things first: they are read again at once, and there are many of them only if a file is huge.
        for bytes_max in [self.bytes_max / 8, self.bytes_max / 8] {
            self.tables.trim(bytes_max);
            self.ranges.trim(bytes_max);
        }
        let small = self.tables.bytes + self.ranges.bytes;
        self.leaves.trim(self.bytes_max.saturating_sub(small));
    }
}

impl Content {
    pub(crate) fn of(extent: Extent, data_type: Option<DataType>) -> Self {
        Self { len: extent.len, checksum: extent.checksum, data_type }
    }
}

impl Reach {
    pub(crate) fn ends(self) -> Option<(f64, f64)> {
        match self {
            Self::Nowhere => None,
            Self::Between(least, largest) => Some((least, largest)),
        }
    }

    /// Of these x, of which those that are NaN have no place.
    pub(crate) fn of(xs: impl IntoIterator<Item = f64>) -> Self {
        let there = xs.into_iter().filter(|x| !x.is_nan());
        there.fold(Self::Nowhere, |range, x| match range {
            Self::Nowhere => Self::Between(x, x),
            Self::Between(least, largest) => Self::Between(least.min(x), largest.max(x)),
        })
    }
}

impl RangeKey {
    fn is_known(&self) -> bool {
        self.content.is_none_or(|content| content.checksum.is_some())
    }
}

/// Things under their keys.
#[derive(Debug)]
struct Store<K, V> {
    items: HashMap<K, Item<V>>,
    /// About the memory that they take.
    bytes: usize,
    /// Counts the uses.
    now: u64,
}

#[derive(Debug)]
struct Item<V> {
    value: Arc<V>,
    bytes: usize,
    used: u64,
}

impl<K, V> Default for Store<K, V> {
    fn default() -> Self {
        Self { items: HashMap::new(), bytes: 0, now: 0 }
    }
}

impl<K: Clone + Eq + Hash, V> Store<K, V> {
    fn get(&mut self, key: &K) -> Option<Arc<V>> {
        self.now += 1;
        let item = self.items.get_mut(key)?;
        item.used = self.now;
        Some(Arc::clone(&item.value))
    }

    fn keep(&mut self, key: K, value: Arc<V>, bytes: usize) {
        self.now += 1;
        let bytes = bytes + size_of::<K>() + size_of::<Item<V>>();
        let item = Item { value, bytes, used: self.now };
        self.bytes += bytes;
        match self.items.entry(key) {
            Entry::Occupied(mut known) => self.bytes -= known.insert(item).bytes,
            Entry::Vacant(place) => {
                place.insert(item);
            }
        }
    }

    /// Forgets what was not used for longest, down to seven eighths of the limit, so that it is not done each time.
    fn trim(&mut self, bytes_max: usize) {
        if self.bytes <= bytes_max {
            return;
        }
        let mut oldest: Vec<_> =
            self.items.iter().map(|(key, item)| (item.used, key.clone())).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in oldest {
            if self.bytes <= bytes_max / 8 * 7 {
                break;
            }
            self.bytes -= self.items.remove(&key).map_or(0, |item| item.bytes);
        }
    }
}

/// What a group is known by, for one of its columns; `None` if it has no table, which is then read from memory.
pub(crate) fn table_key(group: &RowGroup, column: &str) -> Option<TableKey> {
    let (rows, column) = (group.rows.clone(), column.to_owned());
    Some(TableKey { rows, table: group.table?, column })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut store = Store::<u32, u32>::default();
        (0..8).for_each(|key| store.keep(key, Arc::new(key), 1_000));
        let each = store.bytes / 8;
        assert!(store.get(&0).is_some());
        store.keep(7, Arc::new(70), 1_000);
        assert_eq!(store.bytes, each * 8, "it replaced what had its key");
        store.trim(each * 8);
        assert_eq!(store.items.len(), 8);
        store.trim(each * 4);
        let mut left: Vec<_> = store.items.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 6, 7]);
        assert_eq!(store.bytes, each * 3);
    }
}
