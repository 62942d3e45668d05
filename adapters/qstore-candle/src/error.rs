//! What can go wrong between candle and a state.

use candle_core::DType;
use qstore_schema::{Dtype, TensorError};

/// A state could not be taken or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandleError {
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The state has no tensor of that name.
    #[error("the state has no tensor `{name}`, which the model has; nothing was loaded")]
    Missing {
        /// The name.
        name: String,
    },
    /// The state has a value that the model has no variable for.
    #[error("the state has `{name}`, which the model does not have; nothing was loaded")]
    Unexpected {
        /// The name.
        name: String,
    },
    /// A tensor of the state has another form than the variable.
    #[error("`{name}` is {found} in the state and {expected} in the model; nothing was loaded")]
    Mismatch {
        /// The name.
        name: String,
        /// The element type and the shape of the variable.
        expected: String,
        /// Those of the tensor.
        found: String,
    },
    /// candle has an element type that a checkpoint does not have.
    #[error("a tensor of candle has elements of type {0:?}, which a checkpoint does not have")]
    OfCandle(DType),
    /// A checkpoint has an element type that candle does not have.
    #[error("a tensor has elements of type {0}, which candle does not have")]
    OfCheckpoint(Dtype),
    /// The state is not one of this optimizer.
    #[error("the state is not one of AdamW: {reason}; nothing was loaded")]
    NotAdamW {
        /// What is missing or wrong.
        reason: String,
    },
}
