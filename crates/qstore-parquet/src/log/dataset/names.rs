//! The names in the directory of a rank.
//!
//! ```text
//! part-00007.parquet         sealed: never touched again
//! _part-00008.parquet        open: Spark and pyarrow pass over names that begin like this
//! ._part-00008.parquet.twin  its second copy, and its lock `….lock`
//! .rank.lock                 while the rank has a writer
//! part-00000-00006.parquet   sealed parts that were compacted into one
//! part-….compacting.parquet  while that can be listed beside them; `.compact-…` before
//! .compact.lock              while someone compacts
//! ```

use crate::error::OpenError;
use qstore_storage::{EntryKind, FileSystem, Locking};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The lock of a rank.
pub(super) const LOCK: &str = ".rank.lock";

/// The lock of those who compact.
pub(super) const COMPACTION_LOCK: &str = ".compact.lock";

/// The name of a part that is written.
pub(super) fn open_name(part: u32) -> PathBuf {
    format!("_part-{part:05}.parquet").into()
}

/// The name of a part that is sealed.
pub(super) fn sealed_name(part: u32) -> PathBuf {
    format!("part-{part:05}.parquet").into()
}

/// The parts in a directory, by number.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) sealed: BTreeSet<u32>,
    pub(super) open: BTreeSet<u32>,
    /// The files of the sealed ones, in order.
    pub(super) units: Vec<Unit>,
    /// What compactions are about to do, or what killed ones have left to do.
    pub(super) plans: Vec<PathBuf>,
    /// What a killed compaction left of a part that it had not finished.
    pub(super) unfinished: Vec<PathBuf>,
    /// What a killed writer left: locks and second copies of parts that are sealed.
    leftovers: Vec<PathBuf>,
}

/// A sealed file: one part, or several that were compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) name: PathBuf,
}

impl Parts {
    pub(super) fn list(dir: &dyn FileSystem) -> qstore_storage::Result<Self> {
        let mut parts = Self::default();
        let mut hidden = Vec::new();
        for entry in dir.list(Path::new("."))? {
            let Some(name) = entry.name.to_str() else { continue };
            if let Some((first, last)) = sealed_numbers(name) {
                parts.sealed.insert(last);
                parts.units.push(Unit { first, last, name: name.into() });
            } else if name.starts_with("part-") && name.ends_with(".compacting.parquet") {
                parts.plans.push(name.into());
            } else if name.starts_with(".compact-") || name.starts_with("..compact-") {
                parts.unfinished.push(name.into());
            } else if let Some(part) = number(name, "_part-", ".parquet") {
                parts.open.insert(part);
            } else if entry.kind == EntryKind::File {
                let suffixes = [".parquet.twin", ".parquet.lock"];
                let found = suffixes.iter().find_map(|end| number(name, "._part-", end));
                hidden.extend(found.map(|part| (part, PathBuf::from(name))));
            }
        }
        parts.units.sort_by_key(|unit| (unit.first, unit.last));
        hidden.retain(|(part, _)| !parts.open.contains(part));
        parts.leftovers = hidden.into_iter().map(|(_, name)| name).collect();
        Ok(parts)
    }

    /// A number that no part has, above all of them.
    pub(super) fn next(&self) -> u32 {
        let last = self.sealed.last().max(self.open.last());
        last.map_or(0, |last| last.saturating_add(1))
    }

    /// The open part that can be continued: nothing comes after it.
    pub(super) fn last_open(&self) -> Option<u32> {
        self.open.last().copied().filter(|open| self.sealed.last() < Some(open))
    }

    /// Removes what a killed writer left. The caller has the lock of the rank.
    pub(super) fn clear_leftovers(
        &self,
        dir: &dyn FileSystem,
        locking: Locking,
    ) -> Result<(), OpenError> {
        for name in &self.leftovers {
            if name.extension().is_some_and(|end| end == "twin") {
                dir.remove_file(name)?;
            } else {
                // A lock file disappears with its lock.
                drop(locking.try_lock(dir, name)?);
            }
        }
        Ok(())
    }
}

/// The numbers of the first and the last part in a sealed file.
fn sealed_numbers(name: &str) -> Option<(u32, u32)> {
    let stem = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let (first, last) = stem.split_once('-').unwrap_or((stem, stem));
    Some((digits(first)?, digits(last)?))
}

fn number(name: &str, start: &str, end: &str) -> Option<u32> {
    digits(name.strip_prefix(start)?.strip_suffix(end)?)
}

fn digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_storage::MemoryFs;

    fn parts(names: &[&str]) -> Parts {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/rank")).unwrap();
        for name in names {
            memory.create_new(&Path::new("/rank").join(name)).unwrap();
        }
        let dir = memory.open_dir(Path::new("/rank")).unwrap().unwrap();
        Parts::list(&*dir).unwrap()
    }

    #[test]
    fn the_next_part_comes_after_all_others_whatever_they_are() {
        assert_eq!(parts(&[]).next(), 0);
        assert_eq!(parts(&["part-00002.parquet", "_part-00001.parquet", "notes"]).next(), 3);
        assert_eq!(parts(&["part-00002-00009.parquet", "_part-00001.parquet"]).next(), 10);
        assert_eq!(parts(&["_part-100000.parquet", "part-+7.parquet"]).next(), 100_001);
    }

    #[test]
    fn only_a_part_after_which_nothing_comes_is_continued() {
        assert_eq!(parts(&["part-00002.parquet", "_part-00001.parquet"]).last_open(), None);
        assert_eq!(parts(&["_part-00002.parquet", "part-00002.parquet"]).last_open(), None);
        assert_eq!(parts(&["_part-00003.parquet", "part-00002.parquet"]).last_open(), Some(3));
    }
}
