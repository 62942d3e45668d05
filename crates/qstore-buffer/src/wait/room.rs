//! How pushes wait for room, if the buffer's policy lets them.
//!
//! A consumer that made room reads one counter, after a fence; it takes the lock only if a producer
//! waits. A producer increments the counter, then retries under the lock: either it finds the room, or
//! the consumer finds it waiting.

use crate::order::{Place, full_fence};
use crate::sync::{AtomicUsize, Condvar, Mutex};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Room {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    made: Condvar,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), lock: Mutex::new(()), made: Condvar::new() }
    }

    /// Called after items were taken out, and after the close.
    pub(crate) fn made(&self) {
        // mutant: room_made_without_its_fence
        full_fence(Place::MadeRoom);
        if self.waiting.load(SeqCst) > 0 {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.made.notify_all();
        }
    }

    /// Calls `attempt` until it returns a result, or until the deadline.
    pub(crate) fn wait<A>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Option<A>,
    ) -> Option<A> {
        self.waiting.fetch_add(1, SeqCst);
        // mutant: room_wanted_without_its_fence
        full_fence(Place::WantRoom);
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let result = loop {
            if let Some(result) = attempt() {
                break Some(result);
            }
            guard = match deadline {
                None => self.made.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break None;
                    }
                    self.made.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        drop(guard);
        self.waiting.fetch_sub(1, SeqCst);
        result
    }
}
