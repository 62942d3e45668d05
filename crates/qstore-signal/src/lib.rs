//! A way to end a training loop from outside: Ctrl-C, or the scheduler's SIGTERM.
//!
//! [`StopSignal`] is a flag that the first such signal sets. The loop looks at it between two steps,
//! leaves, and stops its logger and its checkpoints as it always does; nothing is lost. The second
//! signal ends the process at once, for the person whose loop does not look.
//!
//! What it is **not**: it stops nothing itself, runs no code of yours inside a signal handler, and
//! starts no thread. Depend on it alone if you like; it knows nothing of the rest of the set.
//!
//! ```no_run
//! use qstore_signal::StopSignal;
//!
//! let stop = StopSignal::install()?;
//! for step in 0..1_000_000 {
//!     // … train and log the step …
//!     if stop.is_set() {
//!         println!("asked to stop after step {step}");
//!         break;
//!     }
//! }
//! // … save a last checkpoint, stop the logger …
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Set by the first SIGINT or SIGTERM. Clones are the same flag.
#[derive(Debug, Clone)]
pub struct StopSignal {
    is_set: Arc<AtomicBool>,
}

impl StopSignal {
    /// Takes over SIGINT and SIGTERM for the rest of the process: the first of either sets the flag,
    /// the next ends the process with the code 128 + its number, as a shell expects.
    ///
    /// # Errors
    /// When the system refuses to install the handler.
    pub fn install() -> io::Result<Self> {
        let is_set = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and then sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_set))?;
            flag::register(signal, Arc::clone(&is_set))?;
        }
        Ok(Self { is_set })
    }

    /// Whether somebody asked to stop. Costs one load.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }
}
