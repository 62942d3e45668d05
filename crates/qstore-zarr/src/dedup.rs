//! Tensors that have not changed since the previous checkpoint: their chunks are linked, not written
//! again.
//!
//! Whether a tensor has changed is told by a 128-bit hash of its bytes that the manifest keeps; what is
//! linked is read and checked first, so that damage does not spread. The links are hard ones: every
//! checkpoint has all its files, whichever of them is removed first. Nothing here is needed for a save
//! to succeed: where anything is in the way, the chunk is written as any other.

use crate::Layout;
use crate::container::Container;
use crate::directory::CheckpointDir;
use crate::manifest::Sealed;
use crate::save::ZARR_JSON;
use crate::tree::Tree;
use std::path::PathBuf;
use twox_hash::XxHash3_128;

/// What tells a tensor's bytes from others.
pub(crate) fn digest_of(data: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(data))
}

/// The checkpoint whose files may be linked.
#[derive(Debug)]
pub(crate) struct Previous {
    sealed: Sealed,
}

/// A chunk that is there, and whole.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) len: usize,
    pub(crate) crc32c: u32,
}

impl Previous {
    /// The newest checkpoint that is a directory, if there is one and it can be read.
    pub(crate) fn newest(dir: &CheckpointDir) -> Option<Self> {
        let valid = dir.scan().ok()?.valid.into_iter();
        let directories = valid.filter(|found| found.place.layout == Layout::Directory);
        let newest = directories.max_by_key(|found| found.candidate.save_seq)?;
        let (path, epoch) = (&newest.place.path, newest.candidate.epoch);
        let sealed = Sealed::open(&dir.storage, path, Layout::Directory, epoch).ok()?;
        Some(Self { sealed })
    }

    /// Whether it holds this very tensor, cut and compressed in the same way.
    pub(crate) fn has(&self, path: &str, digest: &str, metadata: &str) -> bool {
        let is_known = self.sealed.manifest.digest(path) == Some(digest);
        let document = || self.sealed.document(&format!("{path}/{ZARR_JSON}"));
        is_known && document().is_ok_and(|found| found == metadata.as_bytes())
    }

    /// A chunk of it, read and checked.
    pub(crate) fn chunk(&self, name: &str) -> Option<Stored> {
        let tree = self.tree()?;
        let index = tree.find(name)?;
        let mut buffer = Vec::new();
        let stored = tree.read(index, &mut buffer).ok()?;
        let (data, own) = stored.split_at_checked(stored.len().checked_sub(4)?)?;
        let crc32c = crc32c::crc32c(data);
        let is_whole = crc32c == self.sealed.crc32c(index) && own == crc32c.to_le_bytes();
        // mutant: damage_handed_on_by_links
        is_whole.then(|| Stored { path: tree.path_of(index), len: stored.len(), crc32c })
    }

    fn tree(&self) -> Option<&Tree> {
        match &self.sealed.container {
            Container::Tree(tree) => Some(tree),
            Container::Archive(_) => None,
        }
    }
}
