//! The list of contents: the last entry of a checkpoint, and the proof that it is whole.
//!
//! ```json
//! {"format":"qstore-checkpoint","version":1,"epoch":3,"save_seq":17,
//!  "entries":[["model/w/c/0",1234,305419896], …],"crc32c":"89abcdef"}
//! ```
//! `metrics`, left out where there are none, are the numbers in the first level of the metadata.
//! Each entry has its name, its length in bytes and a crc32c, in the order of the archive: of a chunk
//! the one it ends with, which covers what is before it; of any other entry that of all its bytes. The
//! last field is the crc32c of all bytes before its own digits. `save_seq` counts the
//! saves into one directory, whatever their epoch or the clock.

use crate::archive::Archive;
use crate::container::Container;
use crate::retention::Candidate;
use crate::tree::Tree;
use crate::{Damage, Error, Layout};
use qstore_storage::FileSystem;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The manifest's entry.
pub(crate) const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "qstore-checkpoint";
/// The version of the format that this crate reads and writes.
pub(crate) const VERSION: u64 = 1;

const SEAL_LEN: usize = "89abcdef\"}".len();

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u64,
    pub(crate) epoch: u64,
    pub(crate) save_seq: u64,
    /// What retention may choose by, each with the bits of its number, so that NaN is told as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<(String, u64)>,
    /// With deduplication, for each array a hash of its bytes in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<(String, String)>,
    entries: Vec<(String, u32, u32)>,
}

impl Manifest {
    /// A manifest without entries.
    pub(crate) fn new(epoch: u64) -> Self {
        let format = FORMAT.into();
        Self {
            format,
            version: VERSION,
            epoch,
            save_seq: 0,
            metrics: Vec::new(),
            digests: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Notes what retention may choose by.
    pub(crate) fn note_metrics(&mut self, metrics: Vec<(String, f64)>) {
        self.metrics = metrics.into_iter().map(|(name, number)| (name, number.to_bits())).collect();
    }

    /// Notes what tells an array's bytes from others.
    pub(crate) fn note_digest(&mut self, path: String, digest: String) {
        self.digests.push((path, digest));
    }

    /// What was noted for an array.
    pub(crate) fn digest(&self, path: &str) -> Option<&str> {
        let found = self.digests.iter().find(|(known, _)| known == path);
        found.map(|(_, digest)| digest.as_str())
    }

    /// The checkpoint as retention sees it.
    pub(crate) fn candidate(&self, is_pinned: bool) -> Candidate {
        let candidate = Candidate::new(self.epoch, self.save_seq).pinned(is_pinned);
        let metrics = self.metrics.iter().cloned();
        metrics
            .fold(candidate, |candidate, (name, bits)| candidate.metric(name, f64::from_bits(bits)))
    }

    /// Notes an entry that was appended to the archive.
    pub(crate) fn note(&mut self, name: String, len: usize, crc32c: u32) {
        self.entries.push((name, len as u32, crc32c));
    }

    /// The bytes of the manifest's own entry.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("names and numbers are always JSON");
        bytes.pop(); // the closing brace
        bytes.extend_from_slice(b",\"crc32c\":\"");
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("{checksum:08x}\"}}").as_bytes());
        bytes
    }

    /// Reads the manifest of the checkpoint at `path`.
    ///
    /// Its head is looked at before the rest, so that a later version is told from damage whatever
    /// it has in its entries.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
        }
        let invalid =
            |reason| Error::Damaged { path: path.into(), damage: Damage::Manifest { reason } };
        unseal(bytes).map_err(|reason| invalid(reason.into()))?;
        let head: Head =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        if head.format != FORMAT {
            return Err(invalid(format!("its format is `{}`", head.format)));
        }
        if head.version != VERSION {
            let (path, found, known) = (path.into(), head.version, VERSION);
            return Err(Error::UnsupportedVersion { path, found, known });
        }
        serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))
    }

    /// Name and length of every entry but the manifest.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, u32)> {
        self.entries.iter().map(|(name, len, _)| (&**name, *len))
    }
}

fn unseal(bytes: &[u8]) -> Result<(), &'static str> {
    let covered = bytes.len().checked_sub(SEAL_LEN).ok_or("it is too short")?;
    let (covered, seal) = bytes.split_at(covered);
    let checksum = crc32c::crc32c(covered);
    // mutant: manifest_seal_not_compared
    if seal != format!("{checksum:08x}\"}}").as_bytes() {
        return Err("it does not match its own checksum");
    }
    Ok(())
}

/// A container whose manifest is valid and names exactly the entries that are there. Their bytes are
/// checked when they are read.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) container: Container,
    pub(crate) manifest: Manifest,
}

