//! The buffer as its users see it: a ring, what happens when it is full, a way to wait, and counters.

use crate::counters::Counters;
use crate::pop::{Items, Pop};
use crate::ring::{Refused, Ring, Taken};
use crate::room::Room;
use crate::seat::Ticket;
use crate::settings::{BufferSettings, Hooks, Loss, Overflow};
use crate::sync::spin_loop;
use crate::wake::Wakeup;
use crate::{BufferStats, Error, PushError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A bounded ring shared by any number of producers and consumers; clones are handles to the same
/// ring.
pub struct AsyncBuffer<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    ring: Ring<T>,
    wake: Wakeup,
    room: Room,
    counters: Counters,
    settings: BufferSettings,
    hooks: Hooks<T>,
    started: Instant,
}

impl<T> AsyncBuffer<T> {
    /// The capacity that suits most training loops.
    pub const DEFAULT_MAXSIZE: usize = 10_000;

    /// A buffer for `maxsize` items, allocated at once, with the name `async_buffer`, which hands new
    /// items back when it is full.
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`], [`Error::TooLarge`].
    pub fn new(maxsize: usize) -> Result<Self, Error> {
        Self::with_settings(BufferSettings::default().maxsize(maxsize))
    }

    /// As [`new`](Self::new), with a name of its own, which appears in [`stats`](Self::stats).
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`], [`Error::TooLarge`].
    pub fn with_name(maxsize: usize, name: impl Into<String>) -> Result<Self, Error> {
        Self::with_settings(BufferSettings::default().maxsize(maxsize).name(name))
    }

    /// A buffer with settings.
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`], [`Error::TooLarge`].
    pub fn with_settings(settings: BufferSettings) -> Result<Self, Error> {
        Self::with_hooks(settings, Hooks::default())
    }

    /// A buffer with settings that tells what it loses.
    ///
    /// # Errors
    /// [`Error::ZeroMaxsize`], [`Error::TooLarge`].
    pub fn with_hooks(settings: BufferSettings, hooks: Hooks<T>) -> Result<Self, Error> {
        if settings.maxsize == 0 {
            return Err(Error::ZeroMaxsize);
        }
        let ring =
            Ring::new(settings.maxsize).ok_or(Error::TooLarge { maxsize: settings.maxsize })?;
        let shared = Shared {
            ring,
            wake: Wakeup::new(),
            room: Room::new(),
            counters: Counters::new(),
            settings,
            hooks,
            started: Instant::now(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Stores an item; a full buffer does what its [`Overflow`] says. Never allocates, and never
    /// waits but under [`Overflow::BlockFor`].
    ///
    /// # Errors
    /// [`PushError::Full`] when there is no room: the item counts as dropped.
    /// [`PushError::Closed`] after [`close`](Self::close): the item counts as refused.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), PushError<T>> {
        let shared = &*self.shared;
        match shared.ring.push(item) {
            Ok(()) => {
                shared.wake.pushed(|| shared.ring.len());
                Ok(())
            }
            Err(refused) => shared.overflow(refused),
        }
    }

    /// Takes the oldest item out, waiting for one if there is none.
    ///
    /// `None` waits for ever, zero not at all. The result is `None` when the time is up, or when
    /// the buffer is closed and nothing is left in it.
    #[must_use = "the item is taken out of the buffer"]
    pub fn pop(&self, timeout: Option<Duration>) -> Option<T> {
        let shared = &*self.shared;
        let mut deadline = None;
        loop {
            match shared.take() {
                Taken::One(item) => return Some(item),
                Taken::Ended => return None,
                Taken::Empty => {}
            }
            if let Some(timeout) = timeout {
                let now = Instant::now();
                let end = *deadline.get_or_insert_with(|| later(now, timeout));
                if now >= end {
                    return None;
                }
            }
            shared.wake.wait(1, deadline, || shared.is_worth_a_look());
        }
    }

    /// As [`pop`](Self::pop) without a limit, for a task: `buffer.pop_async().await`. Runs on any
    /// executor; dropping the future before it is done takes nothing out.
    ///
    /// Any number of threads and tasks can wait; one is woken for an item. A buffer that a
    /// [`Drain`](crate::Drain) empties is best left to it: whoever waits beside it gets an item now and
    /// then, and either may sleep for a linger while the other is awake.
    pub fn pop_async(&self) -> Pop<'_, T> {
        Pop::new(self)
    }

    /// The items as a stream, which ends when the buffer is closed and empty.
    pub fn items(&self) -> Items<T> {
        Items::new(self.clone())
    }

    /// Moves up to `max` of the oldest items to the end of `batch`, without waiting for one; returns
    /// how many. What is pushed meanwhile stays inside, so that there is an end to it.
    pub fn pop_into(&self, batch: &mut Vec<T>, max: usize) -> usize {
        let count = self.shared.ring.pop_into(batch, max);
        self.shared.counters.popped.fetch_add(count as u64, Release);
        self.shared.made_room(count);
        count
    }

    /// Throws all items away and returns how many; the other counters stay. Items that are pushed
    /// meanwhile may stay.
    pub fn clear(&self) -> usize {
        const AT_ONCE: usize = 1_024;
        let shared = &*self.shared;
        let (mut thrown, mut left, mut cleared) = (Vec::new(), self.maxsize(), 0);
        while left > 0 {
            // Dropped outside the ring: what an item does when it is dropped delays nobody.
            let count = shared.ring.pop_into(&mut thrown, left.min(AT_ONCE));
            shared.counters.cleared.fetch_add(count as u64, Release);
            shared.made_room(count);
            thrown.clear();
            if count == 0 {
                break;
            }
            (left, cleared) = (left - count, cleared + count);
        }
        cleared
    }

    /// Ends the intake: every later push is refused; what is inside can still be taken out. Closing
    /// again does nothing.
    pub fn close(&self) {
        self.shared.ring.close();
        self.shared.wake.wake();
        self.shared.room.made();
    }

    /// Whether the buffer was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.ring.is_closed()
    }

    /// How many items are inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.ring.len()
    }

    /// Whether no item is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.maxsize()
    }

    /// How many items fit.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.shared.ring.capacity()
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        let Shared { ring, counters, settings, started, .. } = &*self.shared;
        // What went out is read before what came in, which then is not less.
        let (popped, cleared) = (counters.popped.load(Acquire), counters.cleared.load(Acquire));
        let (evicted, dropped) = (counters.evicted.load(Acquire), counters.dropped.load(Acquire));
        let (size, maxsize, pushed) = (ring.len(), ring.capacity(), ring.pushed());
        let (lost_first, lost_last) = counters.lost_labels();
        let (lost, attempts) = (dropped + evicted, pushed + dropped);
        BufferStats {
            name: settings.name.clone(),
            size,
            maxsize,
            pushed,
            popped,
            cleared,
            evicted,
            dropped,
            refused: counters.refused.load(Relaxed),
            lost_first,
            lost_last,
            drop_rate: if attempts == 0 { 0.0 } else { lost as f64 / attempts as f64 },
            utilization: size as f64 / maxsize as f64,
            uptime: started.elapsed(),
        }
    }

    /// How many items were ever stored; a push that has returned is among them.
    pub(crate) fn pushed(&self) -> u64 {
        self.shared.ring.pushed()
    }

    /// How many items were ever taken out, whatever for.
    pub(crate) fn taken(&self) -> u64 {
        self.shared.ring.taken()
    }

    /// Waits until `wanted` items are inside, the buffer is closed, [`wake`](Self::wake) was called
    /// or the time is up; may return early.
    pub(crate) fn wait(&self, wanted: usize, linger: Duration, is_ready: impl Fn() -> bool) {
        let deadline = later(Instant::now(), linger);
        let is_ready = || self.is_closed() || self.len() >= wanted || is_ready();
        self.shared.wake.wait(wanted, Some(deadline), is_ready);
    }

    /// Wakes the thread that waits.
    pub(crate) fn wake(&self) {
        self.shared.wake.wake();
    }

    /// Looks for an item; when there is none, the task is woken at the next.
    pub(crate) fn poll_pop(
        &self,
        ticket: &mut Option<Ticket>,
        context: &Context<'_>,
    ) -> Poll<Option<T>> {
        let shared = &*self.shared;
        loop {
            let answer = match shared.take() {
                Taken::One(item) => Some(item),
                Taken::Ended => None,
                Taken::Empty => {
                    match shared.wake.poll(ticket, context, || shared.is_worth_a_look()) {
                        Poll::Ready(()) => continue,
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            self.give_up(ticket);
            return Poll::Ready(answer);
        }
    }

    /// The task waits no longer.
    pub(crate) fn give_up(&self, ticket: &mut Option<Ticket>) {
        if let Some(ticket) = ticket.take() {
            self.shared.wake.leave(ticket);
        }
    }
}

impl<T> Shared<T> {
    fn take(&self) -> Taken<T> {
        let taken = self.ring.pop();
        if let Taken::One(_) = taken {
            self.counters.popped.fetch_add(1, Release);
            self.made_room(1);
        }
        taken
    }

    fn is_worth_a_look(&self) -> bool {
        self.ring.len() > 0 || self.ring.is_closed()
    }

    fn made_room(&self, count: usize) {
        if count > 0 && matches!(self.settings.overflow, Overflow::BlockFor(_)) {
            self.room.made();
        }
    }

    /// What becomes of an item that found no room.
    #[cold]
    fn overflow(&self, refused: Refused<T>) -> Result<(), PushError<T>> {
        let mut refused = match (refused, self.settings.overflow) {
            (Refused::Full(item), Overflow::DropOldest) => self.push_over_the_oldest(item),
            (Refused::Full(item), Overflow::BlockFor(patience)) => self.push_within(item, patience),
            (refused, _) => Err(refused),
        };
        if let Err(Refused::Full(item)) = refused {
            // The oldest could not be thrown out, or nobody made room: the newest goes instead. A
            // close in the meantime is the better reason.
            refused = Err(if self.ring.is_closed() {
                Refused::Closed(item)
            } else {
                Refused::Full(item)
            });
        }
        match refused {
            Ok(()) => {
                self.wake.pushed(|| self.ring.len());
                Ok(())
            }
            Err(Refused::Full(item)) => {
                self.counters.lose(&item, Loss::Dropped, &self.hooks);
                Err(PushError::Full(item))
            }
            Err(Refused::Closed(item)) => {
                self.counters.refused.fetch_add(1, Relaxed);
                Err(PushError::Closed(item))
            }
        }
    }

    /// Gives up when what is in the way is a slot that a consumer is emptying, for as long as this
    /// takes: to throw other items out would make no room there.
    fn push_over_the_oldest(&self, mut item: T) -> Result<(), Refused<T>> {
        const TRIES: usize = 64;
        for _ in 0..TRIES {
            if self.ring.len() < self.ring.capacity() {
                spin_loop();
            } else if let Taken::One(oldest) = self.ring.pop() {
                self.counters.lose(&oldest, Loss::Evicted, &self.hooks);
            }
            match self.ring.push(item) {
                Err(Refused::Full(back)) => item = back,
                done => return done,
            }
        }
        Err(Refused::Full(item))
    }

    fn push_within(&self, item: T, patience: Duration) -> Result<(), Refused<T>> {
        let deadline = Instant::now().checked_add(patience);
        let mut item = Some(item);
        let stored = self.room.wait(deadline, || match self.ring.push(item.take()?) {
            Ok(()) => Some(Ok(())),
            Err(Refused::Closed(back)) => Some(Err(Refused::Closed(back))),
            Err(Refused::Full(back)) => {
                item = Some(back);
                None
            }
        });
        match (stored, item) {
            (Some(stored), _) => stored,
            (None, Some(item)) => Err(Refused::Full(item)),
            (None, None) => unreachable!("a full ring hands back what it was given"),
        }
    }
}

/// A moment so far away that it overflows the clock is as good as for ever.
pub(crate) fn later(now: Instant, timeout: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_hours(24 * 365);
    now.checked_add(timeout).unwrap_or_else(|| now + FOR_EVER)
}

impl<T> Clone for AsyncBuffer<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for AsyncBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncBuffer")
            .field("name", &self.shared.settings.name)
            .field("len", &self.len())
            .field("maxsize", &self.maxsize())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
