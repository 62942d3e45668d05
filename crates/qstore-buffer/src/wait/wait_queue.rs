//! A slot for the one active waiter, and a first-in, first-out queue of the others.
//!
//! Only the active waiter can be woken by a push. It hands the slot off when it leaves: the next waiter
//! in the queue becomes active and is woken, so that a consumer that is woken, takes an item and goes
//! does not leave the others asleep beside the remaining items.
//!
//! An active waiter that was woken may lose the slot to another one, so that a task that is woken and
//! never polled again cannot keep the others asleep. The one that loses the slot is woken again,
//! because the only waker of the slot may by then be the other's. It looks for an item and, if there is
//! none, joins the queue.
//!
//! Why this is not `event-listener`: docs/decisions/0040-own-wait-queue.md.

use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;

#[derive(Debug)]
pub(crate) struct WaitQueue {
    state: Mutex<State>,
    /// Length of the queue: a push that wakes a consumer takes the lock only if it is not 0.
    queued: AtomicUsize,
}

/// Identifies a consumer from its first wait until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiter(u64);

#[derive(Debug, Default)]
struct State {
    active: Option<Entry>,
    queue: VecDeque<Entry>,
    waiters: u64,
}

#[derive(Debug)]
struct Entry {
    waiter: Waiter,
    waker: Waker,
}

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::default()), queued: AtomicUsize::new(0) }
    }

    /// Makes this waiter the active one and calls `activate` while no other can become active. If
    /// another waiter is active and `is_waiting`, this one joins the queue instead, the result is
    /// `false`, and `waker` is woken when its turn comes.
    pub(crate) fn enqueue(
        &self,
        waiter: &mut Option<Waiter>,
        waker: &Waker,
        is_waiting: impl Fn() -> bool,
        activate: impl FnOnce(),
    ) -> bool {
        let waker = waker.clone();
        let mut state = self.lock();
        let waiter = *waiter.get_or_insert_with(|| state.new_waiter());
        let previous = state.remove(waiter);
        // Before `is_waiting` is asked: a push that wakes the active waiter reads this afterwards.
        self.queued.store(state.queue.len() + 1, SeqCst);
        let is_taken = state.active.as_ref().is_some_and(|active| active.waiter != waiter);
        let must_queue = is_taken && is_waiting();
        let replaced = if must_queue {
            // A waiter that was in the queue keeps its position.
            let position = previous.as_ref().map_or(state.queue.len(), |(position, _)| *position);
            state.queue.insert(position, Entry { waiter, waker });
            None
        } else {
            let replaced = state.active.replace(Entry { waiter, waker });
            activate();
            replaced
        };
        self.queued.store(state.queue.len(), SeqCst);
        drop(state);
        // Wakers are called and dropped outside the lock: one may hold the last reference to its task,
        // whose destructor may run other code of the user.
        drop(previous);
        if let Some(replaced) = replaced.filter(|_| is_taken) {
            replaced.waker.wake();
        }
        !must_queue
    }

    /// Removes a waiter. The active one calls `deactivate` while no other can become active.
    pub(crate) fn leave(&self, waiter: Waiter, deactivate: impl FnOnce()) {
        let mut state = self.lock();
        if state.active.as_ref().is_some_and(|active| active.waiter == waiter) {
            deactivate();
            drop(self.activate_next(state));
            return;
        }
        let removed = state.remove(waiter);
        self.queued.store(state.queue.len(), SeqCst);
        drop(state);
        drop(removed);
    }

    /// Called after the active waiter was woken: makes the next waiter in the queue active and wakes it,
    /// unless a new active waiter `is_waiting` already.
    pub(crate) fn hand_off(&self, is_waiting: impl FnOnce() -> bool) {
        if self.queued.load(SeqCst) == 0 {
            return;
        }
        let state = self.lock();
        if state.queue.is_empty() || is_waiting() {
            return;
        }
        if let Some(replaced) = self.activate_next(state) {
            replaced.waker.wake();
        }
    }

    /// Makes the next waiter in the queue active and wakes it; returns the one that was active.
    fn activate_next(&self, mut state: MutexGuard<'_, State>) -> Option<Entry> {
        let next = state.queue.pop_front();
        let waker = next.as_ref().map(|next| next.waker.clone());
        let replaced = std::mem::replace(&mut state.active, next);
        self.queued.store(state.queue.len(), SeqCst);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        replaced
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter(self.waiters)
    }

    /// Takes a waiter out of the queue, with its position.
    fn remove(&mut self, waiter: Waiter) -> Option<(usize, Entry)> {
        let position = self.queue.iter().position(|entry| entry.waiter == waiter)?;
        self.queue.remove(position).map(|entry| (position, entry))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// A consumer, and how often it was woken.
    #[derive(Default)]
    struct Consumer {
        waiter: Option<Waiter>,
        bell: Arc<Bell>,
    }

    impl Consumer {
        /// Tries to become active while the active waiter waits, or no longer does.
        fn is_activated(&mut self, queue: &WaitQueue, is_waiting: bool) -> bool {
            let waker = Waker::from(Arc::clone(&self.bell));
            queue.enqueue(&mut self.waiter, &waker, || is_waiting, || {})
        }

        fn woken(&self) -> usize {
            self.bell.0.load(SeqCst)
        }
    }

    #[test]
    fn waiters_become_active_in_the_order_in_which_they_came() {
        let queue = WaitQueue::new();
        let mut consumers: [Consumer; 3] = Default::default();
        let active = consumers.each_mut().map(|consumer| consumer.is_activated(&queue, true));
        assert_eq!(active, [true, false, false]);
        queue.leave(consumers[0].waiter.unwrap(), || {});
        assert_eq!(consumers.each_ref().map(Consumer::woken), [0, 1, 0]);
        assert!(consumers[1].is_activated(&queue, true));
        assert!(!consumers[2].is_activated(&queue, true));
        queue.leave(consumers[2].waiter.unwrap(), || panic!("it is not the active one"));
        queue.leave(consumers[1].waiter.unwrap(), || {});
        assert_eq!(consumers.each_ref().map(Consumer::woken), [0, 1, 0]);
    }

    /// Regression: the slot's only waker may be the other's by then, and nobody woke the first.
    #[test]
    fn a_waiter_that_loses_the_slot_is_woken() {
        let queue = WaitQueue::new();
        let [mut first, mut second, mut third]: [Consumer; 3] = Default::default();
        assert!(first.is_activated(&queue, true));
        assert!(second.is_activated(&queue, false), "the first was woken, and no longer waits");
        assert_eq!((first.woken(), second.woken()), (1, 0));
        assert!(!first.is_activated(&queue, true), "it joins the queue when it comes back");

        assert!(!third.is_activated(&queue, true));
        queue.hand_off(|| true);
        assert_eq!([&first, &second, &third].map(Consumer::woken), [1, 0, 0]);
        queue.hand_off(|| false);
        assert_eq!([&first, &second, &third].map(Consumer::woken), [2, 1, 0]);
    }
}
