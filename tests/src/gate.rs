//! A gate: whoever comes to it waits until it is opened.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

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

    /// Waits until somebody has come.
    pub fn wait_for_somebody(&self) {
        drop(self.changed.wait_while(self.state(), |state| !state.has_come));
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
