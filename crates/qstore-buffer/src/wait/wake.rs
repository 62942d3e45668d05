//! How a push wakes a waiting consumer, at no cost when none waits.
//!
//! `wake_at` is 0 while no consumer waits, and n while one wants to be woken as soon as n items are in
//! the ring. A push therefore reads one word; only when it completes the n does it swap the word to 0
//! and wake. A background writer asks for half the ring and looks by itself every few milliseconds, so
//! pushes almost never pay for a wake-up (one costs 11–15 µs in the pushing thread, docs/benchmarks.md);
//! a `pop` that waits, and a task, ask for 1.
//!
//! A wake-up cannot be lost. The consumer swaps `wake_at`, then reads the ring's tail; the producer
//! moves the tail, then reads `wake_at`. All four accesses are sequentially consistent, so at least one
//! of the two sees the other; on x86 that costs a push nothing beyond the compare-and-swap it does
//! anyway. Every write of `wake_at` is a read-modify-write. These have a single order, so a wake-up
//! without a push, such as that of a close, either finds the consumer waiting or is seen by it.
//! `tests/models.rs` runs this under every interleaving, and removes each of these orders to see the
//! model fail.

use crate::order::{Place, fence_for_loom, weakened};
use crate::sync::{AtomicUsize, AtomicWaker, Thread, current, park, park_timeout};
use crate::wait::wait_queue::{WaitQueue, Waiter};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Wakeup {
    wake_at: AtomicUsize,
    /// That of the active waiter.
    waker: AtomicWaker,
    /// Gives the only waker to one waiting consumer at a time. A producer takes its lock only when it
    /// wakes a consumer while others are queued.
    queue: WaitQueue,
}

impl Wakeup {
    pub(crate) fn new() -> Self {
        Self { wake_at: AtomicUsize::new(0), waker: AtomicWaker::new(), queue: WaitQueue::new() }
    }

    /// Called after every push. `len` counts the items in the ring, and is called only if a consumer
    /// waits for more than one.
    #[inline]
    pub(crate) fn pushed(&self, len: impl FnOnce() -> usize) {
        // mutant: wake_push_without_its_order
        fence_for_loom(Place::Push);
        let wanted = self.wake_at.load(SeqCst);
        if wanted != 0 && (wanted == 1 || len() >= wanted) {
            self.wake();
        }
    }

    /// Wakes the active waiter, however many items it waits for.
    #[cold]
    pub(crate) fn wake(&self) {
        if self.change(0) != 0 {
            self.waker.wake();
            self.queue.hand_off(|| self.is_announced());
        }
    }

    /// Waits until about `wanted` items are in the ring, [`wake`](Self::wake) is called, `is_ready`
    /// holds, or the deadline passes. May return early: the caller checks again.
    pub(crate) fn wait(
        &self,
        wanted: usize,
        deadline: Option<Instant>,
        is_ready: impl Fn() -> bool,
    ) {
        let waker = Waker::from(Arc::new(Unpark(current())));
        let mut guard = LeaveOnDrop { wakeup: self, waiter: None };
        while !self.announce(&mut guard.waiter, wanted, &waker) {
            if !rest(deadline) {
                return;
            }
        }
        if !is_ready() {
            rest(deadline);
        }
    }

    /// Like [`wait`](Self::wait) for one item, for a task: `Ready` means check again. The task must
    /// [leave](Self::leave) when it is done.
    pub(crate) fn poll(
        &self,
        waiter: &mut Option<Waiter>,
        context: &Context<'_>,
        is_ready: impl Fn() -> bool,
    ) -> Poll<()> {
        let waker = context.waker();
        if self.announce(waiter, 1, waker) && is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Removes a waiter; the next one in the queue becomes active.
    pub(crate) fn leave(&self, waiter: Waiter) {
        let mut waker = None;
        self.queue.leave(waiter, || {
            self.change(0);
            waker = self.waker.take();
        });
        // Dropped outside the queue's lock, like every waker.
        drop(waker);
    }

    /// Announces that this waiter waits, if it is the active one; if not, it is woken when it is.
    fn announce(&self, waiter: &mut Option<Waiter>, wanted: usize, waker: &Waker) -> bool {
        let announced = self.queue.enqueue(
            waiter,
            waker,
            || self.is_announced(),
            || {
                self.waker.register(waker);
                self.change(wanted);
            },
        );
        // mutant: wake_wait_without_its_order
        fence_for_loom(Place::Wait);
        announced
    }

    /// Whether the active waiter still waits, that is, was not woken yet.
    fn is_announced(&self) -> bool {
        self.wake_at.load(SeqCst) != 0
    }

    /// Sets the number of items waited for and returns the previous one; always a read-modify-write.
    fn change(&self, wake_at: usize) -> usize {
        if weakened::is(Place::Change) {
            let before = self.wake_at.load(SeqCst);
            self.wake_at.store(wake_at, SeqCst);
            return before;
        }
        // mutant: wake_change_in_two_steps
        self.wake_at.swap(wake_at, SeqCst)
    }
}

/// Sleeps until this thread is woken, for whatever reason; `false` once the time is up.
fn rest(deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        park();
        return true;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    park_timeout(left);
    true
}

struct LeaveOnDrop<'a> {
    wakeup: &'a Wakeup,
    waiter: Option<Waiter>,
}

impl Drop for LeaveOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.wakeup.leave(waiter);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
