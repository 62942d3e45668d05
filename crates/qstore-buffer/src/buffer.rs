//! The buffer as its users see it: a ring, a policy for when it is full, a way to wait, and counters.

use crate::buffer::counters::Counters;
use crate::buffer::hooks::Hooks;
use crate::buffer::settings::BufferSettings;
use crate::buffer::shared::Shared;
use crate::buffer::stats::BufferStats;
use crate::error::PushError;
use crate::health::Losses;
use crate::ring::{Ring, Taken};
use crate::wait::room::Room;
use crate::wait::wait_queue::Waiter;
use crate::wait::wake::Wakeup;
use qstore_os::ForkCheck;
use qstore_settings::SettingError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

mod counters;
pub(crate) mod hooks;
pub(crate) mod settings;
mod shared;
pub(crate) mod stats;
pub(crate) mod tasks;

/// A bounded queue shared by any number of producers and consumers. Clones are handles to the same
/// queue.
///
/// * [`push`](Self::push) stores an item. When the buffer is full, the
///   [`Overflow`](crate::Overflow) policy decides; by default the item is handed back in [`PushError::Full`] and counted as dropped. When the buffer
///   is closed, it is handed back in [`PushError::Closed`] and counted as refused.
/// * [`pop`](Self::pop) takes the oldest item and waits for one while the buffer is empty.
///   [`try_pop`](Self::try_pop) does not wait, [`pop_timeout`](Self::pop_timeout) waits for a limited
///   time, and [`pop_async`](Self::pop_async) waits as a future. Once the buffer is closed and empty,
///   each of them returns `None`.
/// * [`close`](Self::close) ends the intake. What is in the buffer can still be taken out; closing
///   discards nothing.
/// * Dropping the last handle drops the items that are left. Dropping a handle while others exist
///   does nothing, so a producer that ends does not close the buffer.
/// * In a forked child, a buffer that a [`Drain`](crate::Drain) empties is closed and empty: the items are
///   the parent's, and a push is handed back in [`PushError::Forked`]. A buffer without a drain is memory, and
///   the child has a copy of it; use a new one if other threads of the parent may have been using it.
///
/// Items of one producer come out in the order in which it pushed them. Between producers there is no
/// order.
///
/// ```
/// use qstore_buffer::AsyncBuffer;
/// use std::thread;
///
/// let buffer = AsyncBuffer::new(1_000)?;
/// let sum: u64 = thread::scope(|scope| {
///     let consumer = scope.spawn(|| {
///         let mut sum = 0;
///         while let Some(item) = buffer.pop() {
///             sum += item;
///         }
///         sum
///     });
///     for item in 1..=100 {
///         buffer.push(item).unwrap();
///     }
///     buffer.close(); // the consumer takes what is left, and ends
///     consumer.join().unwrap()
/// });
/// assert_eq!(sum, 5_050);
/// # Ok::<(), qstore_buffer::SettingError>(())
/// ```
pub struct AsyncBuffer<T> {
    shared: Arc<Shared<T>>,
}

impl<T> AsyncBuffer<T> {
    /// The default capacity, which suits most training loops.
    pub const DEFAULT_MAXSIZE: usize = BufferSettings::MAXSIZE;

    /// A buffer for `maxsize` items, allocated at once, with the name `async_buffer`, which hands new
    /// items back when it is full.
    ///
    /// # Errors
    /// When `maxsize` is 0, or when there is not enough memory for that many items.
    pub fn new(maxsize: usize) -> Result<Self, SettingError> {
        Self::with_settings(BufferSettings::default().maxsize(maxsize))
    }

