//! Points in time: as UTC, and as an age. The time that counts as now is an argument.

use qstore_schema::date_of_day;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in UTC, to the second: `2026-11-30T08:04:58Z`.
///
/// ```
/// use qstore_cli::output::moment::utc;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
/// ```
#[must_use]
pub fn utc(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs() as i64,
        Err(before) => -(before.duration().as_secs_f64().ceil() as i64),
    };
    format!("{}Z", civil(seconds))
}

/// Seconds since 1970 as a date and a time of day, without a zone.
#[must_use]
pub fn civil(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of_day(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// How long ago it was: `4 s ago`, `2 h ago`, `yesterday`, `3 d ago`.
#[must_use]
pub fn age(now: SystemTime, then: SystemTime) -> String {
    let Ok(passed) = now.duration_since(then) else { return "in the future".into() };
    match passed.as_secs() {
        seconds @ 0..60 => format!("{seconds} s ago"),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..172_800 => "yesterday".into(),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// How long something took: `0.8 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// The time of a timestamp column: seconds since 1970 as a float. `None` if no time can be that.
#[must_use]
pub fn of_seconds(seconds: f64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds: i64, text: &str| assert_eq!(civil(seconds), text);
        check(0, "1970-01-01T00:00:00");
        check(-1, "1969-12-31T23:59:59");
        check(68_169_600, "1972-02-29T00:00:00");
        check(4_107_542_399, "2100-02-28T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
        check(1_796_025_898, "2026-11-30T08:04:58");
        check(-62_135_596_800, "0001-01-01T00:00:00");
    }

    #[test]
    fn ages_have_one_unit() {
        let now = UNIX_EPOCH + Duration::from_secs(10_000_000);
        let check = |seconds: u64, text: &str| {
            assert_eq!(age(now, now - Duration::from_secs(seconds)), text);
        };
        check(0, "0 s ago");
        check(59, "59 s ago");
        check(60, "1 min ago");
        check(7_300, "2 h ago");
        check(90_000, "yesterday");
        check(259_200, "3 d ago");
        assert_eq!(age(now, now + Duration::from_secs(1)), "in the future");
    }
}
