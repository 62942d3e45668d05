//! Where an axis has its marks, and what is written at them.
//!
//! No clock is read and no time zone is known: times are in UTC.

use crate::axis::{Axis, XAxis};
use qstore_schema::date_of_day;
use std::fmt::Write as _;

/// A mark of an axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tick {
    /// Where it is.
    pub value: f64,
    /// What is written there.
    pub label: String,
}

/// What the numbers on an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    /// Seconds since 1970.
    Time,
    /// Seconds.
    Duration,
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// The steps between times that a person can read.
const STEPS: [f64; 23] = [
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    28.0 * DAY,
    91.0 * DAY,
];

/// At most about `most` marks on a y axis that is not time.
#[must_use]
pub fn of_numbers(low: f64, high: f64, axis: Axis, most: usize) -> Vec<Tick> {
    of(low, high, axis, Kind::Number, most)
}

/// At most about `most` marks on an x axis.
#[must_use]
pub fn of_x(low: f64, high: f64, axis: Axis, x: XAxis, most: usize) -> Vec<Tick> {
    let kind = match x {
        XAxis::Time => Kind::Time,
        XAxis::Relative => Kind::Duration,
        XAxis::Step | XAxis::Epoch | XAxis::Row => Kind::Number,
    };
    of(low, high, axis, kind, most)
}

fn of(low: f64, high: f64, axis: Axis, kind: Kind, most: usize) -> Vec<Tick> {
    let most = most.max(1);
    let is_usable = low.is_finite() && high.is_finite() && low < high;
    if !is_usable {
        return Vec::new();
    }
    if axis == Axis::Log && low > 0.0 {
        let ticks = powers(low, high, most);
        if ticks.len() > 1 {
            return ticks.into_iter().map(|value| Tick { value, label: plain(value) }).collect();
        }
    }
    let step = match kind {
        Kind::Number => step_of(high * 0.5 - low * 0.5, most),
        Kind::Time | Kind::Duration => {
            let fits = |step: &f64| (high - low) / step <= most as f64;
            let step = STEPS.into_iter().find(fits);
            // Fractions of a second, or years.
            step.filter(|_| high - low > most as f64).unwrap_or_else(|| {
                let unit = if high - low > DAY { DAY } else { 1.0 };
                step_of((high * 0.5 - low * 0.5) / unit, most) * unit
            })
        }
    };
    // A multiple of a rounded step may be beyond an end by its last digit.
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let count = (last - first).min(2.0 * most as f64);
    let values = (0..=count.max(-1.0) as i64).map(|number| (first + number as f64) * step);
    let values = values.filter(|_| count >= 0.0);
    let label = |value: f64| match kind {
        Kind::Number => rounded(value, step),
        Kind::Time => time(value, step),
        Kind::Duration => duration(value, step),
    };
    // A rounded step misses 0 by its last digit.
    let values = values.map(|value| if value.abs() < step / 1e6 { 0.0 } else { value });
    let values = values.map(|value| value.clamp(low, high));
    values.map(|value| Tick { value, label: label(value) }).collect()
}

/// The step of an axis whose half is given: 1, 2 or 5 times a power of ten.
fn step_of(half: f64, most: usize) -> f64 {
    let least = half / most as f64 * 2.0;
    let power = 10_f64.powf(least.log10().floor()).max(f64::MIN_POSITIVE);
    let nice = [1.0, 2.0, 5.0].into_iter().map(|times| times * power);
    nice.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Powers of ten; with multiples between them if there are few.
fn powers(low: f64, high: f64, most: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let skip = ((last - first) as usize / most).max(1);
    let times: &[f64] = if (last - first) as usize * 3 <= most { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = (first..=last).step_by(skip).map(|power| 10_f64.powi(power));
    let all = powers.flat_map(|power| times.iter().map(move |times| times * power));
    all.filter(|value| low <= *value && *value <= high).collect()
}

/// A number with as many digits as a step of its axis asks for.
fn rounded(value: f64, step: f64) -> String {
    let digits = (-(step.log10() + 1e-9).floor()).max(0.0);
    if value.abs() >= 1e6 && value.abs() / step < 1e4 || digits > 6.0 {
        let power = value.abs().max(step).log10().floor();
        let more = (power - step.log10() + 1e-9).ceil().clamp(0.0, 17.0) as usize;
        return short_power(&format!("{value:.more$e}"));
    }
    grouped(&format!("{value:.*}", digits as usize))
}

/// A number with as few digits as it can have.
fn plain(value: f64) -> String {
    if (1e-4..1e6).contains(&value.abs()) || value == 0.0 {
        grouped(&format!("{value}"))
    } else {
        short_power(&format!("{value:e}"))
    }
}

/// A number in about seven characters, for a legend: `0.2214`, `1.25e-7`, `182 400`.
#[must_use]
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        let text = if value.is_nan() { "NaN" } else { "∞" };
        return if value < 0.0 { format!("-{text}") } else { text.to_owned() };
    }
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e9 {
        return grouped(&format!("{value}"));
    }
    if !(1e-4..1e6).contains(&size) {
        return short_power(&format!("{value:.3e}"));
    }
    let digits = (3.0 - size.log10().floor()).clamp(0.0, 7.0) as usize;
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// `1.50e6` as `1.5e6`.
fn short_power(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, power)) if digits.contains('.') => {
            format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text.to_owned(),
    }
}

