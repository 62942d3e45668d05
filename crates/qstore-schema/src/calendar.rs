//! Days since 1970-01-01 as dates of the Gregorian calendar, and the inverse. Time zones and leap seconds are not
//! known here.

/// 400 years.
const ERA_DAYS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// The year, the month (1 to 12) and the day of the month (1 to 31) of a day counted from 1970-01-01.
///
/// ```
/// use qstore_schema::{date_of_day, day_of_date};
///
/// assert_eq!(date_of_day(19_782), (2024, 2, 29));
/// assert_eq!(day_of_date(2024, 2, 29), 19_782);
/// ```
#[must_use]
pub const fn date_of_day(day: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last of its year.
    let day = day.saturating_add(EPOCH_DAYS);
    let (era, of_era) = (day.div_euclid(ERA_DAYS), day.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, of_month)
}

/// The day counted from 1970-01-01 of a year, a month and a day of the month. A date that does not exist, such as
/// February 30, is that many days after the first of its month.
#[must_use]
pub const fn day_of_date(year: i64, month: i64, of_month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + of_month - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_800_years_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        let first = -135_140;
        for number in first..first + 292_194 {
            assert_eq!(date_of_day(number), (year, month, day));
            assert_eq!(day_of_date(year, month, day), number);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + i64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!((year, month, day), (2400, 1, 1));
    }

    #[test]
    fn known_days_have_their_dates() {
        for (day, date) in [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (-719_528, (0, 1, 1))] {
            assert_eq!(date_of_day(day), date);
            assert_eq!(day_of_date(date.0, date.1, date.2), day);
        }
        assert!(date_of_day(i64::MAX).0 > 2400 && date_of_day(i64::MIN).0 < 1600);
    }
}
