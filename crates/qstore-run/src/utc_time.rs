//! Points in time as `run.json` has them: RFC 3339, in UTC, with microseconds.

use qstore_schema::{date_of_day, day_of_date};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS: i64 = 1_000_000;
/// From 0000-01-01 to 9999-12-31, all that four digits can name.
const SECONDS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// A point in time in UTC, exact to the microsecond, in the years 0 to 9999.
///
/// ```
/// use qstore_run::UtcTime;
/// use std::time::{Duration, SystemTime};
///
/// let time = UtcTime::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
/// assert_eq!(time.to_string(), "1970-01-01T00:00:01.500000Z");
/// assert_eq!("1970-01-01T01:00:01.5+01:00".parse(), Ok(time));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    micros: i64,
}

/// A text is not a point in time in the form of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time in the form of 2026-11-30T08:04:58Z")]
pub struct NotATime;

impl UtcTime {
    /// The time of the system's clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Microseconds since 1970-01-01.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.micros
    }

    /// How long ago it was at that time; zero if it is later.
    #[must_use]
    pub fn age_at(self, now: SystemTime) -> Duration {
        let micros = Self::from(now).micros.saturating_sub(self.micros);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    fn of_seconds(seconds: i64, micros: i64) -> Self {
        let seconds = seconds.clamp(SECONDS.start, SECONDS.end - 1);
        Self { micros: seconds * MICROS + micros }
    }
}

impl From<SystemTime> for UtcTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => {
                let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
                Self::of_seconds(seconds, after.subsec_micros().into())
            }
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                Self::of_seconds(-seconds, -i64::from(before.subsec_micros()))
            }
        }
    }
}

impl From<UtcTime> for SystemTime {
    fn from(time: UtcTime) -> Self {
        let offset = Duration::from_micros(time.micros.unsigned_abs());
        if time.micros < 0 { Self::UNIX_EPOCH - offset } else { Self::UNIX_EPOCH + offset }
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.micros.div_euclid(MICROS), self.micros.rem_euclid(MICROS));
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = date_of_day(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

impl FromStr for UtcTime {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        parse(text).ok_or(NotATime)
    }
}

fn parse(text: &str) -> Option<UtcTime> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_separated = separators.iter().all(|(at, byte)| bytes.get(*at) == Some(byte));
    if !is_separated || !matches!(bytes.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let days = day_of_date(year, month, day);
    // A leap second counts as the one after it.
    let is_valid =
        date_of_day(days) == (year, month, day) && hour < 24 && minute < 60 && second < 61;
    let mut rest = text.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let digits: String = fraction[..len].chars().chain("000000".chars()).take(6).collect();
        micros = digits.parse().ok().filter(|_| len > 0)?;
        rest = &fraction[len..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let at = text.len() - rest.len();
            let is_offset = rest.len() == 6 && matches!(bytes[at], b'+' | b'-');
            let is_offset = is_offset && bytes[at + 3] == b':';
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            (is_offset && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))? * 60
        }
    };
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    (is_valid && SECONDS.contains(&seconds)).then(|| UtcTime::of_seconds(seconds, micros))
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_have_their_dates() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2000-02-29T12:00:00.000000Z", 951_825_600),
            ("2026-11-30T23:59:59.000000Z", 1_796_083_199),
            ("1969-12-31T23:59:59.000000Z", -1),
            ("0000-01-01T00:00:00.000000Z", SECONDS.start),
            ("9999-12-31T23:59:59.000000Z", SECONDS.end - 1),
        ] {
            assert_eq!(UtcTime::of_seconds(seconds, 0).to_string(), text);
            assert_eq!(text.parse(), Ok(UtcTime::of_seconds(seconds, 0)));
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-30",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Zx",
            "0000-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00\u{e9}",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<UtcTime>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(UtcTime::from(at(10)).age_at(at(13)), Duration::from_secs(3));
        assert_eq!(UtcTime::from(at(10)).age_at(at(7)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn every_time_is_read_back(micros in SECONDS.start * MICROS..SECONDS.end * MICROS) {
            let time = UtcTime { micros };
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(UtcTime::from(SystemTime::from(time)), time);
        }
    }
}
