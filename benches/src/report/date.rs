//! The day of a run, as the calendar has it.

use qstore_schema::date_of_day;
use std::time::{SystemTime, UNIX_EPOCH};

/// Today in UTC, such as `2026-02-28`.
pub(super) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    of_day((since.as_secs() / 86_400) as i64)
}

/// The date of a day counted from 1970-01-01.
fn of_day(day: i64) -> String {
    let (year, month, day) = date_of_day(day);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (day, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_512, "2026-02-28"),
        ] {
            assert_eq!(of_day(day), date);
        }
    }
}
