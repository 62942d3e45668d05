//! What can fail: opening, saving and loading have errors of their own.
//!
//! What the caller chose by a policy (a save that was skipped or superseded) and what a durable save
//! could not clean up are not errors but [outcomes](crate::Outcome). A disk that failed is never
//! reported as damage: damage means that bytes were read and are not the ones that were written.

use crate::damage::Damage;
use crate::repository::RepositoryError;
use qstore_settings::SettingError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A repository could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting is out of its range, or does not go with what is stored already.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The path is not a directory.
    #[error("{location} is not a directory; name the directory that holds the checkpoints")]
    NotADirectory {
        /// The path that was given.
        location: String,
    },
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository was written by a later version.
    #[error("{location} has format version {found}, this version reads {known}; update Q-Store")]
    UnsupportedVersion {
        /// The document that has the version.
        location: String,
        /// Its version.
        found: u64,
        /// The latest version that can be read.
        known: u64,
    },
    /// The document that describes the repository is not valid.
    #[error(
        "{location} is not valid ({reason}); restore it, or remove it to start with new settings"
    )]
    Malformed {
        /// The document.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// The system would not start the background thread.
    #[error("the background thread could not be started: {source}")]
    Spawn {
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
}

impl From<qstore_storage::Error> for OpenError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

/// A state that cannot be saved. Nothing was begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// An empty name.
    #[error("`{at}` has an entry with an empty name; give every entry a name")]
    EmptyName {
        /// The dict, as a path through the state.
        at: String,
    },
    /// Nesting beyond what JSON readers take.
    #[error("`{at}` is nested more than {limit} levels deep; flatten the state")]
    TooDeep {
        /// The node, as a path through the state.
        at: String,
        /// How deep a state may be.
        limit: usize,
    },
    /// A tensor with more dimensions than numpy takes.
    #[error(
        "tensor `{at}` has {found} dimensions, more than the {limit} that numpy reads; reshape it"
    )]
    TooManyDimensions {
        /// The tensor, as a path through the state.
        at: String,
        /// Its dimensions.
        found: usize,
        /// The most it may have.
        limit: usize,
    },
    /// A tensor where only plain values are allowed.
    #[error("metadata holds a tensor at `{at}`; put it into a part")]
    TensorInMetadata {
        /// The tensor, as a path through the metadata.
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
    /// The state cannot be saved; nothing was begun.
    #[error(transparent)]
    State(#[from] StateError),
    /// A tensor could not be encoded.
    #[error("tensor `{tensor}` could not be encoded: {reason}")]
    Encode {
        /// The path of the tensor in the checkpoint.
        tensor: String,
        /// The codec's reason.
        reason: String,
    },
    /// There is not enough space for the checkpoint; nothing was written.
    #[error(
        "a checkpoint of about {needed} bytes does not fit into the {available} bytes that are free at {location}; free some space, or keep fewer checkpoints"
    )]
    NoSpace {
        /// The repository.
        location: String,
        /// What the checkpoint takes at least, estimated from a sample of it.
        needed: u64,
        /// What is free.
        available: u64,
    },
    /// A part of the checkpoint that is read as a whole is larger than a reader accepts; nothing was
    /// saved.
    #[error(
        "{what} takes {len} bytes, more than the {limit} that can be read back; keep long texts out of the metadata, or use larger chunks"
    )]
    TooLarge {
        /// The part.
        what: String,
        /// Its length in bytes.
        len: u64,
        /// The most it may have.
        limit: u64,
    },
    /// The repository has used up the numbers that order its saves.
    #[error("{location} has used up its save numbers; save into a new directory")]
    TooManySaves {
        /// The repository.
        location: String,
    },
    /// The repository failed. The earlier checkpoint of that number is as it was, or was replaced as a
    /// whole.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// What is stored already could not be read, so that the save could not be put in order.
    #[error("the checkpoints that are stored already could not be read: {0}")]
    Existing(Box<LoadError>),

    /// The save failed in the background.
    #[error("the save of {number} failed: {source}")]
    Failed {
        /// The epoch or step.
        number: u64,
        /// Why.
        source: Arc<SaveError>,
    },
    /// An earlier save failed in the background, and nothing has asked its ticket since. Reported once,
    /// by the next save, which did nothing.
    #[error("an earlier save failed, and this one was not begun ({source}); save again to go on")]
    EarlierFailed {
        /// What the earlier save's ticket reports.
        source: Arc<SaveError>,
    },
    /// The checkpoint is durable, but older ones could not be removed. Only
    /// `health` reports this as an error; the save itself [has succeeded](crate::Saved::retention).
    #[error("{number} is saved, but {source}")]
    Retention {
        /// The epoch or step that is saved.
        number: u64,
        /// Why older ones are still there.
        source: RetentionError,
    },
    /// The background thread ended before this save was done.
    #[error("{number} was not saved: the background thread ended first; open a new manager")]
    Lost {
        /// The epoch or step.
        number: u64,
    },
    /// The time allowed was not enough; the save goes on.
    #[error("{number} was not saved within {waited:?}; the save goes on")]
    TimedOut {
        /// The epoch or step.
        number: u64,
        /// The time that was allowed.
        waited: Duration,
    },
    /// The manager was closed, or its background thread panicked.
    #[error("the checkpoint manager accepts no more saves: {reason}; open a new one")]
    Closed {
        /// Why.
        reason: String,
    },
    /// Closing took longer than allowed.
    #[error("saves are still running after {waited:?}; they go on")]
    CloseTimedOut {
        /// The time that was allowed.
        waited: Duration,
    },
    /// The system would not start a thread.
    #[error("a background thread could not be started: {source}")]
    Spawn {
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<qstore_storage::Error> for SaveError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

impl SaveError {
    /// The error of a save that failed, for another caller who asks.
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
    /// The error of a removal that failed.
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

/// A checkpoint could not be loaded, listed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such checkpoint.
    #[error("{location} has no checkpoint {number}; {}", Available(available))]
    NotFound {
        /// The epoch or step that was asked for.
        number: u64,
        /// The repository.
        location: String,
        /// The checkpoints that exist.
        available: Vec<u64>,
    },
    /// No tensor of the checkpoint matches the selection.
    #[error("checkpoint {number} has no {wanted}; it has {}", Names(available))]
    TensorNotFound {
        /// The epoch or step.
        number: u64,
        /// What was asked for.
        wanted: String,
        /// The paths of the tensors that exist.
        available: Vec<String>,
    },
    /// A directory was replaced, or removed, while it was read.
    #[error("{location} was replaced while it was being read; open checkpoint {number} again")]
    Replaced {
        /// The epoch or step.
        number: u64,
        /// The checkpoint.
        location: String,
    },
    /// There are checkpoints, but none of them can be loaded.
    #[error(
        "no checkpoint in {location} can be loaded; the newest fails because {}",
        First(skipped)
    )]
    NoneValid {
        /// The repository.
        location: String,
        /// Each checkpoint with what is wrong, newest save first.
        skipped: Vec<(u64, LoadError)>,
    },
    /// The checkpoint's bytes are not the ones that were written.
    #[error("{location} is damaged: {damage}; restore it or load another checkpoint")]
    Damaged {
        /// The checkpoint.
        location: String,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The checkpoint was written by a later version.
    #[error("{location} has format version {found}, this version reads {known}; update Q-Store")]
    UnsupportedVersion {
        /// The checkpoint.
        location: String,
        /// Its version.
        found: u64,
        /// The latest version that can be read.
        known: u64,
    },
    /// No retention policy is stored in the repository.
    #[error("{location} has no stored retention policy; give one")]
    NoPolicy {
        /// The repository.
        location: String,
    },
    /// The repository failed; nothing is known about the checkpoint.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The document that describes the repository could not be used.
    #[error(transparent)]
    Catalog(#[from] OpenError),
    /// The thread that loaded panicked.
    #[error("loading panicked: {reason}")]
    Panicked {
        /// The panic's message.
        reason: String,
    },
    /// The system would not start a thread.
    #[error("a background thread could not be started: {source}")]
    Spawn {
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
    /// A [`CheckpointStore`](crate::CheckpointStore) of another kind failed.
    #[error("the checkpoint store failed: {source}")]
    Store {
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<qstore_storage::Error> for LoadError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}

impl LoadError {
    /// What is wrong with the checkpoint's bytes, if that is what this error is about.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged { damage, .. } => Some(damage),
            _ => None,
        }
    }
}

struct First<'a>(&'a [(u64, LoadError)]);

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |(_, error)| error.fmt(f))
    }
}

struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        match self.0.split_at_checked(SHOWN) {
            Some((shown, rest)) => write!(f, "{} and {} more", shown.join(", "), rest.len()),
            None if self.0.is_empty() => f.write_str("none"),
            None => f.write_str(&self.0.join(", ")),
        }
    }
}

struct Available<'a>(&'a [u64]);

impl fmt::Display for Available<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let Some(left) = self.0.len().checked_sub(SHOWN) else {
            return match self.0 {
                [] => f.write_str("it has none"),
                numbers => write!(f, "it has {numbers:?}"),
            };
        };
        write!(f, "it has {:?} and {left} earlier ones", &self.0[left..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_checkpoint_lists_those_that_exist() {
        let error = |available| {
            LoadError::NotFound { number: 7, location: "ckpt".into(), available }.to_string()
        };
        assert_eq!(error(vec![1, 2]), "ckpt has no checkpoint 7; it has [1, 2]");
        assert_eq!(error(vec![]), "ckpt has no checkpoint 7; it has none");
        let many = error((0..30).collect());
        assert!(many.ends_with("28, 29] and 10 earlier ones"), "{many}");
    }
}