/// Spaces between thousands, from five digits on.
fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    if whole.len() < 5 {
        return text.to_owned();
    }
    let mut out = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out.push_str(fraction);
    out
}

/// A time in UTC, as far as a step of its axis asks for.
fn time(seconds: f64, step: f64) -> String {
    // The conversion keeps to the range of the type.
    let whole = seconds.floor() as i64;
    let (day, second) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let (year, month, of_month) = date_of_day(day.clamp(-100_000_000, 100_000_000));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    if step >= DAY {
        format!("{year:04}-{month:02}-{of_month:02}")
    } else if step >= HOUR {
        format!("{month:02}-{of_month:02} {hour:02}:{minute:02}")
    } else if step >= MINUTE {
        format!("{hour:02}:{minute:02}")
    } else if step >= 1.0 {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else {
        let part = seconds - seconds.floor();
        let digits = (-step.log10().floor()).clamp(1.0, 9.0) as usize;
        format!("{hour:02}:{minute:02}:{second:02}{}", &format!("{part:.digits$}")[1..])
    }
}

/// A time span: `30 s`, `5 min`, `1 h 30 min`, `2 d`.
fn duration(seconds: f64, step: f64) -> String {
    if seconds == 0.0 {
        return "0".to_owned();
    }
    if step < 1.0 {
        return format!("{} s", rounded(seconds, step));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let mut rest = seconds.abs().round() as u64;
    let mut text = String::new();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{count} {name}");
        }
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn numbers() {
        let of = |low, high, axis| of_numbers(low, high, axis, 5);
        assert_eq!(labels(&of(0.0, 1.0, Axis::Linear)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&of(0.13, 0.19, Axis::Linear)), ["0.14", "0.16", "0.18"]);
        assert_eq!(
            labels(&of(-50.0, 20_000.0, Axis::Linear)),
            ["0", "5000", "10 000", "15 000", "20 000"]
        );
        assert_eq!(labels(&of(0.0, 1e7, Axis::Linear))[1..3], ["2e6", "4e6"]);
        assert_eq!(labels(&of(0.0, 3e-9, Axis::Linear))[1..], ["1e-9", "2e-9", "3e-9"]);
        assert_eq!(
            labels(&of(0.001, 100.0, Axis::Log)),
            ["0.001", "0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!(labels(&of(2.0, 3.0, Axis::Log)).len(), 6, "no power of ten is in it");
        assert!(of(1.0, 1.0, Axis::Linear).is_empty());
        assert!(!of(-f64::MAX, f64::MAX, Axis::Linear).is_empty());
    }

    #[test]
    fn times() {
        let of = |low, high| of_x(low, high, Axis::Linear, XAxis::Time, 4);
        let start = 1_700_000_000.0;
        assert_eq!(labels(&of(start, start + 3.0 * HOUR))[0], "11-14 23:00");
        assert_eq!(labels(&of(start, start + 7_000.0))[..2], ["22:30", "23:00"]);
        assert_eq!(labels(&of(start, start + 5.0 * DAY))[0], "2023-11-15");
        assert_eq!(labels(&of(start, start + 60.0))[..2], ["22:13:30", "22:13:45"]);
        assert_eq!(labels(&of(start, start + 0.5))[1], "22:13:20.2");
        let of = |high| of_x(0.0, high, Axis::Linear, XAxis::Relative, 4);
        assert_eq!(labels(&of(6_000.0)), ["0", "30 min", "1 h", "1 h 30 min"]);
        assert_eq!(labels(&of(40.0)), ["0", "10 s", "20 s", "30 s", "40 s"]);
        assert_eq!(labels(&of(2.0)), ["0", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]);
        assert_eq!(labels(&of(2_000.0 * DAY)), ["0", "500 d", "1000 d", "1500 d", "2000 d"]);
    }

    #[test]
    fn short_numbers() {
        let all = [0.221_43, 1.25e-7, 182_400.0, -0.5, f64::NAN, f64::NEG_INFINITY, 12.0, 99.999_9];
        let found = all.map(short);
        assert_eq!(found, ["0.2214", "1.25e-7", "182 400", "-0.5", "NaN", "-∞", "12", "100"]);
    }

    proptest! {
        #[test]
        fn marks_are_inside_in_order_and_not_too_many(
            low in prop_oneof![-1e9..1e9_f64, -1e-6..1e-6_f64],
            len in prop_oneof![1e-3..1e3_f64, 1e3..1e9_f64],
            most in 1_usize..12,
            log: bool,
            x in prop::sample::select(vec![XAxis::Step, XAxis::Time, XAxis::Relative]),
        ) {
            let axis = if log { Axis::Log } else { Axis::Linear };
            let ticks = of_x(low, low + len, axis, x, most);
            prop_assert!(ticks.len() <= 2 * most + 2, "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].value < pair[1].value));
            prop_assert!(ticks.iter().all(|tick| (low..=low + len).contains(&tick.value)));
        }
    }
}
