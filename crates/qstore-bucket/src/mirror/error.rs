//! What a mirror can fail with.

use qstore_checkpoint::repository::RepositoryError;
use qstore_checkpoint::{LoadError, OpenError, SaveError};
use qstore_objects::StoreError;
use qstore_settings::SettingError;
use std::sync::Arc;
use std::time::Duration;

/// Why an upload has not succeeded yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorFailure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local file or the journal could not be read or written.
    #[error(transparent)]
    Local(#[from] RepositoryError),
    /// Another writer has written the same checkpoint to the bucket at the same time.
    #[error("another writer has written `{name}` at the same time")]
    Taken {
        /// The name.
        name: String,
    },
    /// The mirror was closed. An upload that had begun is in the journal.
    #[error("the mirror was closed first; the next mirror of this directory goes on")]
    Stopped,
}

/// A call of a mirror failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// A setting is out of range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The bucket's checkpoints could not be read, or its description not be written.
    #[error("the bucket could not be opened: {0}")]
    Open(#[from] OpenError),
    /// The bucket's checkpoints could not be read.
    #[error("the bucket could not be read: {0}")]
    Load(#[from] LoadError),
    /// The journal could not be read.
    #[error("the journal of the mirror could not be used: {0}")]
    Journal(#[from] RepositoryError),
    /// The operating system could not start the thread.
    #[error("the thread of the mirror could not be started: {0}")]
    Spawn(std::io::Error),
    /// The manager could not be closed.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The checkpoint was not uploaded.
    #[error("{number} was not mirrored: {source}")]
    Failed {
        /// The epoch or step.
        number: u64,
        /// Why.
        source: Arc<MirrorFailure>,
    },
    /// The timeout expired; the upload goes on.
    #[error("{number} was not mirrored within {waited:?}; the upload goes on")]
    TimedOut {
        /// The epoch or step.
        number: u64,
        /// The timeout.
        waited: Duration,
    },
    /// Closing took longer than the timeout. What was begun is in the journal.
    #[error(
        "uploads were still under way after {waited:?}; the next mirror of the directory goes on"
    )]
    CloseTimedOut {
        /// The timeout.
        waited: Duration,
    },
    /// This process was forked from the one that opened the mirror.
    #[error("this process was forked from the one that opened the mirror; open your own")]
    Forked,
}
