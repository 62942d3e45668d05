//! Directories that move between directories: all of a move survives a power cut, or nothing.
//!
//! A file may well be found under its old and its new name after a cut, or under neither. A directory
//! cannot: no file system lets it have two places or none, so whatever makes one half of the move
//! durable makes the other half durable with it.

use super::{Disk, Inode, Names};
use std::ffi::OsString;

/// What one move changes: in a directory, under a name, to what.
#[derive(Debug, Clone)]
pub(super) struct Move {
    changes: [(usize, OsString, Option<usize>); 2],
}

impl Disk {
    /// Notes the move of a directory, or the exchange of two, unless it stays within one directory.
    pub(super) fn note_move(
        &mut self,
        one: (usize, OsString, Option<usize>),
        other: (usize, OsString, Option<usize>),
    ) {
        let moves_dir = [&one, &other].iter().any(|change| {
            change.2.is_some_and(|inode| matches!(self.inodes[inode], Inode::Dir { .. }))
        });
        if moves_dir && one.0 != other.0 {
            self.moves.push(Move { changes: [one, other] });
        }
    }

    /// Makes durable what else was part of the moves into or out of a directory that is synced.
    pub(super) fn settle_moves(&mut self, synced: usize) {
        let touches = |step: &Move| step.changes.iter().any(|(dir, ..)| *dir == synced);
        let (settled, open) = std::mem::take(&mut self.moves).into_iter().partition(touches);
        self.moves = open;
        let settled: Vec<Move> = settled;
        for (dir, name, inode) in settled.into_iter().flat_map(|step| step.changes) {
            if let Inode::Dir { durable, .. } = &mut self.inodes[dir] {
                apply(durable, name, inode);
            }
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
    use crate::{MemoryStorage, Storage};
    use std::path::Path;

    #[test]
    fn a_directory_is_never_in_two_places_or_in_none() {
        for exchanged in [false, true] {
            let memory = MemoryStorage::new();
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
            let is_there = |memory: &MemoryStorage, path: &str| {
                memory.metadata(Path::new(path)).unwrap().is_some()
            };
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
}
