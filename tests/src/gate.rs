//! A gate: whoever comes to it waits until it is opened.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Closed at first; once opened it stays open.
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
    /// Waits until it is open.
    pub fn pass(&self) {
        let mut state = self.state();
        state.has_come = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.is_open));
    }

    /// Waits until somebody has come, for so long at the most; says whether anybody has.
    pub fn has_somebody_within(&self, patience: Duration) -> bool {
        let waited =
            self.changed.wait_timeout_while(self.state(), patience, |state| !state.has_come);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_come
    }

    /// Opens it.
    pub fn open(&self) {
        self.state().is_open = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
