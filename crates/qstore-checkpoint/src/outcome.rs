//! How a save ended when nothing failed.

use crate::error::RetentionError;
use std::time::Duration;

/// How a save ended. Anything but `Saved` was chosen by the caller's own policy, so it is not an
/// error; each is also counted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The checkpoint is durable: it survives a power cut.
    Saved(Saved),
    /// Nothing was saved: an earlier save was still running, and the policy was to skip this one.
    Skipped,
    /// Nothing was saved: a newer snapshot took this one's place before its save began.
    Superseded {
        /// The epoch or step of the newer snapshot.
        by: u64,
    },
}

impl Outcome {
    /// The checkpoint, if one was saved.
    ///
    /// ```
    /// use qstore_checkpoint::{Outcome, Saved};
    ///
    /// assert_eq!(Outcome::Saved(Saved::new(42, 1)).saved().unwrap().number, 42);
    /// assert_eq!(Outcome::Superseded { by: 43 }.saved(), None);
    /// ```
    #[must_use]
    pub fn saved(self) -> Option<Saved> {
        match self {
            Self::Saved(saved) => Some(saved),
            Self::Skipped | Self::Superseded { .. } => None,
        }
    }

    /// Whether a checkpoint was saved.
    #[must_use]
    pub const fn is_saved(&self) -> bool {
        matches!(self, Self::Saved(_))
    }
}

/// A checkpoint that is durable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Saved {
    /// Its epoch or step.
    pub number: u64,
    /// Its place among all saves into this repository; a later save has a greater one.
    pub save_seq: u64,
    /// Bytes of the file, or of all files of the directory.
    pub stored_bytes: u64,
    /// How many of these bytes were not written but linked to the previous checkpoint.
    pub linked_bytes: u64,
    /// From the beginning of the save to the end of retention, all syncs included.
    pub duration: Duration,
    /// The checkpoints that retention removed.
    pub removed: Vec<u64>,
    /// Why retention could not remove what it should have; the checkpoint is durable all the same, and
    /// the next save tries again.
    pub retention: Option<RetentionError>,
}

impl Saved {
    /// The least a store knows; everything else is zero or empty, to be set.
    #[must_use]
    pub fn new(number: u64, save_seq: u64) -> Self {
        Self {
            number,
            save_seq,
            stored_bytes: 0,
            linked_bytes: 0,
            duration: Duration::ZERO,
            removed: Vec::new(),
            retention: None,
        }
    }
}
