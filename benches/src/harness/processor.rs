//! Processor time: of this process, of this thread, and so of all that happens in the background.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Seconds of processor time that all threads of this process have had.
pub(crate) fn of_process() -> f64 {
    seconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// Seconds of processor time that the calling thread has had.
pub(crate) fn of_this_thread() -> f64 {
    seconds(clock_gettime(ClockId::ThreadCPUTime))
}

fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn a_thread_that_computes_takes_time_of_the_process() {
        let (thread, process) = (of_this_thread(), of_process());
        black_box((0..3_000_000_u64).fold(1, |a, b| black_box(a ^ b)));
        let (thread, process) = (of_this_thread() - thread, of_process() - process);
        // The process began to count later and ended later, so it can only have more.
        assert!(thread > 0.0 && process > thread * 0.9, "{thread} {process}");
    }
}
