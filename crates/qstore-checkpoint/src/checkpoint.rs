//! What comes back: a checkpoint, what is known about it, and the newest one that can be loaded.

use crate::error::LoadError;
use crate::id::Attempt;
use crate::snapshot::{Parts, Snapshot};
use qstore_schema::StateDict;
use std::time::{Duration, SystemTime};

/// A checkpoint that was loaded, bit for bit as it was saved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its parts, in the order they were set.
    pub parts: Parts,
    /// What is known about it, its metadata included.
    pub info: CheckpointInfo,
}

impl Checkpoint {
    /// A checkpoint that a store has read.
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

    /// The part of that name, if one was saved.
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

/// What is known about a checkpoint without reading its tensors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The epoch or step.
    pub number: u64,
    /// When the snapshot was taken.
    pub timestamp: SystemTime,
    /// From the beginning of the save until this was written. It includes compression, not the final
    /// sync.
    pub save_duration: Duration,
    /// The names of the parts with the bytes of their tensors in memory.
    pub parts: Vec<(String, u64)>,
    /// Bytes in the repository.
    pub stored_bytes: u64,
    /// Its place among all saves into the repository; a later save has a greater one.
    pub save_seq: u64,
    /// The attempt of the run that saved it, if that was noted.
    pub attempt: Option<Attempt>,
    /// The metadata; empty if none was given.
    pub metadata: StateDict,
}

impl CheckpointInfo {
    /// The least a store knows; everything else is zero or empty, to be set.
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

    /// Bytes of all tensors in memory.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Bytes of the model's tensors in memory.
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
    /// Newer checkpoints that could not be loaded, and files with the name of a checkpoint that are not
    /// one, each with its number and what is wrong.
    pub skipped: Vec<(u64, LoadError)>,
}

impl Latest {
    /// What a store has found.
    #[must_use]
    pub fn new(checkpoint: Checkpoint, skipped: Vec<(u64, LoadError)>) -> Self {
        Self { checkpoint, skipped }
    }
}
