//! The ring of slots: items go in at the tail and come out at the head, each once, in order.
//!
//! A *position* identifies a slot and the lap of the ring in which it is used. Each slot carries a *stamp* that
//! records for which position it is free or filled:
//!
//! | stamp | the slot |
//! |---|---|
//! | `position` | is free for the push at `position` |
//! | `position + 1` | holds the item of `position` |
//! | `position + lap` | was emptied, and is free one lap later |
//!
//! A push claims the tail position by compare-and-swap, writes the item, and sets the stamp; a pop does
//! the same at the head. So neither ever waits for a lock, and a full ring is recognized by the stamp
//! alone, without reading the head, which the consumer keeps changing. (This is Dmitry Vyukov's bounded
//! queue; docs/decisions/0010-own-ring.md.)
//!
//! Closing sets a bit *in the tail*: a push that claimed its position before is in the ring, and every
//! later one fails its compare-and-swap. Nothing can be accepted and then left behind.
//!
//! The ring wakes nobody, counts no losses, and does not decide what happens when it is full.

use crate::order::{Place, weakened};
use crate::ring::cell::Cell;
use crate::sync::{AtomicU64, spin_loop, yield_now};
use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

mod cell;

/// How many items are taken out under one change of the head. Their slots become free only when all of
/// them are read, which for this many takes a microsecond.
const CLAIM_MAX: usize = 32;

pub(crate) struct Ring<T> {
    /// Position of the next push, and whether the ring is closed.
    tail: CacheLine<AtomicU64>,
    /// Position of the oldest item.
    head: CacheLine<AtomicU64>,
    slots: Box<[Slot<T>]>,
    /// The bit of the tail that marks the ring as closed. The bits below it are a position's index.
    closed: u64,
}

/// Alone on its cache lines, so that producers and consumers do not slow each other down.
#[repr(align(128))]
struct CacheLine<V>(V);

struct Slot<T> {
    stamp: AtomicU64,
    item: Cell<T>,
}

/// Why there is no position for an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// A position at the tail that this thread alone has claimed. It must be filled at once: the items that come
/// after it wait for it, and so do the consumers.
#[must_use = "a position that is never filled ends the ring"]
pub(crate) struct Claimed<'a, T> {
    slot: &'a Slot<T>,
    tail: u64,
}

impl<T> Claimed<'_, T> {
    #[inline]
    pub(crate) fn fill(self, item: T) {
        self.fill_then(item, |_| {});
    }

    /// Stores the item, and calls `finish` on it where it is now.
    #[inline]
    pub(crate) fn fill_then(self, item: T, finish: impl FnOnce(&mut T)) {
        // Only `finish` can panic. Then the item is there, and those behind it must not wait forever.
        let _filled = Filled(&self);
        // SAFETY: this thread alone has claimed the position, and its slot is free.
        unsafe { self.slot.item.write(item, finish) };
    }
}

/// Hands a filled slot to the consumers when it goes out of scope.
struct Filled<'a, T>(&'a Claimed<'a, T>);

impl<T> Drop for Filled<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let Claimed { slot, tail } = self.0;
        let is_weak = weakened::is(Place::Stamp);
        // mutant: ring_stamp_without_release
        slot.stamp.store(tail + 1, if is_weak { Relaxed } else { Release });
    }
}

/// The result of a pop.
pub(crate) enum Taken<T> {
    One(T),
    /// The ring is empty.
    Empty,
    /// The ring is empty and closed.
    Ended,
}

