//! The error of a failed repository operation.

use std::error::Error;
use std::io;

/// Why a repository operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The file system failed.
    #[error(transparent)]
    FileSystem(#[from] qstore_storage::Error),
    /// There is nothing with this name.
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
        /// The path of the foreign file or directory.
        location: String,
    },
    /// What had the name of a checkpoint that was to be removed is not that checkpoint any more.
    #[error("{location} was replaced before it was removed; what is there now was left alone")]
    Replaced {
        /// The path.
        location: String,
    },
    /// A file was replaced or removed while it was read, and the repository cannot keep it readable.
    #[error("{location} was replaced while it was read; open it again")]
    ReplacedWhileRead {
        /// The file.
        location: String,
    },
    /// Another writer has written the same name at the same time, and what is there is its file.
    #[error("{location} was written by another writer at the same time; what is there now is its")]
    Taken {
        /// The file.
        location: String,
    },
    /// The directory of the repository was removed. It does not come back: one that has its name now is
    /// another one, which is not touched.
    #[error("{location} was removed while it was in use; open a directory again to go on saving")]
    DirectoryRemoved {
        /// The name under which it was opened.
        location: String,
    },
    /// All temporary names that were tried are in use.
    #[error("no free temporary name was found in {location}; try again")]
    Busy {
        /// The directory of the temporary names.
        location: String,
    },
    /// This kind of repository does not support the operation.
    #[error("this repository cannot store {what}")]
    Unsupported {
        /// What it cannot store.
        what: &'static str,
    },
    /// A document is longer than readers accept.
    #[error(
        "`{name}` has {len} bytes, more than the limit of {limit}; it was not written by Q-Store"
    )]
    TooLong {
        /// The document.
        name: String,
        /// Its length.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// The request was sent, but its response was lost: the name refers to the earlier bytes or to the new
    /// ones, never to a mixture.
    #[error(
        "it is not known whether `{name}` was written ({source}); list the checkpoints, then decide"
    )]
    Unsettled {
        /// The name.
        name: String,
        /// Why the response was lost.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another kind of repository failed; the request had no effect.
    #[error("`{name}`: {source}")]
    Other {
        /// The name in the request.
        name: String,
        /// Its reason.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RepositoryError {
    /// An error of a custom repository.
    #[must_use]
    pub fn other(name: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other { name: name.into(), source: source.into() }
    }

    /// Whether there was nothing with this name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::FileSystem(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether a file was replaced or removed while it was read, so that opening it again may succeed.
    #[must_use]
    pub fn is_replaced_while_read(&self) -> bool {
        matches!(self, Self::ReplacedWhileRead { .. })
    }

    /// Whether this process has run out of a resource, such as memory or open files. Such an error says
    /// nothing about what is stored.
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
