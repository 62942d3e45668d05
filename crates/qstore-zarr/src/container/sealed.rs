//! An opened checkpoint: a container, and the manifest that lists exactly what is in it.

use crate::container::Container;
use crate::container::archive::Archive;
use crate::container::manifest::Manifest;
use crate::container::repacked::{CannotRead, Repacked, SharedFile};
use crate::container::tree::Tree;
use qstore_checkpoint::repository::{FileSource, Repository, Source};
use qstore_checkpoint::seal::MANIFEST;
use qstore_checkpoint::{Damage, Layout, LoadError};

const A_PART: &str = "it belongs to one rank's part, not to a whole checkpoint";
const NO_MANIFEST: &str = "it has no manifest.json; if it contains checkpoints, open it with \
                           `Checkpoints::open`, and another program's with `load_zarr_group`";

/// A container whose manifest is valid and lists exactly the entries it has. Their bytes are checked when
/// they are read.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) container: Container,
    pub(crate) manifest: Manifest,
}

impl Sealed {
    /// Opens the checkpoint `name`, which must have number `number`.
    pub(crate) fn open(
        repository: &dyn Repository,
        name: &str,
        layout: Layout,
        number: u64,
    ) -> Result<Self, LoadError> {
        let sealed = match layout {
            Layout::SingleFile => Self::of_archive(Archive::open(repository, name)?)?,
            Layout::Directory => Self::of_tree(Tree::open(repository, name)?),
        };
        let found = sealed.manifest.number;
        let reason = if sealed.manifest.is_part() {
            A_PART.into()
        } else if found != number {
            format!("it belongs to checkpoint {found}, but its name says {number}")
        } else {
            return Ok(sealed);
        };
        Err(sealed.container.damaged(Damage::Manifest { reason }))
    }

    /// Opens whatever is at a path; its name and its place say nothing.
    pub(crate) fn of_source(source: Source, location: &str) -> Result<Self, LoadError> {
        let not_a_checkpoint = |reason: &str| LoadError::NotACheckpoint {
            location: location.into(),
            reason: reason.into(),
        };
        let sealed = match source {
            Source::File(file) => Self::of_file(file, location)?,
            Source::Tree(tree) => match Tree::of(tree, "", location.into()) {
                Err(LoadError::Repository(error)) if error.is_not_found() => {
                    return Err(not_a_checkpoint(NO_MANIFEST));
                }
                opened => Self::of_tree(opened?),
            },
            _ => return Err(not_a_checkpoint("it is neither a file nor a directory")),
        };
        if sealed.manifest.is_part() {
            return Err(not_a_checkpoint(A_PART));
        }
        Ok(sealed)
    }

    /// An archive as it was written, or one that another program has packed again from the same entries.
    fn of_file(file: Box<dyn FileSource>, location: &str) -> Result<Self, LoadError> {
        let file = SharedFile::from(file);
        let refused = match Archive::of(Box::new(file.clone()), location.into()) {
            Ok(archive) => return Self::of_archive(archive),
            Err(error) if error.damage().is_none() => return Err(error),
            Err(error) => error,
        };
        match Repacked::open(file) {
            Ok(Some(entries)) => match Tree::of(Box::new(entries), "", location.into()) {
                Err(LoadError::Repository(error)) if error.is_not_found() => {
                    let reason = NO_MANIFEST.into();
                    Err(LoadError::NotACheckpoint { location: location.into(), reason })
                }
                opened => Ok(Self::of_tree(opened?)),
            },
            Ok(None) => Err(refused),
            Err(CannotRead::Repository(error)) => Err(error.into()),
            Err(CannotRead::Form(reason)) => {
                Err(LoadError::NotACheckpoint { location: location.into(), reason })
            }
        }
    }

    fn of_archive(archive: Archive) -> Result<Self, LoadError> {
        let manifest = read_manifest(&archive)?;
        Ok(Self { container: Container::Archive(archive), manifest })
    }

    fn of_tree((tree, manifest): (Tree, Manifest)) -> Self {
        Self { container: Container::Tree(tree), manifest }
    }

    /// The crc32c an entry must have.
    pub(crate) fn crc32c(&self, index: usize) -> u32 {
        self.manifest.crc32c(index)
    }

