//! What holds a checkpoint's entries, a file or a directory, behind one face.

use crate::archive::Archive;
use crate::tree::Tree;
use crate::{Damage, Error};
use std::path::Path;

/// Entries that are read, from any number of threads.
#[derive(Debug)]
pub(crate) enum Container {
    Archive(Archive),
    Tree(Tree),
}

impl Container {
    /// How many entries there are. The manifest counts in an archive, whose last entry it is.
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

    /// Bytes of an entry.
    pub(crate) fn len_of(&self, index: usize) -> u64 {
        u64::from(match self {
            Self::Archive(archive) => archive.entries()[index].len,
            Self::Tree(tree) => tree.entries()[index].1,
        })
    }

    /// The number of the entry of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        match self {
            Self::Archive(archive) => archive.find(name),
            Self::Tree(tree) => tree.find(name),
        }
    }

    /// The data of an entry. `buffer` is only memory, to be reused from one read to the next.
    pub(crate) fn read<'b>(
        &self,
        index: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Error> {
        match self {
            Self::Archive(archive) => archive.read(index, buffer),
            Self::Tree(tree) => tree.read(index, buffer),
        }
    }

    /// The data of an entry that is no chunk.
    pub(crate) fn read_document(&self, index: usize) -> Result<Vec<u8>, Error> {
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

    /// Bytes of all of it on the disk.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Archive(archive) => archive.len(),
            Self::Tree(tree) => tree.len(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Archive(archive) => archive.path(),
            Self::Tree(tree) => tree.path(),
        }
    }

    /// Whether another checkpoint has taken this one's place since it was opened. An open file stays
    /// what it was; a directory does not.
    pub(crate) fn is_replaced(&self) -> bool {
        match self {
            Self::Archive(_) => false,
            Self::Tree(tree) => tree.is_replaced(),
        }
    }

    /// An entry beside those of the manifest. An archive that has one does not even open.
    pub(crate) fn unexpected(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Archive(_) => Ok(None),
            Self::Tree(tree) => tree.unexpected(),
        }
    }

    /// The error that this checkpoint is damaged in that way.
    pub(crate) fn damaged(&self, damage: Damage) -> Error {
        Error::Damaged { path: self.path().into(), damage }
    }
}
