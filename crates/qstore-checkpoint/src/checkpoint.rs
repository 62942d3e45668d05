//! The results of loading: a checkpoint, its description, and the newest one that can be loaded.

use crate::error::LoadError;
use crate::id::Attempt;
use crate::snapshot::{Parts, Snapshot};
use qstore_schema::StateDict;
use std::time::{Duration, SystemTime};

/// A loaded checkpoint, bit for bit as it was saved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The parts, in the order they were set.
    pub parts: Parts,
    /// Its description, including the metadata.
    pub info: CheckpointInfo,
}

impl Checkpoint {
    /// Creates a checkpoint, in a store that has read it.
    #[must_use]
    pub fn new(parts: Parts, info: CheckpointInfo) -> Self {
        Self { parts, info }
    }

    /// The epoch or step.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.info.number
    }

    /// The part `model`, if one was saved.
    #[must_use]
    pub fn model(&self) -> Option<&StateDict> {
        self.part(Snapshot::MODEL)
    }

    /// The part `optimizer`, if one was saved.
    #[must_use]
    pub fn optimizer(&self) -> Option<&StateDict> {
        self.part(Snapshot::OPTIMIZER)
    }

    /// The part with this name, if one was saved.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&StateDict> {
        self.parts.get(name)
    }

    /// The metadata; empty if none was given.
    #[must_use]
    pub fn metadata(&self) -> &StateDict {
        &self.info.metadata
    }
}

/// Describes a checkpoint without its tensors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The epoch or step.
    pub number: u64,
    /// When the snapshot was taken.
    pub timestamp: SystemTime,
    /// The time from the beginning of the save until this field was written. Includes compression, but not
    /// the final sync.
    pub save_duration: Duration,
    /// The name of each part, with the size of its tensors in memory in bytes.
    pub parts: Vec<(String, u64)>,
    /// Size in the repository, in bytes.
    pub stored_bytes: u64,
    /// Its position in the sequence of all saves into the repository; later saves have greater ones.
    pub save_seq: u64,
    /// The attempt of the run that saved it, if recorded.
    pub attempt: Option<Attempt>,
    /// The metadata; empty if none was given.
    pub metadata: StateDict,
}

impl CheckpointInfo {
    /// Creates a description with the fields every store knows; all other fields are zero or empty.
    #[must_use]
    pub fn new(number: u64, save_seq: u64) -> Self {
        Self {
            number,
            timestamp: SystemTime::UNIX_EPOCH,
            save_duration: Duration::ZERO,
            parts: Vec::new(),
            stored_bytes: 0,
            save_seq,
            attempt: None,
            metadata: StateDict::new(),
        }
    }

    /// The size of all tensors in memory, in bytes.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// The size of the model's tensors in memory, in bytes.
    #[must_use]
    pub fn model_bytes(&self) -> u64 {
        let model = self.parts.iter().find(|(name, _)| name == Snapshot::MODEL);
        model.map_or(0, |(_, bytes)| *bytes)
    }
}

/// The newest checkpoint that could be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Latest {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Newer checkpoints that could not be loaded, and files that have the name of a checkpoint but are not
    /// valid, each with its number and error.
    pub skipped: Vec<(u64, LoadError)>,
}

impl Latest {
    /// Creates the result, in a store.
    #[must_use]
    pub fn new(checkpoint: Checkpoint, skipped: Vec<(u64, LoadError)>) -> Self {
        Self { checkpoint, skipped }
    }
}