    /// Like [`new`](Self::new), with a name, which appears in [`stats`](Self::stats) and in warnings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_name(maxsize: usize, name: impl Into<String>) -> Result<Self, SettingError> {
        Self::with_settings(BufferSettings::default().maxsize(maxsize).name(name))
    }

    /// A buffer with settings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_settings(settings: BufferSettings) -> Result<Self, SettingError> {
        Self::with_hooks(settings, Hooks::default())
    }

    /// A buffer with settings, and with callbacks for the items it loses.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_hooks(settings: BufferSettings, hooks: Hooks<T>) -> Result<Self, SettingError> {
        settings.validate()?;
        let shared = Shared {
            ring: Ring::new(settings.maxsize).ok_or_else(|| settings.too_large())?,
            wake: Wakeup::new(),
            room: Room::new(),
            counters: Counters::new(),
            settings,
            hooks,
            started: Instant::now(),
            home: ForkCheck::new(),
            is_drained: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Stores an item. A full buffer does what its [`Overflow`](crate::Overflow) says. Never allocates,
    /// and waits only under [`BlockFor`](crate::Overflow::BlockFor).
    ///
    /// ```
    /// use qstore_buffer::{AsyncBuffer, PushError};
    ///
    /// let buffer = AsyncBuffer::new(1)?;
    /// buffer.push('a').unwrap();
    /// // The item comes back: log it elsewhere, try again, or let it go.
    /// assert_eq!(buffer.push('b').unwrap_err().into_inner(), 'b');
    /// buffer.close();
    /// assert_eq!(buffer.push('c'), Err(PushError::Closed('c')));
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    ///
    /// # Errors
    /// [`PushError::Full`] when there is no room; the item is handed back and counts as dropped.
    /// [`PushError::Closed`] after [`close`](Self::close), and [`PushError::Forked`] in a child of the
    /// process that drains the buffer; the item is handed back and counts as refused.
    #[inline]
    pub fn push(&self, item: T) -> Result<(), PushError<T>> {
        self.push_then(item, |_| {})
    }

    /// Like [`push`](Self::push), and calls `finish` on the item in its place in the ring: setting one field of
    /// a large item there costs less than setting it before, after which the compiler moves the item once more.
    ///
    /// `finish` must be short. Consumers wait for it, because items come out in order. It is also called for an
    /// item that is handed back. If it panics, the item is stored as it is then, and a
    /// consumer that waits is woken by the next push.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    ///
    /// let buffer = AsyncBuffer::new(4)?;
    /// buffer.push_then([0.5; 40], |row| row[0] = 17.0).unwrap();
    /// assert_eq!(buffer.try_pop().map(|row| row[..2].to_vec()), Some(vec![17.0, 0.5]));
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_then(&self, mut item: T, finish: impl FnOnce(&mut T)) -> Result<(), PushError<T>> {
        let shared = &*self.shared;
        // mutant: push_in_a_forked_child
        if shared.is_orphan() {
            finish(&mut item);
            return shared.refuse_in_child(item);
        }
        match shared.ring.reserve() {
            Ok(claimed) => {
                claimed.fill_then(item, finish);
                shared.wake.pushed(|| shared.ring.len());
                Ok(())
            }
            Err(refused) => {
                finish(&mut item);
                shared.overflow(item, refused)
            }
        }
    }

    /// Takes the oldest item. Waits for one while the buffer is empty, without a limit. `None` once
    /// the buffer is closed and empty.
    #[must_use = "the item is taken out of the buffer"]
    pub fn pop(&self) -> Option<T> {
        self.pop_before(None)
    }

    /// Takes the oldest item if there is one; never waits.
    #[must_use = "the item is taken out of the buffer"]
    pub fn try_pop(&self) -> Option<T> {
        match self.shared.take() {
            Taken::One(item) => Some(item),
            Taken::Empty | Taken::Ended => None,
        }
    }

    /// Takes the oldest item. Waits up to `timeout` for one while the buffer is empty. `None` when the
    /// time is up, and at once when the buffer is closed and empty.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    /// use std::time::Duration;
    ///
    /// let buffer = AsyncBuffer::<u8>::new(4)?;
    /// assert_eq!(buffer.pop_timeout(Duration::from_millis(5)), None);
    /// buffer.close();
    /// assert_eq!(buffer.pop_timeout(Duration::MAX), None); // does not wait
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    #[must_use = "the item is taken out of the buffer"]
    pub fn pop_timeout(&self, timeout: Duration) -> Option<T> {
        // Only an empty buffer makes it worth asking for the time.
        self.try_pop().or_else(|| self.pop_before(Some(later(Instant::now(), timeout))))
    }

    fn pop_before(&self, deadline: Option<Instant>) -> Option<T> {
        let shared = &*self.shared;
        loop {
            match shared.take() {
                Taken::One(item) => return Some(item),
                Taken::Ended => return None,
                Taken::Empty => {}
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            shared.wake.wait(1, deadline, || shared.may_have_changed());
        }
    }

    /// Moves up to `max` of the oldest items to the end of `batch` and returns how many; never waits.
    /// Items that are pushed during the call stay in the buffer, so the call always ends.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    ///
    /// let buffer = AsyncBuffer::new(8)?;
    /// (0..5).for_each(|item| buffer.push(item).unwrap());
    /// let mut batch = Vec::new();
    /// assert_eq!(buffer.pop_into(&mut batch, 3), 3);
    /// assert_eq!(batch, [0, 1, 2]);
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    pub fn pop_into(&self, batch: &mut Vec<T>, max: usize) -> usize {
        if self.shared.is_orphan() {
            return 0;
        }
        let count = self.shared.ring.pop_into(batch, max);
        self.shared.counters.popped.fetch_add(count as u64, Release);
        self.shared.made_room(count);
        count
    }

    /// Discards all items and returns how many. They count as cleared; the other counters stay. Items
    /// that are pushed during the call may remain.
    pub fn clear(&self) -> usize {
        const AT_ONCE: usize = 1_024;
        let shared = &*self.shared;
        let mut discarded = Vec::new();
        let mut cleared = 0;
        if shared.is_orphan() {
            return 0;
        }
        while cleared < self.maxsize() {
            // Dropped outside the ring, so that an item with a slow destructor delays nobody.
            let count = shared.ring.pop_into(&mut discarded, AT_ONCE.min(self.maxsize() - cleared));
            shared.counters.cleared.fetch_add(count as u64, Release);
            shared.made_room(count);
            discarded.clear();
            if count == 0 {
                break;
            }
            cleared += count;
        }
        cleared
    }

    /// Ends the intake. Every later push is refused; what is in the buffer can still be taken out.
    /// Consumers and producers that wait are woken. Closing again has no effect.
    pub fn close(&self) {
        self.shared.ring.close();
        if self.shared.is_orphan() {
            return; // who waits, waits in the parent
        }
        self.shared.wake.wake();
        self.shared.room.made();
    }

    /// Whether the buffer was closed, or is drained by the process that this one was forked from.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.ring.is_closed() || self.shared.is_orphan()
    }

    /// Number of items in the buffer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.ring.len()
    }

    /// Whether the buffer is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the buffer is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.maxsize()
    }

    /// The capacity in items.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.shared.ring.capacity()
    }

    /// What was lost because the buffer was full, by kind.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.shared.counters.losses()
    }

    /// The counters at this moment.
    ///
    /// ```
    /// use qstore_buffer::AsyncBuffer;
    ///
    /// let buffer = AsyncBuffer::with_name(3, "readings")?;
    /// for reading in 0..5 {
    ///     let _ = buffer.push(reading);
    /// }
    /// let stats = buffer.stats();
    /// assert_eq!((stats.name.as_str(), stats.size, stats.maxsize), ("readings", 3, 3));
    /// assert_eq!((stats.pushed, stats.dropped), (3, 2));
    /// assert_eq!((stats.drop_rate, stats.utilization), (0.4, 1.0));
    /// # Ok::<(), qstore_buffer::SettingError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> BufferStats {
        let Shared { ring, counters, settings, started, .. } = &*self.shared;
        // What went out is read before what came in, so that it is never the larger of the two.
        let (popped, cleared) = (counters.popped.load(Acquire), counters.cleared.load(Acquire));
        let (evicted, dropped) = (counters.evicted(), counters.dropped());
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

    /// The buffer's name.
    pub(crate) fn name(&self) -> &str {
        &self.shared.settings.name
    }

    /// A drain of this process empties the buffer from now on; `false` if one of the parent does.
    pub(crate) fn adopt(&self) -> bool {
        if self.shared.is_orphan() {
            return false;
        }
        self.shared.home.reset();
        self.shared.is_drained.store(true, Release);
        true
    }

    /// No drain was started after all.
    pub(crate) fn disown(&self) {
        self.shared.is_drained.store(false, Release);
    }

    /// Number of items ever stored, including that of every push that has returned.
    pub(crate) fn pushed(&self) -> u64 {
        self.shared.ring.pushed()
    }

    /// Number of items ever taken out, for whatever reason.
    pub(crate) fn taken(&self) -> u64 {
        self.shared.ring.taken()
    }

    /// Waits until `wanted` items are in the buffer, the buffer is closed, [`wake`](Self::wake) is
    /// called, `is_ready` holds, or the time is up. May return early.
    pub(crate) fn wait(&self, wanted: usize, linger: Duration, is_ready: impl Fn() -> bool) {
        let deadline = later(Instant::now(), linger);
        let is_ready = || self.is_closed() || self.len() >= wanted || is_ready();
        self.shared.wake.wait(wanted, Some(deadline), is_ready);
    }

    /// Wakes the current waiter.
    pub(crate) fn wake(&self) {
        self.shared.wake.wake();
    }

    /// Takes an item if there is one; if not, the task is woken for the next one.
    pub(crate) fn poll_pop(
        &self,
        waiter: &mut Option<Waiter>,
        context: &Context<'_>,
    ) -> Poll<Option<T>> {
        let shared = &*self.shared;
        loop {
            let item = match shared.take() {
                Taken::One(item) => Some(item),
                Taken::Ended => None,
                Taken::Empty => {
                    match shared.wake.poll(waiter, context, || shared.may_have_changed()) {
                        Poll::Ready(()) => continue,
                        Poll::Pending => return Poll::Pending,
                    }
                }
            };
            self.stop_waiting(waiter);
            return Poll::Ready(item);
        }
    }

    /// The task no longer waits.
    pub(crate) fn stop_waiting(&self, waiter: &mut Option<Waiter>) {
        if let Some(waiter) = waiter.take().filter(|_| !self.shared.is_orphan()) {
            self.shared.wake.leave(waiter);
        }
    }
}

/// `now + timeout`, or a year from now where that overflows the clock.
pub(crate) fn later(now: Instant, timeout: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(24 * 365);
    now.checked_add(timeout).unwrap_or_else(|| now + YEAR)
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
