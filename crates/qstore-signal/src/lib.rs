//! Ends a training loop from outside: by Ctrl-C, or by the scheduler's SIGTERM.
//!
//! [`StopSignal`] is a flag that the first such signal sets. The loop checks it between two steps, ends,
//! and stops its logger and its checkpoints as usual, so that nothing is lost. The second signal ends the
//! process at once, in case the loop does not check.
//!
//! What it is **not**: it stops nothing itself, runs none of your code inside a signal handler, and
//! starts no thread. Depend on it alone if you like; it depends on no other crate of the set.
//!
//! How it differs from `ctrlc`: there is no callback and no thread, SIGTERM is included, and a second
//! signal ends the process with the exit code that a shell expects. From `signal-hook`, on which it is
//! built: two signals, one flag, and nothing to configure.
//!
//! ```no_run
//! use qstore_signal::StopSignal;
//!
//! let stop = StopSignal::install()?;
//! for step in 0..1_000_000 {
//!     // … train and log the step …
//!     if stop.is_set() {
//!         println!("stopping after step {step}");
//!         break;
//!     }
//! }
//! // … save a last checkpoint, stop the logger …
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// A flag that the first SIGINT or SIGTERM sets. Clones share it.
///
/// ```
/// use qstore_signal::StopSignal;
///
/// let stop = StopSignal::install()?;
/// let worker = stop.clone(); // for other threads
/// assert!(!worker.is_set());
/// # #[cfg(unix)] {
/// signal_hook::low_level::raise(signal_hook::consts::SIGTERM)?; // as `kill` would
/// assert!(stop.is_set() && worker.is_set());
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct StopSignal {
    is_set: Arc<AtomicBool>,
}

impl StopSignal {
    /// Handles SIGINT and SIGTERM for the rest of the process: the first of either sets the flag, the next
    /// one ends the process with the exit code 128 + its number, as a shell expects.
    ///
    /// # Errors
    /// When the system does not install the handler.
    pub fn install() -> io::Result<Self> {
        let is_set = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and then sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_set))?;
            flag::register(signal, Arc::clone(&is_set))?;
        }
        Ok(Self { is_set })
    }

    /// Whether a signal has arrived. Costs one load, so a loop can check it at every step.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }
}
