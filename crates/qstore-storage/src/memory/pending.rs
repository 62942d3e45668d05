//! Changes of names that no sync has made durable yet, and what a power cut can leave of them.
//!
//! A step survives as a whole or not at all, and not before an earlier one that concerns the same name;
//! otherwise steps survive in any order. When a file moves between two directories, the two halves become
//! durable one by one, as each directory is synced: after a power cut it may be found under both names, or
//! under neither. A directory cannot: no file system lets it have two places or none, so whatever makes one
//! half of its move durable makes the other half durable with it.

use crate::random::Random;
use std::collections::BTreeSet;
use std::ffi::OsString;

/// A directory, a name in it, and the inode that the name now stands for.
pub(super) type Change = (usize, OsString, Option<usize>);

/// One step that changed names.
#[derive(Debug, Clone)]
struct Step {
    changes: Vec<Change>,
    /// Whether it cannot become durable by halves.
    is_whole: bool,
}

/// The steps that are not durable yet, or only partly, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    steps: Vec<Step>,
}

impl Pending {
    /// Adds a step.
    pub(super) fn add(&mut self, changes: Vec<Change>, moves_a_dir: bool) {
        let crosses = changes.windows(2).any(|pair| pair[0].0 != pair[1].0);
        self.steps.push(Step { changes, is_whole: crosses && moves_a_dir });
    }

    /// Forgets the changes in a directory that has been synced. Returns, in order, the changes elsewhere
    /// that become durable with them: the other halves of directories that moved into it or out of it.
    pub(super) fn settle(&mut self, synced: usize) -> Vec<Change> {
        let mut open: Vec<Step> = Vec::new();
        let mut durable = Vec::new();
        for mut step in std::mem::take(&mut self.steps) {
            let touches = step.changes.iter().any(|(dir, ..)| *dir == synced);
            if touches && step.is_whole {
                for change in step.changes {
                    // Supersedes what came before under that name.
                    for earlier in &mut open {
                        earlier.changes.retain(|old| (old.0, &old.1) != (change.0, &change.1));
                    }
                    durable.push(change);
                }
                continue;
            }
            step.changes.retain(|(dir, ..)| *dir != synced);
            open.push(step);
        }
        open.retain(|step| !step.changes.is_empty());
        self.steps = open;
        durable
    }

    /// Takes all steps, and returns the changes of some, in order: those that chance chooses and that do
    /// not come after a step that was left out.
    pub(super) fn take_some(&mut self, random: &mut Random) -> Vec<Change> {
        let mut left_out: BTreeSet<(usize, OsString)> = BTreeSet::new();
        let mut blocked: BTreeSet<usize> = BTreeSet::new();
        let mut durable = Vec::new();
        for Step { changes, .. } in std::mem::take(&mut self.steps) {
            let names = || changes.iter().map(|(dir, name, _)| (*dir, name.clone()));
            let inodes = || changes.iter().filter_map(|change| change.2);
            let waits = names().any(|name| left_out.contains(&name))
                || inodes().any(|inode| blocked.contains(&inode));
            if waits || !random.is_heads() {
                left_out.extend(names());
                blocked.extend(inodes());
            } else {
                durable.extend(changes);
            }
        }
        durable
    }

    /// Forgets all steps.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::{FileSystem, MemoryFs, PowerCut, UnsyncedBytes, UnsyncedNames};
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn a_directory_is_always_in_exactly_one_place() {
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

    /// Of two independent steps, none, either or both survive; two of the same name survive in their order.
    #[test]
    fn steps_survive_in_any_order_except_those_of_one_name() {
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
        // Never both names.
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
            assert_eq!(cut.list(Path::new("/")).unwrap().len(), 1, "a synced name was lost");
        }
    }
}
