//! A bounded ring whose push never waits, and the one thread that empties it.
//!
//! [`AsyncBuffer`] takes items from any number of threads. A push stores the item or, when the ring
//! is full, hands it back and counts it: it never blocks, never allocates and takes no lock. (One that
//! wakes a consumer while several wait takes the lock of their line, for a few instructions.)
//! [`Drain`] is the background thread that passes the items on, in order, to whatever implements
//! [`Sink`].
//!
//! What it is **not**: it is lock-free, not wait-free (a push tries again when another one was faster,
//! a pop waits for a push that has its place and is about to fill it); it keeps no item across a
//! crash; it knows nothing of rows, files or formats. Depend on it alone when you have a sink of your
//! own.
//!
//! Full buffers can also throw the oldest item away or wait a while ([`Overflow`]), and tell of every
//! lost item ([`Hooks`]). Consumers may be threads ([`AsyncBuffer::pop`]) or tasks of any executor
//! ([`AsyncBuffer::pop_async`], [`AsyncBuffer::items`]).
//!
//! ```
//! use qstore_buffer::{AsyncBuffer, PushError};
//! use std::time::Duration;
//!
//! let buffer = AsyncBuffer::new(2)?;
//! buffer.push("first").unwrap();
//! buffer.push("second").unwrap();
//! assert_eq!(buffer.push("third"), Err(PushError::Full("third")));
//!
//! assert_eq!(buffer.pop(Some(Duration::ZERO)), Some("first"));
//! let stats = buffer.stats();
//! assert_eq!((stats.pushed, stats.popped, stats.dropped), (2, 1, 1));
//! # Ok::<(), qstore_buffer::Error>(())
//! ```
//!
//! # Accounting
//! Whenever no call is in progress, `pushed == popped + evicted + cleared + size` and
//! `pushed + dropped + refused ==` the number of pushes, closing included.

mod buffer;
#[expect(unsafe_code, reason = "what is in a cell only its user knows")]
mod cell;
mod companion;
mod counters;
mod drain;
mod error;
mod losses;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod order;
mod pop;
#[expect(unsafe_code, reason = "items are moved in and out of slots that only the stamps guard")]
mod ring;
mod room;
mod seat;
mod settings;
mod sink;
mod stats;
mod sync;
mod wake;
mod worker;

pub use buffer::AsyncBuffer;
pub use drain::{Drain, DrainSettings, DrainSummary};
pub use error::{DrainError, Error, PushError};
pub use pop::{Items, Pop};
pub use settings::{BufferSettings, Hooks, Loss, Overflow};
pub use sink::{Preparation, Progress, Sink, Work};
pub use stats::BufferStats;
