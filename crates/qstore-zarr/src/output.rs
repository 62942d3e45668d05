//! What a checkpoint is written to, a file or a directory, and the manifest that lists it.
//!
//! Its two halves have different owners while it is filled. An archive is one file and has one writer,
//! as the manifest always has; a tree is written by any number of threads.

use crate::Error;
use crate::archive::ArchiveWriter;
use crate::entry::{Entry, Listed};
use crate::manifest::{MANIFEST, Manifest};
use crate::tree::TreeWriter;
use qstore_storage::{StagedDir, StagedFile};

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) target: Target,
    pub(crate) manifest: Manifest,
}

#[derive(Debug)]
pub(crate) enum Target {
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

    /// Writes and lists a document.
    pub(crate) fn document(&mut self, name: String, content: String) -> Result<(), Error> {
        let listed = self.target.put(Entry::document(name, content.into_bytes()))?;
        self.manifest.note(listed.name, listed.len, listed.crc32c);
        Ok(())
    }

    /// Writes the manifest, completes the checkpoint and returns it with its length.
    pub(crate) fn seal(mut self, save_seq: u64) -> Result<(Complete, u64), Error> {
        self.manifest.save_seq = save_seq;
        let own = self.target.put(Entry::document(MANIFEST.into(), self.manifest.seal()))?;
        match self.target {
            Target::Archive(archive) => {
                let staged = archive.finish()?;
                let len = staged.len();
                Ok((Complete::File(staged), len))
            }
            Target::Tree(tree) => {
                let listed: u64 = self.manifest.entries().map(|(_, len)| u64::from(len)).sum();
                Ok((Complete::Dir(tree.finish()?), listed + own.len as u64))
            }
        }
    }
}

impl Target {
    fn put(&mut self, entry: Entry<'_>) -> Result<Listed, Error> {
        match self {
            Self::Archive(archive) => entry.append_to(archive),
            Self::Tree(tree) => entry.write_to(tree),
        }
    }
}
