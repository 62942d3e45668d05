//! Durations and times as attributes have them: seconds as a floating-point number, which may be anything.

use std::time::{Duration, SystemTime};

/// A duration; zero if the number is not a valid one.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The time that is this long after the beginning of 1970; that beginning if there is no such time.
pub(crate) fn time(seconds: f64) -> SystemTime {
    let begin = SystemTime::UNIX_EPOCH;
    begin.checked_add(duration(seconds)).unwrap_or(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_a_time_is_the_beginning_of_1970() {
        let begin = SystemTime::UNIX_EPOCH;
        assert_eq!(time(1.5), begin + Duration::from_millis(1_500));
        for number in [-1.0, f64::NAN, f64::INFINITY, 1e300, i64::MAX as f64, u64::MAX as f64] {
            assert_eq!(time(number), begin, "{number}");
        }
    }
}
