//! A point in time as a column of times holds it: a count of some unit since 1970-01-01.

use std::time::{Duration, SystemTime};

/// The unit that a [`Timestamp`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampUnit {
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
    /// Billionths of a second: until the year 2262, and not for every reader (Spark has none).
    Nanos,
}

impl TimestampUnit {
    /// How many of them a second has.
    #[must_use]
    pub const fn per_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }
}

/// A point in time: a number of milliseconds, microseconds or nanoseconds since 1970-01-01.
///
/// It is in UTC unless [`local`](Self::local) says otherwise. A column has one unit, that of its first
/// value; a later value in another unit is converted if that is exact.
///
/// ```
/// use qstore_schema::{Timestamp, TimestampUnit};
/// use std::time::{Duration, SystemTime};
///
/// let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
/// assert_eq!(Timestamp::from(started), Timestamp::micros(1_500_000));
///
/// let time = Timestamp::millis(1_500);
/// assert_eq!(time.count_in(TimestampUnit::Nanos), Some(1_500_000_000));
/// assert_eq!(Timestamp::nanos(1).count_in(TimestampUnit::Millis), None, "nothing is rounded");
/// assert!(time.is_utc() && !time.local().is_utc());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    count: i64,
    unit: TimestampUnit,
    is_utc: bool,
}

impl Timestamp {
    /// That many units since the beginning of 1970-01-01 UTC.
    #[must_use]
    pub const fn new(count: i64, unit: TimestampUnit) -> Self {
        Self { count, unit, is_utc: true }
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn millis(count: i64) -> Self {
        Self::new(count, TimestampUnit::Millis)
    }

    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn micros(count: i64) -> Self {
        Self::new(count, TimestampUnit::Micros)
    }

    /// Nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn nanos(count: i64) -> Self {
        Self::new(count, TimestampUnit::Nanos)
    }

    /// The same count, by the clock on the wall of a place that the file does not name; pandas has such
    /// times where no time zone was given.
    #[must_use]
    pub const fn local(self) -> Self {
        Self { is_utc: false, ..self }
    }

    /// How many units it is since 1970-01-01.
    #[must_use]
    pub const fn count(self) -> i64 {
        self.count
    }

    /// The unit that it counts.
    #[must_use]
    pub const fn unit(self) -> TimestampUnit {
        self.unit
    }

    /// Whether it is in UTC.
    #[must_use]
    pub const fn is_utc(self) -> bool {
        self.is_utc
    }

    /// The same time as a count of another unit; `None` if it lies between two of them, or is too far away.
    #[must_use]
    pub const fn count_in(self, unit: TimestampUnit) -> Option<i64> {
        let (from, to) = (self.unit.per_second(), unit.per_second());
        if to >= from {
            return self.count.checked_mul(to / from);
        }
        let larger = from / to;
        if self.count % larger == 0 { Some(self.count / larger) } else { None }
    }
}

/// In microseconds, which every reader knows; what is smaller is cut off. A time that is 290 000 years
/// away becomes the last one that can be stored.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self::micros(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => micros(since),
            Err(before) => {
                let before = before.duration();
                let is_cut = !before.subsec_nanos().is_multiple_of(1_000);
                (-micros(before)).saturating_sub(i64::from(is_cut))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_converted_to_another_unit_only_if_nothing_of_it_changes() {
        use TimestampUnit::{Micros, Millis, Nanos};
        for (time, unit, count) in [
            (Timestamp::millis(-3), Nanos, Some(-3_000_000)),
            (Timestamp::nanos(-3_000_000), Millis, Some(-3)),
            (Timestamp::nanos(-3_000_001), Millis, None),
            (Timestamp::micros(1_001), Millis, None),
            (Timestamp::micros(i64::MAX), Micros, Some(i64::MAX)),
            (Timestamp::micros(i64::MAX), Nanos, None),
            (Timestamp::millis(i64::MIN), Micros, None),
        ] {
            assert_eq!(time.count_in(unit), count, "{time:?}");
        }
    }

    #[test]
    fn the_time_of_the_system_is_cut_to_microseconds_before_and_after_1970() {
        let (epoch, micro) = (SystemTime::UNIX_EPOCH, Duration::from_micros(1));
        let part = Duration::from_nanos(300);
        for (time, micros) in [
            (epoch, 0),
            (epoch + micro + part, 1),
            (epoch - micro, -1),
            (epoch - part, -1),
            (epoch - micro - part, -2),
        ] {
            assert_eq!(Timestamp::from(time), Timestamp::micros(micros));
        }
    }
}
