//! The seam between the drain and whatever keeps the items.

use std::error::Error;
use std::time::Instant;

/// Takes items in order and keeps them. All methods are called by one thread, the drain's.
///
/// A sink owns no thread and looks at no clock: it is told the time. What it holds is bounded by
/// [`capacity`](Self::capacity); what it does not take stays in the ring.
pub trait Sink<T>: Send + 'static {
    /// What can go wrong.
    type Error: Error + Send + Sync + 'static;

    /// What it counts; `()` if nothing.
    type Stats: Clone + Send + 'static;

    /// How many items it takes now; 0 leaves them in the ring, for example while the disk is full.
    /// After a flush that succeeded it is more than 0.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// Takes all items out of `batch`, which holds no more than [`capacity`](Self::capacity). After
    /// `Ok` and after `Err` alike the batch is empty: the sink holds each item, has stored it, or
    /// has counted it as rejected.
    ///
    /// # Errors
    /// When something failed on the way; the drain latches the error and goes on.
    fn receive(&mut self, batch: &mut Vec<T>, now: Instant) -> Result<(), Self::Error>;

    /// Does what has become due, such as a flush. Called every few milliseconds; after an error not
    /// again before a pause.
    ///
    /// # Errors
    /// When what was due failed. Nothing is lost by that: it stays due.
    fn tick(&mut self, _now: Instant) -> Result<(), Self::Error> {
        Ok(())
    }

    /// After `Ok` everything received is published: readable, and safe from a crash of the process.
    ///
    /// # Errors
    /// When it could not be published; it is still held and can be flushed later.
    fn flush(&mut self) -> Result<(), Self::Error>;

    /// Flushes and seals: after `Ok` nothing more is added and nothing is called again.
    ///
    /// # Errors
    /// When it could not be published; the drain tries again while it has time.
    fn close(&mut self) -> Result<(), Self::Error>;

    /// Its counters now. The drain asks after every round and hands the answer to whoever holds it.
    fn stats(&self) -> Self::Stats;
}
