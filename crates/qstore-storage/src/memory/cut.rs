//! What a power cut leaves of unsynced changes: the file system may have written any part of them.

use super::disk::{Disk, Inode};
use crate::random::Random;
use std::fmt;

/// A power cut: what becomes of unsynced bytes and of unsynced names. Its text form is short and describes
/// it completely, including its seeds, so that a failing test can print it and be repeated.
///
/// ```
/// use qstore_storage::{MemoryFs, PowerCut, FileSystem, read_all};
/// use std::path::Path;
///
/// let memory = MemoryFs::new();
/// let file = memory.create_new(Path::new("/file"))?;
/// file.write_at(0, b"not synced")?;
/// memory.sync_dir(Path::new("/"))?;
/// assert_eq!(PowerCut::STRICT.to_string(), "lost+lost");
/// assert_eq!(read_all(&memory.power_cut_by(PowerCut::STRICT), Path::new("/file"))?, b"");
/// assert_eq!(read_all(&memory.power_cut_by(PowerCut::KIND), Path::new("/file"))?, b"not synced");
/// # Ok::<(), qstore_storage::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// What becomes of unsynced bytes in files.
    pub bytes: UnsyncedBytes,
    /// What becomes of unsynced names in directories.
    pub names: UnsyncedNames,
}

/// What becomes of bytes that were written but not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsyncedBytes {
    /// None has reached the disk.
    Lost,
    /// All have reached the disk.
    Kept,
    /// Every other block has, starting with the first, and the length.
    Torn {
        /// The size of a block in bytes.
        block: usize,
    },
    /// Some blocks have, and perhaps the length.
    Random {
        /// The size of a block in bytes.
        block: usize,
        /// Decides which ones.
        seed: u64,
    },
}

/// What becomes of changes in a directory that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsyncedNames {
    /// None has reached the disk.
    Lost,
    /// All have reached the disk.
    Kept,
    /// Some have: each step as a whole, and those of one name in their order.
    Random {
        /// Decides which ones.
        seed: u64,
    },
}

impl PowerCut {
    /// Only what was synced is left.
    pub const STRICT: Self = Self { bytes: UnsyncedBytes::Lost, names: UnsyncedNames::Lost };
    /// All that was visible is left.
    pub const KIND: Self = Self { bytes: UnsyncedBytes::Kept, names: UnsyncedNames::Kept };
}

impl fmt::Display for PowerCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            UnsyncedBytes::Lost => f.write_str("lost")?,
            UnsyncedBytes::Kept => f.write_str("kept")?,
            UnsyncedBytes::Torn { block } => write!(f, "torn-{block}")?,
            UnsyncedBytes::Random { block, seed } => write!(f, "random-{block}-{seed}")?,
        }
        match self.names {
            UnsyncedNames::Lost => f.write_str("+lost"),
            UnsyncedNames::Kept => f.write_str("+kept"),
            UnsyncedNames::Random { seed } => write!(f, "+random-{seed}"),
        }
    }
}

impl Disk {
    /// Leaves what a power cut leaves. No process survives it.
    pub(super) fn cut(&mut self, cut: PowerCut) {
        self.cut_names(cut.names);
        self.cut_bytes(cut.bytes);
        self.forget_processes();
        self.pending.clear();
    }

    fn cut_names(&mut self, names: UnsyncedNames) {
        if let UnsyncedNames::Random { seed } = names {
            for change in self.pending.take_some(&mut Random::of(seed)) {
                self.make_durable(change);
            }
        }
        for inode in &mut self.inodes {
            match inode {
                Inode::Dir { live, durable } if names == UnsyncedNames::Kept => {
                    durable.clone_from(live);
                }
                Inode::Dir { live, durable } => live.clone_from(durable),
                Inode::File { .. } => {}
            }
        }
    }

    fn cut_bytes(&mut self, bytes: UnsyncedBytes) {
        let mut random = Random::of(match bytes {
            UnsyncedBytes::Random { seed, .. } => seed,
            _ => 0,
        });
        for inode in &mut self.inodes {
            let Inode::File { live, durable } = inode else { continue };
            match bytes {
                UnsyncedBytes::Kept => durable.clone_from(live),
                UnsyncedBytes::Torn { block } => {
                    let mut is_kept = false;
                    write_some(live, durable, block, || {
                        is_kept = !is_kept;
                        is_kept
                    });
                }
                UnsyncedBytes::Random { block, .. } if live != durable => {
                    // Without the new length, what lies beyond the old one is cut off.
                    let old = durable.len();
                    write_some(live, durable, block, || random.is_heads());
                    if !random.is_heads() {
                        durable.resize(old, 0);
                    }
                }
                UnsyncedBytes::Lost | UnsyncedBytes::Random { .. } => {}
            }
            live.clone_from(durable);
        }
    }
}

/// Copies the length and some blocks of the visible bytes to the durable ones.
fn write_some(
    live: &[u8],
    durable: &mut Vec<u8>,
    block: usize,
    mut is_written: impl FnMut() -> bool,
) {
    durable.resize(live.len(), 0);
    for (written, kept) in live.chunks(block.max(1)).zip(durable.chunks_mut(block.max(1))) {
        if is_written() {
            kept.copy_from_slice(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileSystem, MemoryFs, read_all};
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn any_blocks_and_either_length_may_survive_and_nothing_else() {
        let memory = MemoryFs::new();
        let file = memory.create_new(Path::new("/file")).unwrap();
        memory.sync_dir(Path::new("/")).unwrap();
        file.write_at(0, b"aabb").unwrap();
        file.sync().unwrap();
        file.write_at(0, b"AABBCC").unwrap();
        let left = |seed| {
            let bytes = UnsyncedBytes::Random { block: 2, seed };
            let cut = memory.power_cut_by(PowerCut { bytes, names: UnsyncedNames::Lost });
            read_all(&cut, Path::new("/file")).unwrap()
        };
        let found: BTreeSet<_> = (0..300).map(left).collect();
        // Each of the first two blocks is old or new; the third is cut off, zeros or new.
        assert_eq!(found.len(), 2 * 2 * 3);
        assert!(found.iter().all(|bytes| matches!(&bytes[..2], b"aa" | b"AA")));
        assert_eq!(left(7), left(7), "the seed decides everything");
    }
}
