//! Why something could not be done, and what the training does then.

use qstore_checkpoint::{LoadError, SaveError};
use qstore_run::RunError;
use qstore_schema::TensorError;

/// What a failed save does to the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The training ends with the error. The default.
    #[default]
    Stop,
    /// The training goes on. [`BurnRun::finish`](crate::BurnRun::finish) reports the error.
    Warn,
}

/// Why a record could not be saved or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BurnError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint could not be saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A tensor has other bytes than its shape takes.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Burn could not make bytes of a record, or a record of bytes.
    #[error("burn could not convert the {part} of epoch {epoch}: {reason}")]
    Record {
        /// `model`, `optimizer` or `scheduler`.
        part: &'static str,
        /// The epoch.
        epoch: u64,
        /// Burn's words.
        reason: String,
    },
    /// The checkpoint was not saved by this crate.
    #[error("the checkpoint of epoch {epoch} has no {missing}: it was not saved by qstore-burn")]
    Foreign {
        /// The epoch.
        epoch: u64,
        /// What it lacks.
        missing: String,
    },
}
