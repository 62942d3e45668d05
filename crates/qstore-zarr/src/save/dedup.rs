//! Deduplication: chunks of tensors that have not changed since the previous checkpoint are linked instead
//! of written again.
//!
//! A 128-bit hash of a tensor's bytes, kept in the manifest, decides whether it has changed. A chunk is
//! read and checked before it is linked, so that damage does not spread. Links are hard links: every
//! checkpoint has all its files, no matter which one is removed first. No save depends on linking: if
//! anything prevents it, the chunk is written normally.

use crate::catalog::Catalog;
use crate::container::Container;
use crate::container::sealed::Sealed;
use crate::container::tree::Tree;
use crate::format::ZARR_JSON;
use qstore_checkpoint::Layout;
use twox_hash::XxHash3_128;

/// The hash that identifies a tensor's bytes.
pub(super) fn digest_of(data: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(data))
}

/// The checkpoint whose entries may be linked.
#[derive(Debug)]
pub(super) struct Previous {
    sealed: Sealed,
}

/// A chunk that exists and has been verified.
#[derive(Debug)]
pub(super) struct Stored {
    /// The tree it is in.
    pub(super) tree: String,
    pub(super) len: usize,
    pub(super) crc32c: u32,
}

impl Previous {
    /// The newest checkpoint stored as a tree, if there is one and it can be read.
    pub(super) fn newest(catalog: &Catalog) -> Option<Self> {
        let valid = catalog.scan().ok()?.valid.into_iter();
        let trees = valid.filter(|found| found.layout == Layout::Directory);
        let newest = trees.max_by_key(|found| found.candidate.save_seq)?;
        let (name, number) = (&newest.name, newest.candidate.number);
        let sealed = Sealed::open(&*catalog.repository, name, Layout::Directory, number).ok()?;
        Some(Self { sealed })
    }

    /// Whether it has exactly this tensor, chunked and compressed in the same way.
    pub(super) fn has(&self, path: &str, digest: &str, metadata: &str) -> bool {
        let document = || self.sealed.document(&format!("{path}/{ZARR_JSON}"));
        self.sealed.manifest.digest(path) == Some(digest)
            && document().is_ok_and(|found| found == metadata.as_bytes())
    }

    /// One of its chunks, read and checked.
    pub(super) fn chunk(&self, name: &str) -> Option<Stored> {
        let tree = self.tree()?;
        let index = tree.find(name)?;
        let mut buffer = Vec::new();
        let stored = tree.read(index, &mut buffer).ok()?;
        let (data, own) = stored.split_at_checked(stored.len().checked_sub(4)?)?;
        let crc32c = crc32c::crc32c(data);
        let is_whole = crc32c == self.sealed.crc32c(index) && own == crc32c.to_le_bytes();
        // mutant: damage_handed_on_by_links
        is_whole.then(|| Stored { tree: tree.name().into(), len: stored.len(), crc32c })
    }

    fn tree(&self) -> Option<&Tree> {
        match &self.sealed.container {
            Container::Tree(tree) => Some(tree),
            Container::Archive(_) => None,
        }
    }
}
