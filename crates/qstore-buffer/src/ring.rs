//! The ring itself: push, pop, clear, close, and the counters.
//!
//! # How closing loses nothing
//! A push looks at the closed flag, then stores its item; between the two the buffer may be closed
//! and emptied for the last time, and the item would lie there for ever although its push said `Ok`.
//! Counting the pushes in progress would cost every push; instead a closed ring is *filled*. Whoever
//! pops after the close stuffs all free slots with seals and then takes items out by exchanging the
//! oldest slot for a seal, so the ring stays full: a late push either got in before, and is found,
//! or fails. One revolution over nothing but seals proves that no item is left, once no other consumer
//! is still taking items out in the belief that the ring is open; those are counted and waited for.

use crate::wake::Wakeup;
use crate::{BufferStats, Error, PushError};
use crossbeam_queue::ArrayQueue;
use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A bounded ring shared by any number of producers and consumers; clones are handles to the same
/// ring.
pub struct AsyncBuffer<T> {
    ring: Arc<Ring<T>>,
}

struct Ring<T> {
    queue: ArrayQueue<Slot<T>>,
    wake: Wakeup,
    is_closed: AtomicBool,
    /// Seals in the queue; changed only under `sealing`, but for a pop that meets a close.
    seals: AtomicUsize,
    sealing: Mutex<()>,
    /// Consumers that are taking items out of what they found to be an open ring.
    popping: AtomicUsize,
    /// The most that `pushed` was ever reported as.
    pushed_seen: AtomicU64,
    popped: AtomicU64,
    cleared: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    name: String,
    started: Instant,
}

enum Slot<T> {
    Item(T),
    Seal,
}

impl<T> AsyncBuffer<T> {
    /// The capacity that suits most training loops.
    pub const DEFAULT_MAXSIZE: usize = 10_000;

    /// A buffer for `maxsize` items, allocated at once, with the name `async_buffer`.
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`].
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        Self::with_name(maxsize, "async_buffer")
    }

    /// A buffer with a name of its own, which appears in [`stats`](Self::stats).
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`].
    pub fn with_name(maxsize: usize, name: impl Into<String>) -> Result<Self, Error> {
        if maxsize == 0 {
            return Err(Error::ZeroMaxsize);
        }
        let ring = Ring {
            queue: ArrayQueue::new(maxsize),
            wake: Wakeup::default(),
            is_closed: AtomicBool::new(false),
            seals: AtomicUsize::new(0),
            sealing: Mutex::new(()),
            popping: AtomicUsize::new(0),
            pushed_seen: AtomicU64::new(0),
            popped: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            name: name.into(),
            started: Instant::now(),
        };
        Ok(Self { ring: Arc::new(ring) })
    }

    /// Stores an item, or hands it back. Never blocks, never allocates.
    ///
    /// # Errors
    /// [`PushError::Full`] when there is no room: the item counts as dropped.
    /// [`PushError::Closed`] after [`close`](Self::close): the item counts as refused.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), PushError<T>> {
        let ring = &*self.ring;
        if ring.is_closed.load(Relaxed) {
            return Err(ring.turn_away(item));
        }
        match ring.queue.push(Slot::Item(item)) {
            Ok(()) => {
                ring.wake.pushed(|| ring.queue.len());
                Ok(())
            }
            Err(Slot::Item(item)) => Err(ring.turn_away(item)),
            Err(Slot::Seal) => unreachable!("a full queue hands back what it was given"),
        }
    }

    /// Takes the oldest item out, waiting for one if there is none.
    ///
    /// `None` waits for ever, zero not at all. The result is `None` when the time is up, or when
    /// the buffer is closed and nothing is left in it.
    #[must_use = "the item is taken out of the buffer"]
    pub fn pop(&self, timeout: Option<Duration>) -> Option<T> {
        let ring = &*self.ring;
        let mut deadline = None;
        loop {
            // Read before the ring: what is pushed after a close is nobody's loss.
            let was_closed = self.is_closed();
            let mut popped = None;
            if ring.take(1, |item| popped = Some(item)) == 1 {
                ring.popped.fetch_add(1, Release);
                return popped;
            }
            if was_closed {
                return None;
            }
            if let Some(timeout) = timeout {
                let now = Instant::now();
                let end = *deadline.get_or_insert_with(|| later(now, timeout));
                if now >= end {
                    return None;
                }
            }
            ring.wake.wait(1, deadline, || self.is_closed() || !ring.queue.is_empty());
        }
    }

    /// Moves up to `max` of the oldest items to the end of `batch`, without waiting; returns how
    /// many.
    pub fn pop_into(&self, batch: &mut Vec<T>, max: usize) -> usize {
        let count = self.ring.take(max, |item| batch.push(item));
        self.ring.popped.fetch_add(count as u64, Release);
        count
    }

    /// Throws all items away and returns how many; the other counters stay.
    pub fn clear(&self) -> usize {
        let count = self.ring.take(usize::MAX, drop);
        self.ring.cleared.fetch_add(count as u64, Release);
        count
    }

    /// Ends the intake: every later push is refused; what is inside can still be taken out. Closing
    /// again does nothing.
    pub fn close(&self) {
        self.ring.is_closed.store(true, SeqCst);
        self.ring.wake.wake();
    }

    /// Whether the buffer was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed.load(SeqCst)
    }

    /// How many items are inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.queue.len().saturating_sub(self.ring.seals.load(Acquire))
    }

    /// Whether no item is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next push would be dropped.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.maxsize()
    }

    /// How many items fit.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.ring.queue.capacity()
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        let ring = &*self.ring;
        // The size comes last: an item that moves in between is then counted once or not yet, never
        // twice, so that the greatest sum ever seen is a true one.
        let (popped, cleared) = (ring.popped.load(Acquire), ring.cleared.load(Acquire));
        let (size, maxsize) = (self.len(), self.maxsize());
        let dropped = ring.dropped.load(Relaxed);
        // Derived, because counting it would cost every push.
        let pushed = popped + cleared + size as u64;
        let pushed = ring.pushed_seen.fetch_max(pushed, Relaxed).max(pushed);
        let attempts = pushed + dropped;
        BufferStats {
            name: ring.name.clone(),
            size,
            maxsize,
            pushed,
            popped,
            cleared,
            dropped,
            refused: ring.refused.load(Relaxed),
            drop_rate: if attempts == 0 { 0.0 } else { dropped as f64 / attempts as f64 },
            utilization: size as f64 / maxsize as f64,
            uptime: ring.started.elapsed(),
        }
    }

    /// Waits until `wanted` items are inside, the buffer is closed, [`wake`](Self::wake) was called
    /// or the time is up; may return early.
    pub(crate) fn wait(&self, wanted: usize, linger: Duration, is_ready: impl Fn() -> bool) {
        let deadline = later(Instant::now(), linger);
        let is_ready = || self.is_closed() || self.len() >= wanted || is_ready();
        self.ring.wake.wait(wanted, Some(deadline), is_ready);
    }

    /// Wakes the thread that waits.
    pub(crate) fn wake(&self) {
        self.ring.wake.wake();
    }
}

