//! How a save ended when nothing failed.

use crate::error::RetentionError;
use crate::retention::Unranked;
use std::time::Duration;

/// How a save ended. Anything but `Saved` is a result of the caller's own policy, so it is not an error.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The checkpoint is durable: it survives a power cut.
    Saved(Saved),
    /// Nothing was saved: an earlier save was still running, and the policy was to skip this one.
    Skipped,
    /// Nothing was saved: a newer snapshot replaced this one before its save began.
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
    /// Its position in the sequence of all saves into this repository; later saves have greater ones.
    pub save_seq: u64,
    /// The size of the file, or of all files in the directory, in bytes.
    pub stored_bytes: u64,
    /// How many of these bytes were linked to the previous checkpoint instead of written.
    pub linked_bytes: u64,
    /// The time from the beginning of the save to the end of retention, including all syncs.
    pub duration: Duration,
    /// The checkpoints that retention removed.
    pub removed: Vec<u64>,
    /// Why retention failed, if it did. The checkpoint is durable nonetheless, and the next save retries the
    /// removal.
    pub retention: Option<RetentionError>,
    /// Why the rule for the best cannot rank this checkpoint, if there is such a rule and it cannot: its
    /// metric is missing, perhaps misspelt, or not a number. The rule then never keeps this checkpoint.
    pub unranked: Option<Unranked>,
}

impl Saved {
    /// Creates a result with the fields every store knows; all other fields are zero or empty.
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
            unranked: None,
        }
    }
}
