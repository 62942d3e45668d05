//! The seam between the drain and whatever keeps the items.

use crate::BufferStats;
use std::error::Error;
use std::fmt;
use std::time::Instant;

/// Something slow that a sink wants done: it runs on another thread, while items are received.
pub type Work<E> = Box<dyn FnOnce() -> Result<(), E> + Send>;

/// Something slow that a sink wants done for the work after the one at hand. What comes of it is the
/// sink's own business.
pub type Preparation = Box<dyn FnOnce() + Send>;

/// What is left to do after a call.
pub enum Progress<E> {
    /// Nothing.
    Idle,
    /// This. Until it has ended only [`capacity`](Sink::capacity), [`receive`](Sink::receive),
    /// [`prepare`](Sink::prepare), [`observe`](Sink::observe) and [`stats`](Sink::stats) are called, so
    /// that encoding or a disk that is slow does not let the ring overflow.
    Work(Work<E>),
}

/// Takes items in order and keeps them. All methods are called by one thread, the drain's.
///
/// A sink owns no thread and looks at no clock: it is told the time, and hands out slow work as
/// [`Progress::Work`]. What it holds is bounded by [`capacity`](Self::capacity); what it does not
/// take stays in the ring.
pub trait Sink<T>: Send + 'static {
    /// What can go wrong.
    type Error: Error + Send + Sync + 'static;

    /// What it counts; `()` if nothing.
    type Stats: Clone + Send + 'static;

    /// Called once, before anything else, on the drain's thread: for what is to hold for that thread and
    /// those it starts.
    fn begin(&mut self) {}

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

    /// Learns how the ring is doing: what it took and what it lost. Called before `tick`, `flush` and
    /// `close`.
    fn observe(&mut self, _intake: &BufferStats) {}

    /// Does what has become due, such as a flush. Called every few milliseconds; after an error not
    /// again before a pause.
    ///
    /// # Errors
    /// When what was due failed, here or in the work. Nothing is lost by that: it stays due.
    fn tick(&mut self, _now: Instant) -> Result<Progress<Self::Error>, Self::Error> {
        Ok(Progress::Idle)
    }

    /// Called while work is under way and no preparation is: what can be done on a third thread already,
    /// such as encoding while the disk is busy. For a sink that gets behind; the default is nothing.
    fn prepare(&mut self) -> Option<Preparation> {
        None
    }

    /// Called until it answers [`Progress::Idle`]; then everything received before the first of these
    /// calls is published: readable, and safe from a crash of the process.
    ///
    /// # Errors
    /// When it could not be published, here or in the work; it is still held and can be flushed later.
    fn flush(&mut self) -> Result<Progress<Self::Error>, Self::Error>;

    /// Flushes and seals. Called until it answers [`Progress::Idle`]; then nothing more is added and
    /// nothing is called again.
    ///
    /// # Errors
    /// When it could not be published; the drain tries again while it has time.
    fn close(&mut self) -> Result<Progress<Self::Error>, Self::Error>;

    /// Its counters now. The drain asks after every round and hands the answer to whoever holds it.
    fn stats(&self) -> Self::Stats;
}

impl<E> Progress<E> {
    /// Runs the work on this thread; `false` if there was none. For a sink that is used without a
    /// drain: `while sink.flush()?.run()? {}`.
    ///
    /// # Errors
    /// The work's own.
    pub fn run(self) -> Result<bool, E> {
        match self {
            Self::Idle => Ok(false),
            Self::Work(work) => work().map(|()| true),
        }
    }
}

impl<E> fmt::Debug for Progress<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Work(_) => "Work",
        })
    }
}
