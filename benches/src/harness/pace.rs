//! Steps at a steady rate: short bursts on a fixed timetable.

use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};

/// What the thread does between two bursts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// It computes, as a training loop of that rate does; its core stays its own, and awake.
    Computes,
    /// It sleeps, and leaves the core to others.
    Sleeps,
}

/// Calls `burst` every so often with its number, for as long as told. A burst that comes late is made
/// up for by the next ones, so that the rate holds; one that is very late is given up.
pub(crate) fn keep<E>(
    every: Duration,
    for_time: Duration,
    between: Between,
    mut burst: impl FnMut(usize) -> Result<(), E>,
) -> Result<usize, E> {
    let bursts = (for_time.as_nanos() / every.as_nanos()) as usize;
    let mut due = Instant::now();
    for number in 0..bursts {
        let now = Instant::now();
        match between {
            Between::Sleeps => thread::sleep(due.saturating_duration_since(now)),
            Between::Computes => {
                while Instant::now() < due {
                    spin_loop();
                }
            }
        }
        // More than 50 ms behind: the machine stood still, and a flood would measure something else.
        due = due.max(now.checked_sub(50 * every).unwrap_or(due)) + every;
        burst(number)?;
    }
    Ok(bursts)
}
