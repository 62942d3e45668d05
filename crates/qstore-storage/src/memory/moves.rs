//! Changes of names that no sync has made durable yet, and what a power cut can leave of them.
//!
//! A change is one step of the file system: it survives whole or not at all, and not before an earlier
//! one of the same name, but otherwise in any order. Of a file that moves between two directories the
//! halves are durable one by one, as each directory is synced: it may be found under both names, or
//! under neither. A directory cannot be: no file system lets it have two places or none, so whatever
//! makes one half of its move durable makes the other half durable with it.

use super::cut::Coin;
use super::{Disk, Inode, Names};
use std::collections::BTreeSet;
use std::ffi::OsString;

/// In a directory, under a name, now to what.
type Change = (usize, OsString, Option<usize>);

/// One step that changed names.
#[derive(Debug, Clone)]
pub(super) struct Move {
    changes: Vec<Change>,
    /// Whether it cannot be durable by halves.
    is_whole: bool,
}

impl Disk {
    /// Notes a step.
    pub(super) fn note(&mut self, changes: Vec<Change>) {
        let is_dir = |change: &Change| {
            change.2.is_some_and(|inode| matches!(self.inodes[inode], Inode::Dir { .. }))
        };
        let crosses = changes.windows(2).any(|pair| pair[0].0 != pair[1].0);
        let is_whole = crosses && changes.iter().any(is_dir);
        self.moves.push(Move { changes, is_whole });
    }

    /// A directory has been synced: forgets its changes, and makes durable what else was part of the
    /// moves of directories into or out of it.
    pub(super) fn settle_moves(&mut self, synced: usize) {
        let mut open: Vec<Move> = Vec::new();
        for mut step in std::mem::take(&mut self.moves) {
            let touches = step.changes.iter().any(|(dir, ..)| *dir == synced);
            if touches && step.is_whole {
                for change in step.changes {
                    // What came before under that name is overtaken.
                    for earlier in &mut open {
                        earlier.changes.retain(|old| (old.0, &old.1) != (change.0, &change.1));
                    }
                    self.make_durable(change);
                }
                continue;
            }
            step.changes.retain(|(dir, ..)| *dir != synced);
            open.push(step);
        }
        open.retain(|step| !step.changes.is_empty());
        self.moves = open;
    }

    /// Makes some of the open steps durable: those the coin chooses, and that no step that was left
    /// out comes before.
    pub(super) fn settle_some(&mut self, coin: &mut Coin) {
        let mut left_out: BTreeSet<(usize, OsString)> = BTreeSet::new();
        let mut stays: BTreeSet<usize> = BTreeSet::new();
        for Move { changes, .. } in std::mem::take(&mut self.moves) {
            let names = || changes.iter().map(|(dir, name, _)| (*dir, name.clone()));
            let inodes = || changes.iter().filter_map(|change| change.2);
            let waits = names().any(|name| left_out.contains(&name))
                || inodes().any(|i| stays.contains(&i));
            if waits || coin.is_tails() {
                left_out.extend(names());
                stays.extend(inodes());
            } else {
                for change in changes {
                    self.make_durable(change);
                }
            }
        }
    }

    fn make_durable(&mut self, (dir, name, inode): Change) {
        if let Inode::Dir { durable, .. } = &mut self.inodes[dir] {
            apply(durable, name, inode);
        }
    }
}

fn apply(names: &mut Names, name: OsString, inode: Option<usize>) {
    match inode {
        Some(inode) => names.insert(name, inode),
        None => names.remove(&name),
    };
}

#[cfg(test)]
mod tests {
    use crate::{FileSystem, MemoryFs, PowerCut, UnsyncedBytes, UnsyncedNames};
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn a_directory_is_never_in_two_places_or_in_none() {
        for exchanged in [false, true] {
            let memory = MemoryFs::new();
            for dir in ["/a", "/b", "/a/tree"] {
                memory.create_dir(Path::new(dir)).unwrap();
            }
            if exchanged {
                memory.create_dir(Path::new("/b/tree")).unwrap();
                memory.create_dir(Path::new("/b/tree/other")).unwrap();
            }
            for dir in ["/", "/a", "/b"] {
                memory.sync_dir(Path::new(dir)).unwrap();
            }
            if exchanged {
                memory.sync_dir(Path::new("/b/tree")).unwrap();
                memory.exchange(Path::new("/a/tree"), Path::new("/b/tree")).unwrap();
            } else {
                memory.rename(Path::new("/a/tree"), Path::new("/b/tree")).unwrap();
            }
            let is_there =
                |memory: &MemoryFs, path: &str| memory.metadata(Path::new(path)).unwrap().is_some();
            let cut = memory.power_cut();
            assert!(is_there(&cut, "/a/tree") && is_there(&cut, "/b/tree") == exchanged);
            for synced in ["/a", "/b"] {
                let memory = memory.process_kill();
                memory.sync_dir(Path::new(synced)).unwrap();
                let cut = memory.power_cut();
                assert!(is_there(&cut, "/b/tree") && is_there(&cut, "/a/tree") == exchanged);
                assert_eq!(is_there(&cut, "/a/tree/other"), exchanged, "{synced} was synced");
            }
        }
    }

    /// Two independent steps come in any of four ways; two of one name in their order only.
    #[test]
    fn steps_survive_in_any_order_but_for_those_of_one_name() {
        let names = |steps: fn(&MemoryFs)| {
            let memory = MemoryFs::new();
            steps(&memory);
            let left = |seed| {
                let names = UnsyncedNames::Random { seed };
                let cut = memory.power_cut_by(PowerCut { bytes: UnsyncedBytes::Lost, names });
                let mut names: Vec<_> =
                    cut.list(Path::new("/")).unwrap().into_iter().map(|entry| entry.name).collect();
                names.sort();
                names
            };
            (0..200).map(left).collect::<BTreeSet<_>>().len()
        };
        let create = |memory: &MemoryFs, name: &str| {
            memory.create_new(Path::new(name)).map(drop).unwrap();
        };
        assert_eq!(names(|_| {}), 1);
        let two = names(|memory| {
            memory.create_dir(Path::new("/a")).unwrap();
            memory.create_dir(Path::new("/b")).unwrap();
        });
        assert_eq!(two, 4, "none, either, both");
        // Never the new name alone without the file's being made, never both.
        let renamed = names(|memory| {
            memory.create_dir(Path::new("/a")).unwrap();
            memory.rename(Path::new("/a"), Path::new("/b")).unwrap();
        });
        assert_eq!(renamed, 3, "nothing, the old name, the new one");
        let memory = MemoryFs::new();
        create(&memory, "/file");
        memory.sync_dir(Path::new("/")).unwrap();
        for seed in 0..50 {
            let names = UnsyncedNames::Random { seed };
            let cut = memory.power_cut_by(PowerCut { bytes: UnsyncedBytes::Kept, names });
            assert_eq!(cut.list(Path::new("/")).unwrap().len(), 1, "what was synced stays");
        }
    }
}
