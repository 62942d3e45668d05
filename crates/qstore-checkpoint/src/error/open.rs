//! Why a repository could not be opened.

use crate::repository::RepositoryError;
use qstore_settings::SettingError;
use std::sync::Arc;

/// A repository could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting is out of range, or contradicts what is already stored.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The path is not a directory.
    #[error("{location} is not a directory; name the directory that contains the checkpoints")]
    NotADirectory {
        /// The given path.
        location: String,
    },
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository was written by a newer version.
    #[error("{location} has format version {found}, this version reads {known}; update Q-Store")]
    UnsupportedVersion {
        /// The document with the version.
        location: String,
        /// The version found.
        found: u64,
        /// The newest version that can be read.
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
    /// The operating system could not start the background thread.
    #[error("the background thread could not be started: {source}")]
    Spawn {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
}

impl From<qstore_storage::Error> for OpenError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Repository(error.into())
    }
}
