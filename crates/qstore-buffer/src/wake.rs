//! How a push wakes a waiting consumer without paying for it when nobody waits.
//!
//! `wake_at` is 0 while no consumer waits, and n while one wants to be woken as soon as n items are
//! inside. A push therefore reads one word; only when it finds that it completes the n does it swap
//! the word to 0 and wake. A background writer asks for half the ring and looks by itself every few
//! milliseconds, so that pushes practically never pay for a wake-up (one costs 11–15 µs in the
//! pushing thread); a `pop` that waits, and a task, ask for 1.
//!
//! A wake-up cannot be lost. The consumer swaps `wake_at`, then reads the ring's tail; the producer
//! moves the tail, then reads `wake_at`. All four are sequentially consistent, so that one of them
//! sees the other; on x86 that costs a push nothing beyond the compare-and-swap it does anyway. Every
//! write of `wake_at` is a read-modify-write: these have one order, so that whoever wakes without a
//! push, after a close say, finds the consumer waiting, or is found by it. `models.rs` runs this under
//! every order of steps, and takes each of these away to see it fail.

use crate::order::{Place, fence_for_loom, weakened};
use crate::seat::{Seat, Ticket};
use crate::sync::{AtomicUsize, AtomicWaker, Thread, current, park, park_timeout};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Wakeup {
    wake_at: AtomicUsize,
    /// Of whoever sits.
    waker: AtomicWaker,
    /// Admits one waiting consumer to the only waker. A producer takes its lock only when it wakes
    /// somebody while others stand in line.
    seat: Seat,
}

impl Wakeup {
    pub(crate) fn new() -> Self {
        Self { wake_at: AtomicUsize::new(0), waker: AtomicWaker::new(), seat: Seat::new() }
    }

    /// To be called after every push; `len` counts the items inside and is asked only if somebody
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

    /// Wakes whoever waits, however much he waits for.
    #[cold]
    pub(crate) fn wake(&self) {
        if self.change(0) != 0 {
            self.waker.wake();
            self.seat.pass_on(|| self.is_announced());
        }
    }

    /// Waits until about `wanted` items are inside, [`wake`](Self::wake) was called, `is_ready`, or
    /// the deadline. May return early: the caller looks again.
    pub(crate) fn wait(
        &self,
        wanted: usize,
        deadline: Option<Instant>,
        is_ready: impl Fn() -> bool,
    ) {
        let waker = Waker::from(Arc::new(Unpark(current())));
        let mut leaves = Leaves(self, None);
        while !self.announce(&mut leaves.1, wanted, &waker) {
            if !rest(deadline) {
                return;
            }
        }
        if !is_ready() {
            rest(deadline);
        }
    }

    /// As [`wait`](Self::wait) for one item, for a task: `Ready` means look again. The ticket is to be
    /// [given back](Self::leave) when the task is done.
    pub(crate) fn poll(
        &self,
        ticket: &mut Option<Ticket>,
        context: &Context<'_>,
        is_ready: impl Fn() -> bool,
    ) -> Poll<()> {
        let waker = context.waker();
        if self.announce(ticket, 1, waker) && is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits no longer; the next in line may.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut waker = None;
        self.seat.leave(ticket, || {
            self.change(0);
            waker = self.waker.take();
        });
        // Dropped outside the seat's lock, as any waker is.
        drop(waker);
    }

    /// Says that this one waits, if it has the seat; if not, it is woken when it has.
    fn announce(&self, ticket: &mut Option<Ticket>, wanted: usize, waker: &Waker) -> bool {
        let announced = self.seat.act(
            ticket,
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

    /// Whether somebody waits who was not woken yet.
    fn is_announced(&self) -> bool {
        self.wake_at.load(SeqCst) != 0
    }

    /// Always a read-modify-write.
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

/// Sleeps until somebody wakes this thread, or something does; `false` once the time is up.
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

struct Leaves<'a>(&'a Wakeup, Option<Ticket>);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.1 {
            self.0.leave(ticket);
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
