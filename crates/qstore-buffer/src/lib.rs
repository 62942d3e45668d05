//! A bounded ring whose push never waits, and the one thread that empties it.
//!
//! [`AsyncBuffer`] takes items from any number of threads, and [`Drain`] is the background thread that
//! passes them on, in order, to whatever implements [`Sink`].
//!
//! | the ring is | `push` | `try_pop` | `pop` |
//! |---|---|---|---|
//! | partly filled | stores the item | takes the oldest item | takes the oldest item |
//! | full | hands the item back and counts it as dropped; other [policies](Overflow) by choice | takes the oldest item | takes the oldest item |
//! | empty | stores the item | `None` | waits for an item |
//! | closed | hands the item back and counts it as refused | what is left, then `None` | what is left, then `None` |
//!
//! A push never blocks, never allocates and takes no lock. (A push that wakes a consumer while several
//! wait takes the lock of their queue for a few instructions.) Every item that goes in comes out once,
//! or is counted as lost.
//!
//! What it is **not**: it is lock-free, not wait-free (a push retries when another producer was
//! faster, and a pop waits for a push that has claimed its slot and is about to fill it). It keeps no
//! item across a crash. It knows nothing about rows, files or formats. Depend on it alone when you
//! have a sink of your own.
//!
//! ```
//! use qstore_buffer::{AsyncBuffer, PushError};
//!
//! let buffer = AsyncBuffer::new(2)?;
//! buffer.push("first").unwrap();
//! buffer.push("second").unwrap();
//! assert_eq!(buffer.push("third"), Err(PushError::Full("third")));
//!
//! assert_eq!(buffer.try_pop(), Some("first"));
//! let stats = buffer.stats();
//! assert_eq!((stats.pushed, stats.popped, stats.dropped), (2, 1, 1));
//! # Ok::<(), qstore_buffer::SettingError>(())
//! ```
//!
//! # Accounting
//! Whenever no call is in progress, `pushed == popped + evicted + cleared + size`, and
//! `pushed + dropped + refused` is the number of pushes, closing included.
//!
//! # How it differs from other queues
//! | | compared with this crate |
//! |---|---|
//! | `crossbeam`'s `ArrayQueue` | The same algorithm, due to Dmitry Vyukov. It cannot be closed, has no way to wait for an item, and counts nothing. |
//! | `crossbeam` and `std` bounded channels | A full channel blocks the sender, or hands the item back from `try_send` without counting it. A receiver that waits is woken by every send; a [`Drain`] is woken once per half a ring, because a wake-up costs the sender more than the push. |
//! | `rtrb` | One producer and one consumer, and faster for these. This ring takes any number of both. |
//! | `tokio::sync::mpsc` | Waits for room as a future, inside a runtime. This ring needs no runtime and still has [`pop_async`](AsyncBuffer::pop_async). |

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod buffer;
mod drain;
mod error;
mod health;
mod order;
#[expect(unsafe_code, reason = "items move in and out of slots that only the stamps guard")]
mod ring;
mod sync;
#[cfg(test)]
mod tests;
mod wait;

pub use buffer::AsyncBuffer;
pub use buffer::hooks::Hooks;
pub use buffer::settings::{BufferSettings, Overflow};
pub use buffer::stats::BufferStats;
pub use buffer::tasks::{Items, Pop};
pub use drain::Drain;
pub use drain::settings::{DrainSettings, RING_LINGER, StartHook};
pub use drain::sink::{Lookahead, Progress, Round, Sink, Work};
pub use drain::summary::DrainSummary;
pub use error::{DrainError, PushError};
pub use health::{Health, Loss, Losses, Lost};
pub use qstore_settings::SettingError;