impl<T> Ring<T> {
    #[cold]
    fn turn_away(&self, item: T) -> PushError<T> {
        if self.is_closed.load(SeqCst) {
            self.refused.fetch_add(1, Relaxed);
            PushError::Closed(item)
        } else {
            self.dropped.fetch_add(1, Relaxed);
            PushError::Full(item)
        }
    }

    /// Gives away up to `max` of the oldest items; returns how many.
    fn take(&self, max: usize, mut give: impl FnMut(T)) -> usize {
        let mut count = 0;
        let popping = Popping::begin(&self.popping);
        if !self.is_closed.load(SeqCst) {
            while count < max {
                match self.queue.pop() {
                    Some(Slot::Item(item)) => give(item),
                    None => break,
                    // Closed and sealed in the meantime.
                    Some(Slot::Seal) => {
                        self.seals.fetch_sub(1, SeqCst);
                        break;
                    }
                }
                count += 1;
            }
        }
        drop(popping);
        if self.is_closed.load(SeqCst) {
            while count < max {
                let Some(item) = self.take_sealed() else { break };
                give(item);
                count += 1;
            }
        }
        count
    }

    /// Takes an item out of a closed ring while keeping it full.
    #[cold]
    fn take_sealed(&self) -> Option<T> {
        let _guard = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever begins after this sees that the ring is closed, and comes here, too.
        while self.popping.load(SeqCst) > 0 {
            thread::yield_now();
        }
        while self.queue.push(Slot::Seal).is_ok() {
            self.seals.fetch_add(1, SeqCst);
        }
        for _ in 0..self.queue.capacity() {
            match self.queue.force_push(Slot::Seal) {
                Some(Slot::Item(item)) => {
                    self.seals.fetch_add(1, SeqCst);
                    return Some(item);
                }
                Some(Slot::Seal) => {}
                None => {
                    self.seals.fetch_add(1, SeqCst);
                }
            }
        }
        None
    }
}

/// Counts a consumer for as long as it may free slots of a ring it believes to be open.
struct Popping<'a>(&'a AtomicUsize);

impl<'a> Popping<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Popping<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A moment so far away that it overflows the clock is as good as for ever.
pub(crate) fn later(now: Instant, timeout: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_hours(24 * 365);
    now.checked_add(timeout).unwrap_or_else(|| now + FOR_EVER)
}

impl<T> Clone for AsyncBuffer<T> {
    fn clone(&self) -> Self {
        Self { ring: Arc::clone(&self.ring) }
    }
}

impl<T> fmt::Debug for AsyncBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncBuffer")
            .field("name", &self.ring.name)
            .field("len", &self.len())
            .field("maxsize", &self.maxsize())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

#[cfg(test)]
mod tests;
