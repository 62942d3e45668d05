//! The clock that deadlines and pauses go by. Tests replace it, so that an hour without a network takes no time.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A clock that can be waited for.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time since some moment in the past; it never goes back.
    fn now(&self) -> Duration;

    /// Returns when this much time has passed.
    fn sleep(&self, pause: Duration);
}

/// The clock of the system, which does not follow changes of the date.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

/// A clock that moves only when somebody sleeps.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct SimulatedClock {
    nanos: AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl Clock for SimulatedClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(SeqCst))
    }

    fn sleep(&self, pause: Duration) {
        self.nanos.fetch_add(pause.as_nanos() as u64, SeqCst);
    }
}
