//! A gate that holds threads until a test opens it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Closed at first; once opened it stays open.
///
/// ```
/// use qstore_storage::testing::Gate;
/// use std::{sync::Arc, thread};
///
/// let gate = Arc::new(Gate::default());
/// let held = thread::spawn({
///     let gate = Arc::clone(&gate);
///     move || gate.pass()
/// });
/// gate.wait_for_somebody(); // the thread is at the gate, and stays there
/// gate.open();
/// held.join().unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    has_come: bool,
}

impl Gate {
    /// Waits until the gate is open.
    pub fn pass(&self) {
        let mut state = self.state();
        state.has_come = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.is_open));
    }

    /// Waits until a thread has arrived.
    pub fn wait_for_somebody(&self) {
        drop(self.changed.wait_while(self.state(), |state| !state.has_come));
    }

    /// Waits at most `patience` for a thread to arrive. Returns whether one has.
    pub fn has_somebody_within(&self, patience: Duration) -> bool {
        let waited =
            self.changed.wait_timeout_while(self.state(), patience, |state| !state.has_come);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_come
    }

    /// Opens the gate.
    pub fn open(&self) {
        self.state().is_open = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