    /// The checked bytes of an entry that is not a chunk.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, LoadError> {
        let Some(index) = self.container.find(name) else {
            return Err(self.container.damaged(Damage::Missing { entry: name.into() }));
        };
        let bytes = self.container.read_document(index)?;
        // mutant: metadata_checksum_not_compared
        if crc32c::crc32c(&bytes) != self.crc32c(index) {
            return Err(self.container.damaged(Damage::Checksum { entry: name.into() }));
        }
        if !self.container.has_own_checksum_of(index, &bytes) {
            return Err(self.container.damaged(Damage::Checksum { entry: name.into() }));
        }
        Ok(bytes)
    }
}

fn read_manifest(archive: &Archive) -> Result<Manifest, LoadError> {
    let damaged = |damage| LoadError::Damaged { location: archive.location().into(), damage };
    let (last, listed) = match archive.entries().split_last() {
        Some((last, listed)) if last.name == MANIFEST => (listed.len(), listed),
        _ => return Err(damaged(Damage::Manifest { reason: "it is not the last entry".into() })),
    };
    let manifest = Manifest::parse(&archive.read_document(last)?, archive.location())?;
    for (index, (name, len)) in manifest.entries().enumerate() {
        let damage = match listed.get(index) {
            Some(entry) if entry.name == name && entry.len == len => continue,
            Some(entry) if entry.name == name => Damage::Length {
                entry: name.into(),
                expected: u64::from(len),
                found: u64::from(entry.len),
            },
            // mutant: manifest_may_list_more_than_there_is
            _ => Damage::Missing { entry: name.into() },
        };
        return Err(damaged(damage));
    }
    // mutant: manifest_may_list_less_than_there_is
    match listed.get(manifest.entries().count()) {
        Some(entry) => Err(damaged(Damage::Unexpected { entry: entry.name.clone() })),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::archive::ArchiveWriter;
    use qstore_checkpoint::repository::MemoryRepository;
    use qstore_checkpoint::{Attempt, Rank, SaveError, Snapshot};

    const NAME: &str = "epoch_0003.zarr.zip";

    /// An archive of these entries with this manifest.
    fn sealed(entries: &[(&str, &[u8])], manifest: &[u8]) -> Result<Sealed, LoadError> {
        let repository = MemoryRepository::new();
        write(&repository, entries, manifest).unwrap();
        Sealed::open(&repository, NAME, Layout::SingleFile, 3)
    }

    fn write(
        repository: &MemoryRepository,
        entries: &[(&str, &[u8])],
        manifest: &[u8],
    ) -> Result<(), SaveError> {
        let mut writer = ArchiveWriter::new(repository.begin_file(NAME)?);
        for (name, data) in entries {
            writer.append_document((*name).into(), data)?;
        }
        writer.append_document(MANIFEST.into(), manifest)?;
        drop(writer.finish()?.commit()?);
        Ok(())
    }

    fn manifest(entries: &[(&str, &[u8])]) -> Manifest {
        let mut manifest = Manifest::new(3);
        for (name, data) in entries {
            manifest.note((*name).into(), data.len(), crc32c::crc32c(data));
        }
        manifest
    }

    #[test]
    fn a_manifest_that_matches_the_entries_is_valid() {
        let entries = [("zarr.json", &b"{}"[..]), ("model/w/c/0", b"chunk")];
        let sealed = sealed(&entries, &manifest(&entries).seal()).unwrap();
        assert_eq!(sealed.document("zarr.json").unwrap(), b"{}");
        assert!(sealed.document("none").is_err());
    }

    #[test]
    fn every_difference_is_named() {
        let check = |found: &[(&str, &[u8])], listed: &Manifest, message: &str| {
            let error = sealed(found, &listed.seal()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        let both: [(&str, &[u8]); 2] = [("zarr.json", b"{}"), ("model/w/c/0", b"chunk")];
        check(&both[..1], &manifest(&both), "`model/w/c/0` of tensor `model/w` is missing");
        check(&both, &manifest(&both[..1]), "`model/w` is not in the manifest");
        let short = [both[0], ("model/w/c/0", b"chu")];
        check(&short, &manifest(&both), "has 3 bytes instead of 5");
        let mut other = manifest(&both);
        other.number = 4;
        check(&both, &other, "it belongs to checkpoint 4, but its name says 3");
        let attempt = Attempt::new("a1").unwrap();
        let part = Snapshot::new(3).rank(attempt, Rank::new(1, 2).unwrap());
        let mut part = Manifest::of(&part, Vec::new());
        for (name, data) in both {
            part.note(name.into(), data.len(), crc32c::crc32c(data));
        }
        check(&both, &part, "one rank's part, not to a whole checkpoint");
    }
}
