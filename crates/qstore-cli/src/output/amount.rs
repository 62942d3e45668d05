//! Numbers for people: counts in groups of three digits, sizes in decimal units, floats with a few digits.
//! Programs get them in full, from the JSON document.

/// A count: `182 400`.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The same of an integer with a sign.
#[must_use]
pub fn integer(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", count(value.unsigned_abs()))
}

/// A size in bytes: `18 MB`, `7.1 MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be printed as `1000 kB` is `1.0 MB`.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A float with that many significant digits, without trailing zeros: `0.2214`, `1e-5`, `NaN`.
#[must_use]
pub fn float(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits.max(7) as i32 {
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

/// A change in percent: `-4.5 %`; nothing where there is no percentage.
#[must_use]
pub fn change(from: f64, to: f64) -> Option<String> {
    let change = (to - from) / from.abs() * 100.0;
    if !change.is_finite() {
        return None;
    }
    let digits = usize::from(change.abs() < 99.95);
    let text = format!("{change:+.digits$} %");
    Some(if change == 0.0 { "0 %".into() } else { text })
}

fn without_zeros(text: &str) -> &str {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_have_groups_of_three_digits() {
        assert_eq!(
            [0, 999, 1000, 71_936, 1_000_000].map(count),
            ["0", "999", "1 000", "71 936", "1 000 000"]
        );
        assert_eq!(integer(-1_000), "-1 000");
        assert_eq!(integer(i64::MIN), "-9 223 372 036 854 775 808");
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        let sizes = [0, 999, 1000, 9_949, 9_950, 999_499, 999_500, 7_100_000, 18_874_368];
        assert_eq!(
            sizes.map(size),
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "7.1 MB", "19 MB"]
        );
        assert_eq!(size(u64::MAX), "18 EB");
    }

    #[test]
    fn floats_have_significant_digits() {
        let check = |value: f64, text: &str| assert_eq!(float(value, 4), text);
        check(0.221_43, "0.2214");
        check(12.4, "12.4");
        check(0.000_01, "1e-5");
        check(0.000_123_45, "0.0001234");
        check(123_456.7, "123457");
        check(1e7, "1e7");
        check(-0.0, "0");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Infinity");
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!(change(0.229, 0.2187).unwrap(), "-4.5 %");
        assert_eq!(change(12.4, 31.75).unwrap(), "+156 %");
        assert_eq!(change(-2.0, -1.0).unwrap(), "+50.0 %");
        assert_eq!(change(0.0, 1.0), None);
    }

    proptest! {
        #[test]
        fn seventeen_digits_are_the_number(value in any::<f64>()) {
            let text = float(value, 17);
            let read: f64 = text.replace("Infinity", "inf").parse().unwrap();
            // A zero has no sign here.
            let value = if value == 0.0 { 0.0 } else { value };
            prop_assert!(read.total_cmp(&value).is_eq() || (read.is_nan() && value.is_nan()), "{text}");
        }
    }
}
