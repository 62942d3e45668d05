//! The output of a save: a file or a tree, and the manifest that lists its entries.
//!
//! The two are written differently. An archive is one file with one writer, as the manifest always is; a
//! tree is written by any number of threads.

use crate::container::archive::ArchiveWriter;
use crate::container::entry::{Entry, Listed};
use crate::container::manifest::Manifest;
use crate::container::recognize::is_checkpoint_file;
use qstore_checkpoint::repository::{FileDraft, Leftovers, Repository, Result, TreeDraft};
use qstore_checkpoint::seal::MANIFEST;
use qstore_checkpoint::{Layout, SaveError};

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) target: Target,
    pub(crate) manifest: Manifest,
}

#[derive(Debug)]
pub(crate) enum Target {
    Archive(ArchiveWriter),
    Tree(Box<dyn TreeDraft>),
}

/// A complete checkpoint that does not have its name yet.
#[derive(Debug)]
pub(crate) enum Complete {
    File(Box<dyn FileDraft>),
    Tree(Box<dyn TreeDraft>),
}

impl Output {
    /// Begins a checkpoint that `writers` threads may fill.
    pub(crate) fn begin(
        repository: &dyn Repository,
        name: &str,
        layout: Layout,
        writers: usize,
        manifest: Manifest,
    ) -> Result<Self> {
        let target = match layout {
            Layout::SingleFile => Target::Archive(ArchiveWriter::new(repository.begin_file(name)?)),
            Layout::Directory => Target::Tree(repository.begin_tree(name, writers)?),
        };
        Ok(Self { target, manifest })
    }

    /// Writes and lists a document.
    pub(crate) fn document(&mut self, name: String, content: String) -> Result<(), SaveError> {
        let listed = self.target.put(Entry::document(name, content.into_bytes()))?;
        self.manifest.note(listed.name, listed.len, listed.crc32c);
        Ok(())
    }

    /// Writes the manifest, completes the checkpoint and returns it with its length.
    pub(crate) fn seal(mut self, save_seq: u64) -> Result<(Complete, u64), SaveError> {
        self.manifest.save_seq = save_seq;
        let own = self.target.put(Entry::document(MANIFEST.into(), self.manifest.seal()))?;
        match self.target {
            Target::Archive(archive) => {
                let draft = archive.finish()?;
                let len = draft.len();
                Ok((Complete::File(draft), len))
            }
            Target::Tree(tree) => {
                let listed: u64 = self.manifest.entries().map(|(_, len)| u64::from(len)).sum();
                Ok((Complete::Tree(tree), listed + own.len as u64))
            }
        }
    }
}

impl Target {
    fn put(&mut self, entry: Entry<'_>) -> Result<Listed, SaveError> {
        match self {
            Self::Archive(archive) => entry.append_to(archive),
            Self::Tree(tree) => entry.write_to(&**tree),
        }
    }
}

impl Complete {
    /// Gives the checkpoint its name. After `Ok` it is durable.
    pub(crate) fn commit(self) -> Result<Leftovers> {
        match self {
            Self::File(draft) => draft.commit_over(&is_checkpoint_file),
            Self::Tree(draft) => draft.commit(),
        }
    }
}