// SAFETY: an item is written by the thread that claimed its position and read by the one that claimed it
// for a pop, with a release and an acquire of the stamp in between; so items only move between threads.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; no reference to an item is ever shared.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// A ring for `capacity` items, at least 1; `None` if there is not enough memory.
    pub(crate) fn new(capacity: usize) -> Option<Self> {
        assert!(capacity > 0, "the settings of a buffer refuse a ring without slots");
        let mut slots = Vec::new();
        slots.try_reserve_exact(capacity).ok()?;
        let slot = |index| Slot { stamp: AtomicU64::new(index as u64), item: Cell::empty() };
        slots.extend((0..capacity).map(slot));
        Some(Self {
            tail: CacheLine(AtomicU64::new(0)),
            head: CacheLine(AtomicU64::new(0)),
            slots: slots.into_boxed_slice(),
            // Larger than every index plus one, so that the stamp of a filled last slot does not look
            // closed.
            closed: (capacity as u64 + 1).next_power_of_two(),
        })
    }

    /// Claims the position at the tail. Never waits: a slot whose item is being read at this moment counts
    /// as full.
    ///
    /// Claim and item are apart so that an item is moved once, from the caller into its slot, and not
    /// through a result that would hand it back.
    #[inline]
    pub(crate) fn reserve(&self) -> Result<Claimed<'_, T>, Refused> {
        let mut tail = self.tail.load(Relaxed);
        let mut backoff = Backoff::default();
        loop {
            if tail & self.closed != 0 {
                return Err(Refused::Closed);
            }
            let slot = self.slot(tail);
            // mutant: ring_push_without_acquire
            if slot.stamp.load(Acquire) == tail {
                // `SeqCst` is for the wake-up: a waiter sees this, or is seen (`wake.rs`).
                match self.tail.compare_exchange_weak(tail, self.next(tail), SeqCst, Relaxed) {
                    Ok(_) => return Ok(Claimed { slot, tail }),
                    Err(_) => backoff.pause(),
                }
            } else if self.tail.load(Relaxed) == tail {
                return Err(Refused::Full);
            }
            tail = self.tail.load(Relaxed);
        }
    }

    /// Stores an item at the tail, or drops it.
    #[cfg(test)]
    pub(crate) fn push(&self, item: T) -> Result<(), Refused> {
        self.reserve().map(|claimed| claimed.fill(item))
    }

    /// Stores the item, which is there, at the tail, or leaves it where it is.
    pub(crate) fn offer(&self, item: &mut Option<T>) -> Result<(), Refused> {
        let claimed = self.reserve()?;
        claimed.fill(item.take().expect("an item is offered until it is taken"));
        Ok(())
    }

    /// Takes the oldest item out.
    pub(crate) fn pop(&self) -> Taken<T> {
        match self.claim(1) {
            Claim::Some { head, .. } => Taken::One(self.take(head)),
            Claim::Empty => Taken::Empty,
            Claim::Ended => Taken::Ended,
        }
    }

    /// Moves up to `max` of the oldest items to the end of `batch`; returns how many.
    pub(crate) fn pop_into(&self, batch: &mut Vec<T>, max: usize) -> usize {
        // Items that are pushed meanwhile are left alone, or this might never end.
        let (mut count, max) = (0, max.min(self.len()));
        while count < max {
            let wanted = (max - count).min(CLAIM_MAX);
            // What is claimed must be read: nothing may panic between the claim and the last slot.
            batch.reserve(wanted);
            let Claim::Some { mut head, len } = self.claim(wanted) else { break };
            for _ in 0..len {
                batch.push(self.take(head));
                head = self.next(head);
            }
            count += len;
        }
        count
    }

    /// Ends the intake.
    pub(crate) fn close(&self) {
        // mutant: ring_close_in_two_steps
        self.tail.fetch_or(self.closed, SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tail.load(SeqCst) & self.closed != 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Number of items in the ring, including those of pushes that have claimed a position and not yet
    /// written it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // In this order the difference is never negative. It may be too large, by items that came and
        // went in between.
        let taken = self.taken();
        ((self.pushed() - taken) as usize).min(self.capacity())
    }

    /// Number of items ever stored.
    pub(crate) fn pushed(&self) -> u64 {
        self.count(self.tail.load(SeqCst))
    }

    /// Number of items ever taken out.
    pub(crate) fn taken(&self) -> u64 {
        self.count(self.head.load(SeqCst))
    }

    /// Claims up to `max` positions at the head that hold items.
    pub(crate) fn claim(&self, max: usize) -> Claim {
        let mut head = self.head.load(Relaxed);
        let mut spin = SpinWait::default();
        loop {
            let (mut end, mut len) = (head, 0);
            // mutant: ring_claim_without_acquire
            while len < max && self.slot(end).stamp.load(Acquire) == end + 1 {
                end = self.next(end);
                len += 1;
            }
            if len > 0 {
                match self.head.compare_exchange_weak(head, end, AcqRel, Relaxed) {
                    Ok(_) => return Claim::Some { head, len },
                    Err(now) => head = now,
                }
                continue;
            }
            let tail = self.tail.load(SeqCst);
            if tail == head || max == 0 {
                return Claim::Empty;
            }
            if tail == head | self.closed {
                return Claim::Ended;
            }
            // A push has claimed the position and is about to fill it, or another consumer was faster.
            spin.wait();
            head = self.head.load(Relaxed);
        }
    }

    /// Reads the item of a claimed position and frees its slot.
    fn take(&self, head: u64) -> T {
        let slot = self.slot(head);
        // SAFETY: this call alone has claimed the position, and its stamp says that it holds an item.
        let item = unsafe { slot.item.read() };
        // mutant: ring_take_without_release
        slot.stamp.store(head + self.lap(), Release);
        item
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        &self.slots[(position & (self.closed - 1)) as usize]
    }

    #[inline]
    fn lap(&self) -> u64 {
        self.closed << 1
    }

    #[inline]
    fn next(&self, position: u64) -> u64 {
        if (position & (self.closed - 1)) + 1 < self.slots.len() as u64 {
            position + 1
        } else {
            (position & !(self.lap() - 1)) + self.lap()
        }
    }

    /// Number of positions before this one.
    #[inline]
    fn count(&self, position: u64) -> u64 {
        let laps = position >> self.lap().trailing_zeros();
        laps * self.slots.len() as u64 + (position & (self.closed - 1))
    }
}

