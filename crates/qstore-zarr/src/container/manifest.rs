//! The list of contents: the last entry of a checkpoint, and the proof that it is whole.
//!
//! ```json
//! {"format":"qstore-checkpoint","version":2,"number":3,"save_seq":17,
//!  "entries":[["model/w/c/0",1234,305419896], …],"crc32c":"89abcdef"}
//! ```
//! Each entry has its name, its length in bytes and a crc32c, in archive order. For a chunk, the crc32c is
//! the checksum at its end, which covers everything before it; for any other entry it covers all bytes.
//! The last field is the crc32c of all bytes before its own digits. `save_seq` counts the saves into one
//! repository, independent of their number and of the clock.
//!
//! Fields left out when empty: `metrics`, the numbers at the top level of the metadata; `digests`, a hash
//! of each array, with deduplication; `attempt`, the attempt of the run; `rank`, the rank and how many
//! there are.
//! Version 1 had `epoch` in place of `number`.

use crate::container::Container;
use crate::container::archive::Archive;
use crate::container::tree::Tree;
use qstore_checkpoint::repository::Repository;
use qstore_checkpoint::retention::Candidate;
use qstore_checkpoint::seal::{MANIFEST, check_seal, seal};
use qstore_checkpoint::{Attempt, Damage, Layout, LoadError, Snapshot};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "qstore-checkpoint";
/// The version of the format that is written. All versions from 1 on can be read.
pub(crate) const VERSION: u64 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u64,
    #[serde(alias = "epoch")]
    pub(crate) number: u64,
    pub(crate) save_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rank: Option<(u32, u32)>,
    /// The metrics retention may use. Each is stored as the bits of its float, so that NaN survives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<(String, u64)>,
    /// With deduplication, a hash of each array's bytes in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<(String, String)>,
    entries: Vec<(String, u32, u32)>,
}

impl Manifest {
    /// A manifest without entries.
    pub(crate) fn new(number: u64) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            number,
            save_seq: 0,
            attempt: None,
            rank: None,
            metrics: Vec::new(),
            digests: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// A manifest without entries that identifies a snapshot.
    pub(crate) fn of(snapshot: &Snapshot, metrics: Vec<(String, f64)>) -> Self {
        let rank = snapshot.id.part.as_ref().map(|part| part.rank);
        Self {
            attempt: snapshot.attempt.as_ref().map(|attempt| attempt.as_str().into()),
            rank: rank.map(|rank| (rank.index(), rank.count())),
            metrics: metrics.into_iter().map(|(name, value)| (name, value.to_bits())).collect(),
            ..Self::new(snapshot.number())
        }
    }

    /// Records the hash of an array's bytes.
    pub(crate) fn note_digest(&mut self, path: String, digest: String) {
        self.digests.push((path, digest));
    }

    /// The hash recorded for an array.
    pub(crate) fn digest(&self, path: &str) -> Option<&str> {
        let found = self.digests.iter().find(|(known, _)| known == path);
        found.map(|(_, digest)| digest.as_str())
    }

    /// The version of the format.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The attempt of the run, if it was recorded and has a valid name.
    pub(crate) fn attempt(&self) -> Option<Attempt> {
        Attempt::new(self.attempt.as_deref()?).ok()
    }

    /// Whether it is one rank's part of a checkpoint, which is not a checkpoint by itself.
    pub(crate) fn is_part(&self) -> bool {
        self.rank.is_some()
    }

    /// The checkpoint as retention sees it.
    pub(crate) fn candidate(&self, is_pinned: bool) -> Candidate {
        let candidate = Candidate::new(self.number, self.save_seq).pinned(is_pinned);
        let metrics = self.metrics.iter().cloned();
        metrics
            .fold(candidate, |candidate, (name, bits)| candidate.metric(name, f64::from_bits(bits)))
    }

    /// Lists an entry that was written.
    pub(crate) fn note(&mut self, name: String, len: usize, crc32c: u32) {
        self.entries.push((name, len as u32, crc32c));
    }

