//! Reaches a sink from outside: between two rounds of its thread, and after the thread has ended without
//! closing it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A call that uses the sink.
pub(crate) type Visit<S> = Box<dyn FnOnce(&mut S) + Send>;

/// What the handle and the thread share.
pub(crate) struct Visits<S> {
    state: Mutex<State<S>>,
}

struct State<S> {
    waiting: Vec<Visit<S>>,
    /// What the thread has left behind.
    left: Option<S>,
    has_ended: bool,
}

impl<S> Default for Visits<S> {
    fn default() -> Self {
        let state = State { waiting: Vec::new(), left: None, has_ended: false };
        Self { state: Mutex::new(state) }
    }
}

impl<S> Visits<S> {
    /// Queues a call, or makes it here if the thread has left its sink behind. It is dropped if there is no
    /// sink any longer.
    pub(crate) fn push(&self, visit: Visit<S>) {
        let mut state = self.lock();
        if let Some(sink) = &mut state.left {
            visit(sink);
        } else if !state.has_ended {
            state.waiting.push(visit);
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Takes the calls that wait.
    pub(crate) fn take(&self) -> Vec<Visit<S>> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// The thread has ended, and perhaps left its sink behind. What waits is dropped.
    pub(crate) fn end(&self, left: Option<S>) {
        let mut state = self.lock();
        state.waiting.clear();
        state.has_ended = true;
        state.left = left;
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