impl Sealed {
    pub(crate) fn open(
        storage: &Arc<dyn FileSystem>,
        path: &Path,
        layout: Layout,
        epoch: u64,
    ) -> Result<Self, Error> {
        let (container, manifest) = match layout {
            Layout::SingleFile => {
                let archive = Archive::open(&**storage, path)?;
                let manifest = read_manifest(&archive)?;
                (Container::Archive(archive), manifest)
            }
            Layout::Directory => {
                let (tree, manifest) = Tree::open(storage, path)?;
                (Container::Tree(tree), manifest)
            }
        };
        if manifest.epoch != epoch {
            let reason = format!("it is that of epoch {}, the file name says", manifest.epoch);
            let reason = format!("{reason} {epoch}");
            return Err(container.damaged(Damage::Manifest { reason }));
        }
        Ok(Self { container, manifest })
    }

    /// The crc32c an entry must have.
    pub(crate) fn crc32c(&self, index: usize) -> u32 {
        // The manifest lists every entry but itself, which nobody asks for.
        self.manifest.entries.get(index).map_or(0, |(_, _, crc32c)| *crc32c)
    }

    /// The checked bytes of an entry that is no chunk.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, Error> {
        let Some(index) = self.container.find(name) else {
            return Err(self.container.damaged(Damage::Missing { entry: name.into() }));
        };
        let bytes = self.container.read_document(index)?;
        // mutant: metadata_checksum_not_compared
        if crc32c::crc32c(&bytes) != self.crc32c(index) {
            return Err(self.container.damaged(Damage::Checksum { entry: name.into() }));
        }
        Ok(bytes)
    }
}

fn read_manifest(archive: &Archive) -> Result<Manifest, Error> {
    let damaged = |damage| Error::Damaged { path: archive.path().into(), damage };
    let (last, listed) = match archive.entries().split_last() {
        Some((last, listed)) if last.name == MANIFEST => (listed.len(), listed),
        _ => return Err(damaged(Damage::Manifest { reason: "it is not the last entry".into() })),
    };
    let manifest = Manifest::parse(&archive.read_document(last)?, archive.path())?;
    for (index, (name, len, _)) in manifest.entries.iter().enumerate() {
        let damage = match listed.get(index) {
            Some(entry) if entry.name == *name && entry.len == *len => continue,
            Some(entry) if entry.name == *name => Damage::Length {
                entry: name.clone(),
                expected: u64::from(*len),
                found: u64::from(entry.len),
            },
            // mutant: manifest_may_list_more_than_there_is
            _ => Damage::Missing { entry: name.clone() },
        };
        return Err(damaged(damage));
    }
    // mutant: manifest_may_list_less_than_there_is
    match listed.get(manifest.entries.len()) {
        Some(entry) => Err(damaged(Damage::Unexpected { entry: entry.name.clone() })),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveWriter;
    use qstore_storage::{MemoryFs, StagedFile};

    const PATH: &str = "/epoch_0003.zarr.zip";

    /// An archive of these entries with this manifest.
    fn sealed(entries: &[(&str, &[u8])], manifest: &[u8]) -> Result<Sealed, Error> {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let staged = StagedFile::create(&storage, Path::new("/tmp"))?;
        let mut writer = ArchiveWriter::new(staged);
        for (name, data) in entries {
            writer.append_document((*name).into(), data)?;
        }
        writer.append_document(MANIFEST.into(), manifest)?;
        writer.finish()?.commit(Path::new(PATH))?;
        Sealed::open(&storage, Path::new(PATH), Layout::SingleFile, 3)
    }

    fn manifest(entries: &[(&str, &[u8])]) -> Manifest {
        let mut manifest = Manifest::new(3);
        for (name, data) in entries {
            manifest.note((*name).into(), data.len(), crc32c::crc32c(data));
        }
        manifest
    }

    #[test]
    fn a_manifest_that_lists_what_is_there_is_valid() {
        let entries = [("zarr.json", &b"{}"[..]), ("model/w/c/0", b"chunk")];
        let sealed = sealed(&entries, &manifest(&entries).seal()).unwrap();
        assert_eq!(sealed.document("zarr.json").unwrap(), b"{}");
        assert!(sealed.document("none").is_err());
    }

    #[test]
    fn whatever_differs_is_named() {
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
        other.epoch = 4;
        check(&both, &other, "it is that of epoch 4, the file name says 3");
        other.version = 2;
        check(&both, &other, "format version 2, this version reads 1");
        other.format = "parquet".into();
        check(&both, &other, "its format is `parquet`");
    }

    #[test]
    fn no_byte_of_a_manifest_can_change_unnoticed() {
        let entries = [("zarr.json", &b"{}"[..])];
        let bytes = manifest(&entries).seal();
        let parse = |bytes: &[u8]| Manifest::parse(bytes, Path::new(PATH));
        assert!(parse(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(parse(&bytes[..len]).is_err(), "cut to {len}");
        }
    }
}
