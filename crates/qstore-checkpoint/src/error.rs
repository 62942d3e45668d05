//! The errors of opening, saving and loading, one type each.
//!
//! A save that the caller's policy skipped or superseded, and a durable save that could not remove old
//! checkpoints, are not errors but [outcomes](crate::Outcome). An I/O error is never reported as damage:
//! damage means that bytes were read and are not the ones that were written.

mod load;
mod open;

pub use load::LoadError;
pub use open::OpenError;

use crate::repository::RepositoryError;
use std::sync::Arc;
use std::time::Duration;

/// A state that cannot be saved. No save has started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// An empty name.
    #[error("`{at}` has an entry with an empty name; give every entry a name")]
    EmptyName {
        /// The dict, as a path through the state.
        at: String,
    },
    /// Nesting deeper than JSON readers accept.
    #[error("`{at}` is nested more than {limit} levels deep; flatten the state")]
    TooDeep {
        /// The node, as a path through the state.
        at: String,
        /// The maximum depth.
        limit: usize,
    },
    /// A tensor with more dimensions than numpy supports.
    #[error(
        "tensor `{at}` has {found} dimensions, more than the {limit} that numpy supports; reshape it"
    )]
    TooManyDimensions {
        /// The tensor, as a path through the state.
        at: String,
        /// Its number of dimensions.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A tensor where only plain values are allowed.
    #[error("metadata contains a tensor at `{at}`; put it into a part")]
    TensorInMetadata {
        /// The tensor, as a path through the metadata.
        at: String,
    },
    /// Bytes where only plain values are allowed.
    #[error("metadata contains bytes at `{at}`; put them into a part, or encode them as a text")]
    BytesInMetadata {
        /// The bytes, as a path through the metadata.
        at: String,
    },
    /// A node of a kind that this version does not know.
    #[error("`{at}` is of a kind that this version cannot save; update Q-Store")]
    UnknownNode {
        /// The node, as a path through the state.
        at: String,
    },
}

/// A state was not saved, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The state cannot be saved; no save has started.
    #[error(transparent)]
    State(#[from] StateError),
    /// A tensor could not be encoded.
    #[error("tensor `{tensor}` could not be encoded: {reason}")]
    Encode {
        /// The path of the tensor in the checkpoint.
        tensor: String,
        /// The reason given by the codec.
        reason: String,
    },
    /// There is not enough space for the checkpoint; nothing was written.
    #[error(
        "a checkpoint of about {needed} bytes does not fit into the {available} bytes that are free at {location}; free some space, or keep fewer checkpoints"
    )]
    NoSpace {
        /// The repository.
        location: String,
        /// The least space the checkpoint needs, estimated from a sample of it.
        needed: u64,
        /// The free space.
        available: u64,
    },
    /// A document of the checkpoint, which must be read as a whole, is larger than readers accept; nothing
    /// was saved.
    #[error(
        "{what} has {len} bytes, more than the {limit} that can be read back; keep long texts out of the metadata, or use larger chunks"
    )]
    TooLarge {
        /// The document.
        what: String,
        /// Its length in bytes.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// The repository has used up the numbers that order its saves.
    #[error("{location} has used up its save numbers; save into a new directory")]
    TooManySaves {
        /// The repository.
        location: String,
    },
    /// The repository failed. An earlier checkpoint with the same number is unchanged, or completely
    /// replaced.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The existing checkpoints could not be read, so the save could not get a sequence number.
    #[error("the existing checkpoints could not be read: {0}")]
    Existing(Box<LoadError>),

    /// The save failed in the background.
    #[error("the save of {number} failed: {source}")]
    Failed {
        /// The epoch or step.
        number: u64,
        /// Why.
        source: Arc<SaveError>,
    },
    /// An earlier save failed in the background, and its ticket has not been polled since. Reported once, by
    /// the next save, which did nothing.
    #[error(
        "an earlier save failed, and this one was not started ({source}); save again to continue"
    )]
    EarlierFailed {
        /// The error of the earlier save, as its ticket reports it.
        source: Arc<SaveError>,
    },
    /// The checkpoint is durable, but older ones could not be removed. Only
    /// `health` reports this as an error; the save itself [has succeeded](crate::Saved::retention).
    #[error("{number} is saved, but {source}")]
    Retention {
        /// The epoch or step that was saved.
        number: u64,
        /// Why older ones could not be removed.
        source: RetentionError,
    },
    /// The background thread ended before this save was done.
    #[error("{number} was not saved: the background thread ended first; open a new manager")]
    Lost {
        /// The epoch or step.
        number: u64,
    },
    /// The timeout expired; the save continues.
    #[error("{number} was not saved within {waited:?}; the save continues")]
    TimedOut {
        /// The epoch or step.
        number: u64,
        /// The timeout.
        waited: Duration,
    },
    /// The manager was closed, or its background thread panicked.
    #[error("the checkpoint manager accepts no more saves: {reason}; open a new one")]
    Closed {
        /// Why.
        reason: String,
    },
    /// This process was forked from the one that opened the manager, whose background thread runs there only.
    /// Nothing was done here; the saves of the parent are not affected.
    #[error(
        "this process was forked from the one that opened the checkpoint manager, whose saves run there \
         only; open your own"
    )]
    Forked,
    /// Closing took longer than the timeout.
    #[error("saves are still running after {waited:?}; they continue")]
    CloseTimedOut {
        /// The timeout.
        waited: Duration,
    },
    /// The operating system could not start a thread.
    #[error("a background thread could not be started: {source}")]
    Spawn {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// The error of the store.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<qstore_storage::Error> for SaveError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

impl SaveError {
    /// A copy of this error, for another caller.
    #[must_use]
    pub fn again(self: &Arc<Self>) -> Self {
        match &**self {
            Self::Failed { number, source } => {
                Self::Failed { number: *number, source: Arc::clone(source) }
            }
            Self::Retention { number, source } => {
                Self::Retention { number: *number, source: source.clone() }
            }
            Self::Lost { number } => Self::Lost { number: *number },
            Self::Forked => Self::Forked,
            _ => Self::EarlierFailed { source: Arc::clone(self) },
        }
    }
}

/// Older checkpoints could not be removed. The next save tries again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("older checkpoints could not be removed: {source}; the next save tries again")]
pub struct RetentionError {
    /// The repository's reason.
    pub source: Arc<RepositoryError>,
}

impl RetentionError {
    /// The error of a failed removal.
    #[must_use]
    pub fn new(source: RepositoryError) -> Self {
        Self { source: Arc::new(source) }
    }
}

impl PartialEq for RetentionError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
