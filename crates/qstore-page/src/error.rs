//! What can go wrong while runs are shown.

use qstore_parquet::ReadError;
use qstore_run::RunError;
use qstore_view::ViewError;
use std::io;
use std::path::PathBuf;

/// Why runs cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A run could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file of a run could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no picture.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A document could not be encoded.
    #[error("a document cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// There is nothing to report.
    #[error("there is no run in {}", path.display())]
    NoRun {
        /// Where runs were looked for.
        path: PathBuf,
    },
    /// The address could not be used.
    #[error("cannot listen on 127.0.0.1, port {port}; choose another port, or 0 for any free one")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The random number of the token could not be read.
    #[error("cannot read random bytes from {}", path.display())]
    Random {
        /// Where they come from.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}
