//! A repository operation that failed.

use std::error::Error;
use std::io;

/// Why a repository did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The file system failed.
    #[error(transparent)]
    FileSystem(#[from] qstore_storage::Error),
    /// There is nothing under that name.
    #[error("{location} has no `{name}`")]
    NotFound {
        /// The name.
        name: String,
        /// The repository.
        location: String,
    },
    /// The name belongs to something that Q-Store did not write.
    #[error(
        "{location} already exists and was not written by Q-Store; move it away, then save again"
    )]
    Foreign {
        /// What has the name.
        location: String,
    },
    /// Every temporary name that was tried is in use.
    #[error("{location} is full of files that are being written; try again")]
    Busy {
        /// Where temporary names are.
        location: String,
    },
    /// This kind of repository cannot do that, and never will.
    #[error("this repository cannot store {what}")]
    Unsupported {
        /// What it cannot store.
        what: &'static str,
    },
    /// A document is longer than a reader accepts.
    #[error("`{name}` has {len} bytes, more than the {limit} that are read; it is not ours")]
    TooLong {
        /// The document.
        name: String,
        /// Its length.
        len: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The request was sent and its answer was lost: the name shows the earlier bytes or the new ones,
    /// each as a whole.
    #[error(
        "it is not known whether `{name}` was written ({source}); list the checkpoints, then decide"
    )]
    Unsettled {
        /// The name.
        name: String,
        /// Why the answer was lost.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A repository of another kind failed; nothing of this request happened.
    #[error("`{name}`: {source}")]
    Other {
        /// The name the request was about.
        name: String,
        /// Its reason.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RepositoryError {
    /// An error of a repository of your own.
    #[must_use]
    pub fn other(name: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other { name: name.into(), source: source.into() }
    }

    /// Whether there was nothing under that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::FileSystem(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether this process has run out of something, such as memory or open files. It says nothing
    /// about what is stored.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        let is_out_of_memory = |error: &io::Error| error.kind() == io::ErrorKind::OutOfMemory;
        match self {
            Self::FileSystem(error) => error.is_exhausted(),
            Self::Other { source, .. } | Self::Unsettled { source, .. } => {
                source.downcast_ref::<io::Error>().is_some_and(is_out_of_memory)
            }
            _ => false,
        }
    }
}
