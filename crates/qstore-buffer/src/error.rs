//! Why an item was not stored, and what went wrong in the background.

use std::sync::Arc;
use std::time::Duration;

/// An item that was not stored, handed back. It is counted in the buffer's statistics either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError<T> {
    /// The ring is full. The item counts as dropped. Pushing it again later may succeed.
    #[error("the buffer is full: the item was handed back and counted as dropped")]
    Full(T),
    /// The buffer was closed. The item counts as refused. No later push succeeds.
    #[error("the buffer is closed: the item was handed back and counted as refused")]
    Closed(T),
    /// This process was forked from the one whose [`Drain`](crate::Drain) empties the buffer, so nothing would
    /// ever take the item out. It counts as refused. No later push in this process succeeds.
    #[error(
        "this process was forked from the one that empties the buffer: the item was handed back and \
         counted as refused; open your own"
    )]
    Forked(T),
}

impl<T> PushError<T> {
    /// The item that was not stored.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) | Self::Forked(item) => item,
        }
    }
}

/// Why the background thread did not do what was requested; `E` is the sink's own error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError<E> {
    /// The sink failed. Its items are still held, and it is tried again.
    #[error("the background writer failed: {0}")]
    Sink(Arc<E>),
    /// The sink panicked. The buffer is closed, and what was in it is lost.
    #[error("the background writer panicked: {message}; the buffer is closed")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The time limit was too short. The thread continues in the background.
    #[error("the background writer did not finish within {waited:?}; it continues, wait longer")]
    TimedOut {
        /// The time limit.
        waited: Duration,
    },
    /// The sink flushed successfully and still accepts nothing, which is a bug in the sink.
    #[error(
        "the sink has no capacity after a successful flush; {left} items remain in the buffer. \
         `Sink::capacity` must return more than 0 then"
    )]
    NoRoom {
        /// Items the sink did not take.
        left: usize,
    },
    /// The system did not start the thread.
    #[error("the background thread could not be started: {0}")]
    Spawn(Arc<std::io::Error>),
    /// This process was forked from the one that started the thread, which runs there only. Nothing was done.
    #[error(
        "this process was forked from the one that started the background writer, which runs there \
         only; open your own"
    )]
    Forked,
    /// The drain was stopped and has written everything, so nothing is left in its sink.
    #[error("the background writer was stopped and has written everything")]
    Ended,
}

// Written out because a derive would require `E: Clone`.
impl<E> Clone for DrainError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Sink(error) => Self::Sink(Arc::clone(error)),
            Self::Panicked { message } => Self::Panicked { message: message.clone() },
            Self::TimedOut { waited } => Self::TimedOut { waited: *waited },
            Self::NoRoom { left } => Self::NoRoom { left: *left },
            Self::Spawn(error) => Self::Spawn(Arc::clone(error)),
            Self::Forked => Self::Forked,
            Self::Ended => Self::Ended,
        }
    }
}
