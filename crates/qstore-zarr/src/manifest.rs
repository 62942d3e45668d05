//! The list of contents: the last entry of a checkpoint, and the proof that it is whole.
//!
//! ```json
//! {"format":"qstore-checkpoint","version":1,"epoch":3,"save_seq":17,
//!  "entries":[["model/w/c/0",1234,305419896], …],"crc32c":"89abcdef"}
//! ```
//! Each entry has its name, its length in bytes and a crc32c, in the order of the archive: of a chunk
//! the one it ends with, which covers what is before it; of any other entry that of all its bytes. The
//! last field is the crc32c of all bytes before its own digits. `save_seq` counts the
//! saves into one directory, whatever their epoch or the clock.

use crate::archive::Archive;
use crate::{Damage, Error};
use qstore_storage::Storage;
use serde::{Deserialize, Serialize};
use std::path::Path;

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
    entries: Vec<(String, u32, u32)>,
}

impl Manifest {
    /// A manifest without entries.
    pub(crate) fn new(epoch: u64) -> Self {
        let format = FORMAT.into();
        Self { format, version: VERSION, epoch, save_seq: 0, entries: Vec::new() }
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

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let covered = bytes.len().checked_sub(SEAL_LEN).ok_or("it is too short")?;
        let (covered, seal) = bytes.split_at(covered);
        let checksum = crc32c::crc32c(covered);
        if seal != format!("{checksum:08x}\"}}").as_bytes() {
            return Err("it does not match its own checksum".into());
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// An archive whose manifest is valid and names exactly the entries that are there. Their bytes are
/// checked when they are read.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) archive: Archive,
    pub(crate) manifest: Manifest,
}

impl Sealed {
    pub(crate) fn open(storage: &dyn Storage, path: &Path, epoch: u64) -> Result<Self, Error> {
        let archive = Archive::open(storage, path)?;
        let manifest = read_manifest(&archive)?;
        if manifest.epoch != epoch {
            let reason = format!("it is that of epoch {}, the file name says", manifest.epoch);
            let reason = format!("{reason} {epoch}");
            return Err(archive.damaged(Damage::Manifest { reason }));
        }
        Ok(Self { archive, manifest })
    }

    /// The crc32c an entry must have.
    pub(crate) fn crc32c(&self, index: usize) -> u32 {
        // The manifest lists every entry but itself, which nobody asks for.
        self.manifest.entries.get(index).map_or(0, |(_, _, crc32c)| *crc32c)
    }

    /// The checked bytes of an entry that is no chunk.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, Error> {
        let Some(index) = self.archive.find(name) else {
            return Err(self.archive.damaged(Damage::Missing { entry: name.into() }));
        };
        let bytes = self.archive.read_document(index)?;
        if crc32c::crc32c(&bytes) != self.crc32c(index) {
            return Err(self.archive.damaged(Damage::Checksum { entry: name.into() }));
        }
        Ok(bytes)
    }
}

fn read_manifest(archive: &Archive) -> Result<Manifest, Error> {
    let invalid = |reason: String| archive.damaged(Damage::Manifest { reason });
    let (last, listed) = match archive.entries().split_last() {
        Some((last, listed)) if last.name == MANIFEST => (listed.len(), listed),
        _ => return Err(invalid("it is not the last entry".into())),
    };
    let manifest = Manifest::parse(&archive.read_document(last)?).map_err(invalid)?;
    if manifest.format != FORMAT {
        return Err(invalid(format!("its format is `{}`", manifest.format)));
    }
    if manifest.version != VERSION {
        return Err(Error::UnsupportedVersion {
            path: archive.path().into(),
            found: manifest.version,
            known: VERSION,
        });
    }
    for (index, (name, len, _)) in manifest.entries.iter().enumerate() {
        let damage = match listed.get(index) {
            Some(entry) if entry.name == *name && entry.len == *len => continue,
            Some(entry) if entry.name == *name => Damage::Length {
                entry: name.clone(),
                expected: u64::from(*len),
                found: u64::from(entry.len),
            },
            _ => Damage::Missing { entry: name.clone() },
        };
        return Err(archive.damaged(damage));
    }
    match listed.get(manifest.entries.len()) {
        Some(entry) => Err(archive.damaged(Damage::Unexpected { entry: entry.name.clone() })),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveWriter;
    use qstore_storage::{MemoryStorage, StagedFile};
    use std::sync::Arc;

    const PATH: &str = "/epoch_0003.zarr.zip";

    /// An archive of these entries with this manifest.
    fn sealed(entries: &[(&str, &[u8])], manifest: &[u8]) -> Result<Sealed, Error> {
        let memory = MemoryStorage::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let staged = StagedFile::create(&storage, Path::new("/tmp"))?;
        let mut writer = ArchiveWriter::new(staged);
        for (name, data) in entries {
            writer.append_document((*name).into(), data)?;
        }
        writer.append_document(MANIFEST.into(), manifest)?;
        writer.finish()?.commit(Path::new(PATH))?;
        Sealed::open(&memory, Path::new(PATH), 3)
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
        assert!(Manifest::parse(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::parse(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..len]).is_err(), "cut to {len}");
        }
    }
}
