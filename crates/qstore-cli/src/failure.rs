//! Why a verb could not do what it was asked, and the exit code that says so.
//!
//! The text of a failure may contain names from files. It is escaped where it is printed, not here.

use crate::exit::Exit;
use qstore_checkpoint::repository::RepositoryError;
use qstore_checkpoint::{LoadError, SaveError};
#[cfg(feature = "serve")]
use qstore_page::PageError;
use qstore_parquet::{ReadError, WriteError};
use qstore_run::RunError;
use qstore_view::ViewError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A verb failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The arguments contradict each other or what is stored.
    #[error("{reason}")]
    Usage {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Nothing has this name.
    #[error("{what}")]
    Missing {
        /// What is missing, and what there is instead.
        what: String,
    },
    /// A path is none of the things this verb works on.
    #[error("{} is {found}; `qstore {verb}` takes {wanted}", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// The verb.
        verb: &'static str,
        /// What the verb takes.
        wanted: &'static str,
    },
    /// A writer is at work.
    #[error("{} is being written; wait until the run has ended", path.display())]
    Busy {
        /// What is written.
        path: PathBuf,
    },
    /// The target of an export or an import exists.
    #[error("{} exists; {advice}", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The bytes of a file of another program are not those that were written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What, and where.
        reason: String,
    },
    /// A file of another program has something in it that cannot be imported.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What, and where.
        reason: String,
    },
    /// A row has a value that the file cannot keep. Nothing was written.
    #[error("row {row} cannot be written whole to {}: {reason}. Nothing was written", path.display())]
    Unkept {
        /// The file that would have been written.
        path: PathBuf,
        /// The row, counted from 0.
        row: u64,
        /// What cannot be kept, and why.
        reason: Arc<str>,
    },
    /// A metrics file could not be read.
    #[error(transparent)]
    Metrics(#[from] ReadError),
    /// A metrics file could not be opened for writing.
    #[error(transparent)]
    MetricsOpen(#[from] qstore_parquet::OpenError),
    /// A metrics file could not be written.
    #[error(transparent)]
    MetricsWrite(#[from] WriteError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A directory of checkpoints could not be opened.
    #[error(transparent)]
    Directory(#[from] qstore_checkpoint::OpenError),
    /// A state could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// A run could not be read or changed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A picture could not be drawn.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Runs could not be shown on a page.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Page(Box<PageError>),
    /// The operating system refused to read something.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("the output could not be written: {0}")]
    Output(#[source] io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Arguments that cannot be used.
    pub fn usage(reason: impl Into<String>) -> Self {
        Self::Usage { reason: reason.into() }
    }

    /// A name that nothing has.
    pub fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    /// A file that is not replaced without `--force`.
    #[must_use]
    pub fn exists(path: &Path) -> Self {
        let advice = "choose another name, or --force to replace it";
        Self::Exists { path: path.to_path_buf(), advice }
    }

    /// What the system said when `path` was read.
    pub fn reading(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            return Self::missing(format!("{} does not exist", path.display()));
        }
        Self::Read { path: path.to_path_buf(), source }
    }

    /// Whether the reader of the output has gone, as `head` does when it has seen enough.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            _ if self.is_closed_pipe() => Exit::Done,
            Self::Missing { .. } => Exit::Missing,
            Self::Damaged { .. } => Exit::Damaged,
            Self::Busy { .. }
            | Self::MetricsOpen(qstore_parquet::OpenError::AlreadyOpen { .. }) => Exit::Busy,
            Self::Interrupted => Exit::Interrupted,
            Self::Metrics(error) | Self::View(ViewError::Read(error)) => of_read(error),
            Self::Load(error) => of_load(error),
            Self::Run(error) => of_run(error),
            Self::Usage { .. } | Self::WrongKind { .. } | Self::View(_) => Exit::Usage,
            Self::Directory(qstore_checkpoint::OpenError::Repository(error))
                if error.is_not_found() =>
            {
                Exit::Missing
            }
            Self::Storage(error) if error.is_not_found() => Exit::Missing,
            _ => Exit::Failed,
        }
    }
}

#[cfg(feature = "serve")]
impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Run(error) => Self::Run(error),
            PageError::Read(error) => Self::Metrics(error),
            PageError::View(error) => Self::View(error),
            error => Self::Page(Box::new(error)),
        }
    }
}

fn of_run(error: &RunError) -> Exit {
    match error {
        RunError::NotARun { .. } | RunError::NoRunJson { .. } => Exit::Missing,
        RunError::Malformed { .. } | RunError::NoneValid { .. } => Exit::Damaged,
        RunError::Running { .. }
        | RunError::Busy { .. }
        | RunError::Metrics(qstore_parquet::OpenError::AlreadyOpen { .. }) => Exit::Busy,
        RunError::Storage(error) if error.is_not_found() => Exit::Missing,
        RunError::Read(error) => of_read(error),
        RunError::Load(error) => of_load(error),
        _ => Exit::Failed,
    }
}

fn of_read(error: &ReadError) -> Exit {
    match error {
        ReadError::Damaged { .. } => Exit::Damaged,
        ReadError::UnknownColumn { .. } => Exit::Missing,
        ReadError::Storage(error) if error.is_not_found() => Exit::Missing,
        _ => Exit::Failed,
    }
}

fn of_load(error: &LoadError) -> Exit {
    match error {
        LoadError::Damaged { .. } | LoadError::NoneValid { .. } => Exit::Damaged,
        LoadError::NotFound { .. } | LoadError::TensorNotFound { .. } => Exit::Missing,
        LoadError::Repository(error) => of_repository(error),
        _ => Exit::Failed,
    }
}

fn of_repository(error: &RepositoryError) -> Exit {
    if error.is_not_found() { Exit::Missing } else { Exit::Failed }
}
