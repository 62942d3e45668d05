//! The manifest: the last entry of a checkpoint, which lists all others and proves that it is whole.
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
//! Fields left out when empty: `metrics`, some numbers of the metadata, so that retention need not read
//! more; `digests`, a hash of each array, with deduplication; `attempt`, the attempt of the run; `rank`,
//! the rank and how many there are.
//! Version 1 had `epoch` in place of `number`. Version 3 has more kinds of nodes in its structure; a checkpoint
//! without them is written as version 2, so that earlier readers read it.

use crate::format::structure::needs_version_3;
use qstore_checkpoint::retention::Candidate;
use qstore_checkpoint::seal::{check_seal, seal};
use qstore_checkpoint::{Attempt, Damage, LoadError, Snapshot};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "qstore-checkpoint";
/// The newest version of the format. All versions from 1 on can be read.
pub(crate) const VERSION: u64 = 3;

/// The version of a checkpoint without the kinds of nodes that came later.
const VERSION_WITHOUT_LATER_NODES: u64 = 2;

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
    /// Some numbers of the metadata, for retention: what it does not find here it reads from the metadata.
    /// Each is stored as the bits of a float, so that NaN survives.
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
            version: VERSION_WITHOUT_LATER_NODES,
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
        let states = snapshot.parts.iter().map(|(_, state)| state);
        let mut states = states.chain([&snapshot.metadata]);
        let version =
            if states.any(needs_version_3) { VERSION } else { VERSION_WITHOUT_LATER_NODES };
        Self {
            version,
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

    /// The checkpoint as retention sees it, with the numbers that are noted here.
    pub(crate) fn candidate(&self, is_pinned: bool) -> Candidate {
        let candidate = Candidate::new(self.number, self.save_seq).pinned(is_pinned);
        let metrics = self.metrics.iter().map(|(name, bits)| (name, f64::from_bits(*bits)));
        metrics
            .filter(|(_, value)| !may_be_rounded(*value))
            .fold(candidate, |candidate, (name, value)| candidate.metric(name, value))
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

    /// The crc32c of an entry; 0 for the manifest itself, which it does not list.
    pub(crate) fn crc32c(&self, index: usize) -> u32 {
        self.entries.get(index).map_or(0, |(_, _, crc32c)| *crc32c)
    }

    /// The crc32c of the entry with this name; 0 if there is none.
    pub(crate) fn crc32c_of(&self, name: &str) -> u32 {
        // Looked up for the root document, which is the last one.
        let found = self.entries.iter().rev().find(|(known, _, _)| known == name);
        found.map_or(0, |(_, _, crc32c)| *crc32c)
    }

    /// Name and length of every entry except the manifest.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, u32)> {
        self.entries.iter().map(|(name, len, _)| (&**name, *len))
    }
}

/// Whether a noted float may stand for an integer that no float holds exactly.
fn may_be_rounded(value: f64) -> bool {
    const EXACT: f64 = (1_u64 << 53) as f64;
    const LARGEST: f64 = (1_u64 << 63) as f64;
    (EXACT..=LARGEST).contains(&value.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_checkpoint::Rank;
    use qstore_checkpoint::retention::Metric;
    use qstore_schema::{State, StateDict};

    const NAME: &str = "epoch_0003.zarr.zip";

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let mut manifest = Manifest::new(3);
        manifest.note("zarr.json".into(), 2, crc32c::crc32c(b"{}"));
        let bytes = manifest.seal();
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
    fn version_3_is_written_only_where_it_is_needed() {
        let version = |snapshot: &Snapshot| Manifest::of(snapshot, Vec::new()).version();
        assert_eq!(version(&Snapshot::new(1).meta("loss", 0.5)), 2);
        let tuple = || State::Tuple(Vec::new());
        assert_eq!(version(&Snapshot::new(1).meta("shape", tuple())), 3);
        let part = StateDict::from_iter([("betas", tuple())]);
        assert_eq!(version(&Snapshot::new(1).part("rng", StateDict::new()).part("x", part)), 3);
    }

    #[test]
    fn the_identity_of_a_snapshot_round_trips() {
        let attempt = Attempt::new("a1").unwrap();
        let snapshot = Snapshot::new(7).rank(attempt.clone(), Rank::new(1, 4).unwrap());
        let manifest = Manifest::of(&snapshot, vec![("loss".into(), f64::NAN)]);
        let read = Manifest::parse(&manifest.seal(), NAME).unwrap();
        assert_eq!(read.attempt(), Some(attempt));
        assert!(read.is_part());
        let candidate = read.candidate(false);
        assert!(matches!(candidate.find("loss"), Some(Metric::Float(loss)) if loss.is_nan()));
    }

    #[test]
    fn a_later_version_and_another_format_are_named() {
        let parse = |manifest: &Manifest| Manifest::parse(&manifest.seal(), NAME).unwrap_err();
        let mut other = Manifest::new(3);
        other.version = VERSION + 1;
        assert!(parse(&other).to_string().contains("format version 4, this version reads 3"));
        other.format = "parquet".into();
        assert!(parse(&other).to_string().contains("its format is `parquet`"));
    }
}
