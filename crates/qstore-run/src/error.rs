//! Why something could not be done with a run.

use qstore_buffer::DrainError;
use qstore_checkpoint::{LoadError, SaveError};
use qstore_ledger::LedgerError;
use qstore_parquet::{ReadError, WriteError};
use qstore_settings::SettingError;
use std::path::PathBuf;
use std::time::Duration;

/// Why something could not be done with a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting has a value that cannot be used. Nothing was opened.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The directory is not a run.
    #[error("{} is not a run: it has no run.json, no metrics.parquet and no checkpoints", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// The run has no `run.json`, perhaps because it was written without this crate.
    #[error("{} has no run.json; resume it once to make it a run", path.display())]
    NoRunJson {
        /// The directory.
        path: PathBuf,
    },
    /// There already is a run.
    #[error("{} already holds a run; resume it, or choose another name", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The run is being written, or processes that its writer forked keep its lock.
    #[error("{} is {holder}", path.display())]
    Running {
        /// The directory.
        path: PathBuf,
        /// Who holds its lock, and what to do: `being written by process 7; wait for its end, or stop it first`.
        holder: String,
    },
    /// `run.json` cannot be read.
    #[error("{} is malformed: {reason}; it was left untouched", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `run.json` is of a later version.
    #[error("{} has version {version}, and this program knows version 1; update Q-Store", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// Somebody else was changing `run.json` all the time.
    #[error("{} was locked by another program for {waited:?}; try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long the caller has waited.
        waited: Duration,
    },
    /// `run.json` would be longer than what is read. It was left as it is.
    #[error(
        "{} would have {bytes} bytes, and more than {max} are not read; record less in it", path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The length that it would have.
        bytes: u64,
        /// The longest that is read.
        max: u64,
    },
    /// There are checkpoints, and none of them can be loaded.
    #[error(
        "none of the {count} checkpoints in {} can be loaded; the newest: {newest}; restore one, or move \
         `checkpoints` away to begin again", path.display()
    )]
    NoneValid {
        /// The directory of the run.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// What is wrong with the newest.
        newest: LoadError,
    },
    /// This process was forked from the one that opened the run. Nothing was done.
    #[error(
        "this process was forked from the one that opened the run, which goes on there; open another run here"
    )]
    Forked,
    /// The run has ended.
    #[error("the run has ended; resume it to go on")]
    Ended,
    /// The file system.
    #[error(transparent)]
    Storage(#[from] qstore_storage::Error),
    /// The metrics file could not be opened for writing.
    #[error(transparent)]
    Logger(#[from] qstore_logger::OpenError<WriteError>),
    /// A metrics file could not be opened for writing.
    #[error(transparent)]
    Metrics(#[from] qstore_parquet::OpenError),
    /// A metrics file could not be repaired.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The rows could not be written. They are kept: see
    /// [`save_as`](qstore_logger::AsyncMetricsLogger::save_as).
    #[error(transparent)]
    Rows(#[from] DrainError<WriteError>),
    /// A metrics file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The checkpoints could not be opened.
    #[error(transparent)]
    Checkpoints(#[from] qstore_checkpoint::OpenError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A checkpoint could not be saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The ledger could not be opened, read or closed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The thread of the system metrics has not ended in time, perhaps because the disk hangs.
    #[error("the system metrics were not written within {waited:?}; try again")]
    SystemTimedOut {
        /// How long the caller has waited.
        waited: Duration,
    },
    /// The system did not start the thread of the system metrics.
    #[error("the thread of the system metrics could not be started: {0}")]
    Spawn(std::io::Error),
}

/// The result of an operation on a run.
pub type Result<T, E = RunError> = std::result::Result<T, E>;