/// The result of claiming positions for a pop.
pub(crate) enum Claim {
    Some { head: u64, len: usize },
    Empty,
    Ended,
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // No other thread uses the ring any more, so every claimed position is filled.
        while let Taken::One(item) = self.pop() {
            drop(item);
        }
    }
}

impl<V> Deref for CacheLine<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

/// Keeps producers from competing for the tail: each time another one was faster, a producer pauses
/// twice as long as before. With these lengths two producers are as fast as with the bare queue of
/// crossbeam (`push_row200_two_producers`, docs/benchmarks.md); without a pause they took three times
/// as long.
#[derive(Default)]
struct Backoff(u32);

impl Backoff {
    #[inline]
    fn pause(&mut self) {
        const DOUBLINGS: u32 = 5;
        if cfg!(not(any(loom, shuttle))) {
            (0..4 << self.0.min(DOUBLINGS)).for_each(|_| spin_loop());
        }
        self.0 += 1;
    }
}

/// For a wait that lasts a few instructions of another thread, unless that thread was preempted.
#[derive(Default)]
struct SpinWait(u32);

impl SpinWait {
    fn wait(&mut self) {
        const SPINS: u32 = 16;
        self.0 += 1;
        if self.0 < SPINS && cfg!(not(any(loom, shuttle))) {
            spin_loop();
        } else {
            yield_now();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn positions_count_up_over_laps_for_every_capacity() {
        for capacity in 1..20 {
            let ring = Ring::<u8>::new(capacity).unwrap();
            let mut position = 0;
            for count in 0..200 {
                assert_eq!(ring.count(position), count);
                assert_eq!(ring.count(position | ring.closed), count, "closing changes no count");
                position = ring.next(position);
            }
        }
    }

    #[test]
    fn a_full_ring_hands_back_and_a_closed_one_ends_when_it_is_empty() {
        let ring = Ring::new(2).unwrap();
        assert!(matches!(ring.pop(), Taken::Empty));
        assert_eq!([ring.push('a'), ring.push('b')], [Ok(()), Ok(())]);
        let mut left = Some('c');
        assert_eq!((ring.offer(&mut left), left), (Err(Refused::Full), Some('c')));
        ring.close();
        assert_eq!((ring.offer(&mut left), left), (Err(Refused::Closed), Some('c')));
        assert!(matches!(ring.pop(), Taken::One('a')));
        let mut batch = Vec::new();
        assert_eq!(ring.pop_into(&mut batch, 9), 1);
        assert!(matches!(ring.pop(), Taken::Ended));
        assert_eq!((ring.pushed(), ring.taken(), ring.len()), (2, 2, 0));
    }

    #[test]
    fn many_laps_in_batches_keep_the_order() {
        for capacity in [1, 2, 3, 31, 32, 33, 100] {
            let ring = Ring::new(capacity).unwrap();
            let (mut next_in, mut batch) = (0, Vec::new());
            while next_in < 2_000 {
                while ring.push(next_in).is_ok() {
                    next_in += 1;
                }
                assert_eq!(ring.len(), capacity);
                ring.pop_into(&mut batch, 1 + next_in % (capacity + 3));
            }
            ring.pop_into(&mut batch, usize::MAX);
            assert!(batch.into_iter().eq(0..next_in), "capacity {capacity}");
        }
    }

    #[test]
    fn items_left_in_the_ring_are_dropped_with_it() {
        let item = Arc::new(());
        let ring = Ring::new(4).unwrap();
        for _ in 0..3 {
            assert_eq!(ring.push(Arc::clone(&item)), Ok(()));
        }
        assert!(matches!(ring.pop(), Taken::One(_)));
        drop(ring);
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
