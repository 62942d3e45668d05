//! An integer beyond 64 bits, such as the state of a random number generator. It is stored and passed on, and no
//! arithmetic is done with it.

use smol_str::{SmolStr, format_smolstr};
use std::fmt;
use std::str::FromStr;

/// An integer that does not fit into an `i64`, of any size.
///
/// Its text is hexadecimal: converting it takes time in proportion to its length, and Python reads it however
/// long it is (`int(text, 16)`; decimal texts it refuses beyond 4 300 digits).
///
/// ```
/// use qstore_schema::{BigInt, State};
///
/// let state: BigInt = "0x10000000000000000".parse()?;
/// assert_eq!(state.to_i128(), Some(1 << 64));
/// assert_eq!(State::integer(1 << 64), State::BigInt(state));
/// assert_eq!(State::integer(7), State::Int(7));
/// assert!("0x7".parse::<BigInt>().is_err(), "that is a `State::Int`");
/// # Ok::<(), qstore_schema::NotABigInt>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInt {
    /// `-0x1f…`: lowercase, without leading zeros.
    text: SmolStr,
}

/// A text that is not that of a [`BigInt`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an integer beyond 64 bits in hexadecimal digits, such as `-0x10000000000000000`"
)]
#[non_exhaustive]
pub struct NotABigInt {
    /// The text, or its beginning.
    pub text: SmolStr,
}

impl BigInt {
    /// The text that it is parsed from: a sign if it is negative, `0x`, and lowercase digits without leading
    /// zeros.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The integer, if it fits into 128 bits.
    #[must_use]
    pub fn to_i128(&self) -> Option<i128> {
        let (is_negative, digits) = self.sign_and_digits();
        let magnitude = u128::from_str_radix(digits, 16).ok()?;
        if is_negative {
            0_i128.checked_sub_unsigned(magnitude)
        } else {
            i128::try_from(magnitude).ok()
        }
    }

    /// The nearest float; infinite if there is none.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        const TOP: usize = 16;
        let (is_negative, digits) = self.sign_and_digits();
        let (top, rest) = digits.split_at(digits.len().min(TOP));
        // Sixteen digits have more bits than a float keeps. What follows them can only break a tie.
        let sticky = u64::from(rest.bytes().any(|digit| digit != b'0'));
        let top = (u64::from_str_radix(top, 16).unwrap_or(0) | sticky) as f64;
        let bits = i32::try_from(4 * rest.len()).unwrap_or(i32::MAX);
        let magnitude = top * 2_f64.powi(bits);
        if is_negative { -magnitude } else { magnitude }
    }

    fn sign_and_digits(&self) -> (bool, &str) {
        split(&self.text).unwrap_or((false, "0"))
    }
}

/// The sign and the digits of a text with the right beginning.
fn split(text: &str) -> Option<(bool, &str)> {
    let (is_negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    Some((is_negative, rest.strip_prefix("0x")?))
}

fn is_canonical(text: &str) -> bool {
    let Some((_, digits)) = split(text) else { return false };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !digits.is_empty() && digits.bytes().all(is_digit) && !digits.starts_with('0')
}

fn fits_64_bits(text: &str) -> bool {
    const DIGITS: usize = 16;
    let Some((is_negative, digits)) = split(text) else { return false };
    if digits.len() > DIGITS {
        return false;
    }
    let limit = i64::MAX.unsigned_abs() + u64::from(is_negative);
    u64::from_str_radix(digits, 16).is_ok_and(|magnitude| magnitude <= limit)
}

impl FromStr for BigInt {
    type Err = NotABigInt;

    fn from_str(text: &str) -> Result<Self, NotABigInt> {
        const SHOWN: usize = 40;
        if is_canonical(text) && !fits_64_bits(text) {
            return Ok(Self { text: text.into() });
        }
        Err(NotABigInt { text: text.chars().take(SHOWN).collect() })
    }
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The integer, if it does not fit into an `i64`.
pub(crate) fn beyond_64_bits(value: i128) -> Option<BigInt> {
    if i64::try_from(value).is_ok() {
        return None;
    }
    let sign = if value < 0 { "-" } else { "" };
    Some(BigInt { text: format_smolstr!("{sign}{:#x}", value.unsigned_abs()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_text_of_an_integer_beyond_64_bits_is_one() {
        for text in ["0x8000000000000000", "-0x8000000000000001", "0xffffffffffffffff"] {
            assert_eq!(text.parse::<BigInt>().unwrap().as_str(), text);
        }
        assert!(format!("-0x1{}", "0".repeat(100_000)).parse::<BigInt>().is_ok());
        for text in [
            "",
            "-",
            "0x",
            "0x7fffffffffffffff",
            "-0x8000000000000000",
            "0x08000000000000000",
            "0x800000000000000G",
            "0x800000000000000A",
            "+0x8000000000000000",
            "0X8000000000000000",
            "8000000000000000",
            "18446744073709551616",
            "--0x8000000000000000",
            "0x-8000000000000000",
            " 0x8000000000000000",
        ] {
            assert!(text.parse::<BigInt>().is_err(), "{text}");
        }
        let long = "x".repeat(1 << 20).parse::<BigInt>().unwrap_err();
        assert!(long.to_string().len() < 200);
    }

    #[test]
    fn the_nearest_float_rounds_half_to_even_and_the_rest_breaks_a_tie() {
        let float = |text: &str| text.parse::<BigInt>().unwrap().to_f64();
        assert_eq!(
            float("0x20000000000001000000000000000000").to_bits(),
            2_f64.powi(125).to_bits()
        );
        let above = 2_f64.powi(125) + 2_f64.powi(73);
        assert_eq!(float("0x20000000000001000000000000000001").to_bits(), above.to_bits());
        assert_eq!(float("-0x8000000000000001").to_bits(), (-(2_f64.powi(63))).to_bits());
        let huge = format!("-0x1{}", "0".repeat(1000));
        assert_eq!(float(&huge).to_bits(), f64::NEG_INFINITY.to_bits());
    }

    proptest! {
        #[test]
        fn an_i128_comes_back_and_is_the_float_that_the_language_rounds_it_to(value: i128) {
            match beyond_64_bits(value) {
                None => prop_assert!(i64::try_from(value).is_ok()),
                Some(big) => {
                    prop_assert_eq!(big.to_i128(), Some(value));
                    prop_assert_eq!(big.as_str().parse::<BigInt>(), Ok(big.clone()));
                    prop_assert_eq!(big.to_f64().to_bits(), (value as f64).to_bits());
                }
            }
        }
    }
}
