//! What a buffer and its drain can refuse or fail at.

use std::sync::Arc;
use std::time::Duration;

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A ring without room.
    #[error("maxsize is 0: a buffer must hold at least one item; the default is 10 000")]
    ZeroMaxsize,
    /// A ring that does not fit into memory.
    #[error(
        "maxsize is {maxsize}: there is not the memory for so many items; the default is 10 000"
    )]
    TooLarge {
        /// What was asked for.
        maxsize: usize,
    },
}

/// An item that was not stored, handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError<T> {
    /// The ring is full; the item counts as dropped.
    #[error("the buffer is full: the item was dropped and counted")]
    Full(T),
    /// The buffer was closed; the item counts as refused.
    #[error("the buffer is closed: nothing more is taken")]
    Closed(T),
}

impl<T> PushError<T> {
    /// The item that was not stored.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

/// Why the background thread did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError<E> {
    /// The sink failed.
    #[error("the background writer failed: {0}")]
    Sink(Arc<E>),
    /// The sink panicked; what was in the buffer is lost and the buffer is closed.
    #[error("the background writer panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The time allowed was not enough; the thread goes on by itself.
    #[error("the background writer was not done after {waited:?}; it goes on by itself")]
    TimedOut {
        /// The time that was allowed.
        waited: Duration,
    },
    /// The sink says that it flushed, and takes nothing all the same: a mistake in the sink.
    #[error("the sink has no room after a flush that succeeded; {left} items stay in the buffer")]
    NoRoom {
        /// Items it did not take.
        left: usize,
    },
    /// The system would not start the thread.
    #[error("the background thread could not be started: {0}")]
    Spawn(Arc<std::io::Error>),
}

// Written out because a derive would ask for `E: Clone`.
impl<E> Clone for DrainError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Sink(error) => Self::Sink(Arc::clone(error)),
            Self::Panicked { message } => Self::Panicked { message: message.clone() },
            Self::TimedOut { waited } => Self::TimedOut { waited: *waited },
            Self::NoRoom { left } => Self::NoRoom { left: *left },
            Self::Spawn(error) => Self::Spawn(Arc::clone(error)),
        }
    }
}