    /// The bytes of the manifest's own entry.
    pub(crate) fn seal(&self) -> Vec<u8> {
        seal(serde_json::to_vec(self).expect("names and numbers are always JSON"))
    }

    /// Parses the manifest of the checkpoint at `location`.
    ///
    /// The head is parsed before the rest, so that a newer version is reported as such, and not as damage,
    /// whatever its entries look like.
    pub(crate) fn parse(bytes: &[u8], location: &str) -> Result<Self, LoadError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
        }
        let invalid = |reason: String| {
            let damage = Damage::Manifest { reason };
            LoadError::Damaged { location: location.into(), damage }
        };
        check_seal(bytes).map_err(|broken| invalid(broken.to_string()))?;
        let head: Head =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        if head.format != FORMAT {
            return Err(invalid(format!("its format is `{}`", head.format)));
        }
        if !(1..=VERSION).contains(&head.version) {
            let (location, found, known) = (location.into(), head.version, VERSION);
            return Err(LoadError::UnsupportedVersion { location, found, known });
        }
        serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))
    }

    /// Name and length of every entry except the manifest.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, u32)> {
        self.entries.iter().map(|(name, len, _)| (&**name, *len))
    }
}

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
        let (container, manifest) = match layout {
            Layout::SingleFile => {
                let archive = Archive::open(repository, name)?;
                let manifest = read_manifest(&archive)?;
                (Container::Archive(archive), manifest)
            }
            Layout::Directory => {
                let (tree, manifest) = Tree::open(repository, name)?;
                (Container::Tree(tree), manifest)
            }
        };
        let reason = if manifest.is_part() {
            "it belongs to one rank's part, not to a whole checkpoint".into()
        } else if manifest.number != number {
            format!("it belongs to checkpoint {}, but its name says {number}", manifest.number)
        } else {
            return Ok(Self { container, manifest });
        };
        Err(container.damaged(Damage::Manifest { reason }))
    }

    /// The crc32c an entry must have.
    pub(crate) fn crc32c(&self, index: usize) -> u32 {
        // The manifest lists every entry except itself, and its own checksum is never requested.
        self.manifest.entries.get(index).map_or(0, |(_, _, crc32c)| *crc32c)
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
    use crate::container::archive::ArchiveWriter;
    use qstore_checkpoint::repository::MemoryRepository;
    use qstore_checkpoint::{Rank, SaveError};

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
        other.rank = Some((1, 2));
        check(&both, &other, "one rank's part, not to a whole checkpoint");
        other.version = VERSION + 1;
        check(&both, &other, "format version 3, this version reads 2");
        other.format = "parquet".into();
        check(&both, &other, "its format is `parquet`");
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let entries = [("zarr.json", &b"{}"[..])];
        let bytes = manifest(&entries).seal();
        let parse = |bytes: &[u8]| Manifest::parse(bytes, NAME);
        assert!(parse(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(parse(&bytes[..len]).is_err(), "truncated to {len}");
        }
    }

    #[test]
    fn version_1_is_read() {
        let bytes =
            br#"{"format":"qstore-checkpoint","version":1,"epoch":3,"save_seq":17,"entries":[]}"#;
        let manifest = Manifest::parse(&seal(bytes.to_vec()), NAME).unwrap();
        assert_eq!((manifest.number, manifest.save_seq), (3, 17));
    }

    #[test]
    fn the_identity_of_a_snapshot_round_trips() {
        let attempt = Attempt::new("a1").unwrap();
        let snapshot = Snapshot::new(7).rank(attempt.clone(), Rank::new(1, 4).unwrap());
        let manifest = Manifest::of(&snapshot, vec![("loss".into(), f64::NAN)]);
        let read = Manifest::parse(&manifest.seal(), NAME).unwrap();
        assert_eq!(read.attempt(), Some(attempt));
        assert!(read.is_part() && read.candidate(false).metrics[0].1.is_nan());
    }
}
