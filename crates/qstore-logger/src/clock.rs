//! The time of day, at a third of the cost of the system clock (docs/benchmarks.md).
//!
//! The processor's cycle counter gives the time that has passed, and the system clock, read once a second,
//! the time of day it started from. If there is no reliable cycle counter, the library falls back to the
//! system's monotonic clock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

/// How often the system clock is read, in nanoseconds.
const ANCHOR_EVERY: u64 = 1_000_000_000;

/// Within some microseconds of the system clock; follows its steps within a second.
pub(crate) struct Clock {
    counter: quanta::Clock,
    /// The counter at the start.
    zero: u64,
    /// The time of day at the start, by the latest reading, in nanoseconds since 1970.
    epoch: AtomicU64,
    /// The latest reading of the system clock, in nanoseconds since the start.
    anchored: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let counter = quanta::Clock::new();
        let zero = counter.raw();
        let clock = Self { counter, zero, epoch: AtomicU64::new(0), anchored: AtomicU64::new(0) };
        clock.anchor();
        clock
    }

    /// Seconds since 1970-01-01 UTC.
    #[inline]
    pub(crate) fn now(&self) -> f64 {
        let passed = self.passed();
        if passed.saturating_sub(self.anchored.load(Relaxed)) > ANCHOR_EVERY {
            self.anchor();
        }
        // The two need not belong to the same reading: each is right to within the clock's accuracy.
        self.epoch.load(Relaxed).wrapping_add(passed) as f64 * 1e-9
    }

    #[inline]
    fn passed(&self) -> u64 {
        self.counter.delta_as_nanos(self.zero, self.counter.raw())
    }

    /// A clock before 1970 reads as 1970.
    #[cold]
    fn anchor(&self) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.map_or(0, |since| since.as_nanos() as u64);
        let passed = self.passed();
        self.epoch.store(time.wrapping_sub(passed), Relaxed);
        self.anchored.store(passed, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_between_two_readings_of_the_system_clock() {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let clock = Clock::new();
        // Far more than the accuracy: this finds a wrong unit or epoch.
        let tolerance = 0.1;
        for round in 0..3 {
            let (before, now, after) = (system(), clock.now(), system());
            assert!(before - tolerance < now && now < after + tolerance, "{before} {now} {after}");
            // As if the last reading were long ago, and the system clock had been set since.
            clock.epoch.fetch_add(round * 3_600 * ANCHOR_EVERY, Relaxed);
            clock.anchored.store(0, Relaxed);
            if round > 0 && clock.passed() <= ANCHOR_EVERY {
                clock.anchor();
            }
        }
    }
}
