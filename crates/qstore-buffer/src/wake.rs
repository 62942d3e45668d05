//! How a push wakes a waiting consumer without paying for it when nobody waits.
//!
//! `wake_at` is 0 while no consumer waits, and n while one wants to be woken as soon as n items are
//! inside. A push therefore reads one word; only when it finds that it completes the n does it swap
//! the word to 0 and wake. A background writer asks for half the ring and looks by itself every few
//! milliseconds, so that pushes practically never pay for a wake-up (one costs 11–15 µs in the
//! pushing thread); a `pop` that waits asks for 1.
//!
//! A wake-up cannot be lost: the consumer publishes `wake_at`, then looks at the ring; the producer
//! stores the item, then looks at `wake_at`; a sequentially consistent fence between the two halves
//! of both makes one of them see the other. Every write of `wake_at` is a read-modify-write, so that
//! two producers cannot both miss the change.

use atomic_waker::AtomicWaker;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use std::sync::atomic::{AtomicUsize, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    wake_at: AtomicUsize,
    waker: AtomicWaker,
    seat: Seat,
}

impl Wakeup {
    /// To be called after every push; `len` counts the items inside and is asked only if somebody
    /// waits for more than one.
    #[inline]
    pub(crate) fn pushed(&self, len: impl FnOnce() -> usize) {
        fence(SeqCst);
        let wanted = self.wake_at.load(Relaxed);
        if wanted != 0 && (wanted == 1 || len() >= wanted) {
            self.wake();
        }
    }

    /// Wakes whoever waits, however much he waits for.
    #[cold]
    pub(crate) fn wake(&self) {
        fence(SeqCst);
        if self.wake_at.swap(0, AcqRel) != 0 {
            self.waker.wake();
        }
    }

    /// Waits until about `wanted` items are inside, [`wake`](Self::wake) was called, `is_ready`, or
    /// the deadline. May return early: the caller looks again. Only one thread sits here at a time;
    /// others queue up for the seat.
    pub(crate) fn wait(
        &self,
        wanted: usize,
        deadline: Option<Instant>,
        is_ready: impl Fn() -> bool,
    ) {
        let Some(_seated) = self.seat.take(deadline) else { return };
        CURRENT.with(|waker| self.waker.register(waker));
        self.wake_at.swap(wanted, AcqRel);
        fence(SeqCst);
        if !is_ready() {
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
                }
            }
        }
        self.wake_at.swap(0, AcqRel);
    }
}

thread_local! {
    /// Wakes the current thread; made once per thread.
    static CURRENT: Waker = Waker::from(Arc::new(Unpark(thread::current())));
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

/// Admits one waiting consumer to the only waker. Producers never come near it.
#[derive(Debug, Default)]
struct Seat {
    is_taken: Mutex<bool>,
    freed: Condvar,
}

struct Seated<'a>(&'a Seat);

impl Seat {
    fn take(&self, deadline: Option<Instant>) -> Option<Seated<'_>> {
        let mut is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_taken {
            is_taken = match deadline {
                None => self.freed.wait(is_taken).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    let waited = self.freed.wait_timeout(is_taken, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *is_taken = true;
        Some(Seated(self))
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        *self.0.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}
