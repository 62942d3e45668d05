//! What holds a checkpoint's entries, a file or a directory, behind one face.

use crate::archive::{Archive, ArchiveWriter};
use crate::dedup::Stored;
use crate::manifest::{MANIFEST, Manifest};
use crate::tree::{Tree, TreeWriter};
use crate::{Damage, Error};
use qstore_storage::{StagedDir, StagedFile};
use serde_json::Value;
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

/// Entries that are written, and the manifest that lists them.
#[derive(Debug)]
pub(crate) struct Output {
    target: Target,
    manifest: Manifest,
}

#[derive(Debug)]
enum Target {
    Archive(ArchiveWriter),
    Tree(TreeWriter),
}

/// A complete checkpoint that has no public name yet.
#[derive(Debug)]
pub(crate) enum Complete {
    File(StagedFile),
    Dir(StagedDir),
}

impl Output {
    pub(crate) fn to_file(staged: StagedFile, epoch: u64) -> Self {
        Self { target: Target::Archive(ArchiveWriter::new(staged)), manifest: Manifest::new(epoch) }
    }

    pub(crate) fn to_dir(staged: StagedDir, workers: usize, epoch: u64) -> Self {
        let target = Target::Tree(TreeWriter::new(staged, workers));
        Self { target, manifest: Manifest::new(epoch) }
    }

    pub(crate) fn manifest(&mut self) -> &mut Manifest {
        &mut self.manifest
    }

    /// Writes a chunk, given in parts. `crc32` is that of all of it, `crc32c` that of what is before
    /// its own checksum.
    pub(crate) fn chunk(
        &mut self,
        name: String,
        crc32: u32,
        crc32c: u32,
        parts: &[&[u8]],
    ) -> Result<(), Error> {
        let len = match &mut self.target {
            Target::Archive(archive) => archive.append(name.clone(), crc32, parts)?,
            Target::Tree(tree) => tree.append(&name, parts)?,
        };
        self.manifest.note(name, len, crc32c);
        Ok(())
    }

    /// Makes a chunk that is stored elsewhere a part of this checkpoint as well; says whether it could.
    pub(crate) fn link(&mut self, name: &str, stored: &Stored) -> bool {
        let Target::Tree(tree) = &mut self.target else { return false };
        let is_linked = tree.link(name, stored);
        if is_linked {
            self.manifest.note(name.into(), stored.len, stored.crc32c);
        }
        is_linked
    }

    pub(crate) fn document(&mut self, name: String, content: &Value) -> Result<(), Error> {
        let bytes = content.to_string().into_bytes();
        self.put(name.clone(), &bytes)?;
        self.manifest.note(name, bytes.len(), crc32c::crc32c(&bytes));
        Ok(())
    }

    fn put(&mut self, name: String, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.target {
            Target::Archive(archive) => archive.append_document(name, bytes),
            Target::Tree(tree) => {
                ArchiveWriter::check_measure(&name, bytes.len())?;
                tree.append(&name, &[bytes]).map(drop)
            }
        }
    }

    /// Writes the manifest, completes the checkpoint and returns it with its length.
    pub(crate) fn seal(mut self, save_seq: u64) -> Result<(Complete, u64), Error> {
        self.manifest.save_seq = save_seq;
        let bytes = self.manifest.seal();
        self.put(MANIFEST.into(), &bytes)?;
        match self.target {
            Target::Archive(archive) => {
                let staged = archive.finish()?;
                let len = staged.len();
                Ok((Complete::File(staged), len))
            }
            Target::Tree(tree) => {
                let len = tree.len();
                Ok((Complete::Dir(tree.finish()?), len))
            }
        }
    }
}
