//! One interface to the entries of a checkpoint, whether it is a file or a tree.

pub(crate) mod archive;
pub(crate) mod entry;
pub(crate) mod manifest;
pub(crate) mod output;
pub(crate) mod recognize;
mod repacked;
pub(crate) mod sealed;
pub(crate) mod tree;
mod zip_format;

use archive::Archive;
use qstore_checkpoint::{Damage, LoadError};
use tree::Tree;

/// The entries of a checkpoint, readable from any number of threads.
#[derive(Debug)]
pub(crate) enum Container {
    Archive(Archive),
    Tree(Tree),
}

impl Container {
    /// The number of entries. In an archive this includes the manifest, which is the last.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Archive(archive) => archive.entries().len(),
            Self::Tree(tree) => tree.entries().len(),
        }
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        match self {
            Self::Archive(archive) => &archive.entries()[index].name,
            Self::Tree(tree) => &tree.entries()[index].0,
        }
    }

    /// The length of an entry in bytes.
    pub(crate) fn len_of(&self, index: usize) -> u64 {
        u64::from(match self {
            Self::Archive(archive) => archive.entries()[index].len,
            Self::Tree(tree) => tree.entries()[index].1,
        })
    }

    /// The index of the entry with this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        match self {
            Self::Archive(archive) => archive.find(name),
            Self::Tree(tree) => tree.find(name),
        }
    }

    /// The data of an entry. `buffer` is scratch memory that is reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], LoadError> {
        match self {
            Self::Archive(archive) => archive.read(index, buffer),
            Self::Tree(tree) => tree.read(index, buffer),
        }
    }

    /// Whether the container's own checksum of an entry, by which other programs check it, is that of its
    /// data. Only an archive has one.
    pub(crate) fn has_own_checksum_of(&self, index: usize, data: &[u8]) -> bool {
        match self {
            Self::Archive(archive) => archive.entries()[index].crc32 == crc32fast::hash(data),
            Self::Tree(_) => true,
        }
    }

    /// The data of an entry that is not a chunk.
    pub(crate) fn read_document(&self, index: usize) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Archive(archive) => archive.read_document(index),
            Self::Tree(tree) => {
                let mut buffer = Vec::new();
                let len = tree.read(index, &mut buffer)?.len();
                buffer.truncate(len);
                Ok(buffer)
            }
        }
    }

    /// The size of the whole checkpoint in the repository, in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Archive(archive) => archive.len(),
            Self::Tree(tree) => tree.len(),
        }
    }

    /// The location, for messages.
    pub(crate) fn location(&self) -> &str {
        match self {
            Self::Archive(archive) => archive.location(),
            Self::Tree(tree) => tree.location(),
        }
    }

    /// Announces that these entries will be read, each once. A hint.
    pub(crate) fn announce(&self, indices: impl Iterator<Item = usize>) {
        match self {
            Self::Archive(archive) => archive.announce(indices),
            Self::Tree(_) => {}
        }
    }

    /// Whether another checkpoint has replaced this one since it was opened. An open file does not change, but
    /// in a bucket it cannot be read anymore; a tree changes.
    pub(crate) fn is_replaced(&self) -> bool {
        match self {
            Self::Archive(archive) => archive.is_replaced(),
            Self::Tree(tree) => tree.is_replaced(),
        }
    }

    /// An entry that the manifest does not list. An archive with such an entry cannot be opened.
    pub(crate) fn unexpected(&self) -> Result<Option<String>, LoadError> {
        match self {
            Self::Archive(_) => Ok(None),
            Self::Tree(tree) => tree.unexpected(),
        }
    }

    /// The error for this damage in this checkpoint.
    pub(crate) fn damaged(&self, damage: Damage) -> LoadError {
        LoadError::Damaged { location: self.location().into(), damage }
    }
}
