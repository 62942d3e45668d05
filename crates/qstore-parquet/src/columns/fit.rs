//! Which values a column takes that another program has declared narrower than ours.

/// What a column takes besides values of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fit {
    /// Every value of its type.
    #[default]
    Any,
    /// Integers from one to another; times are never mixed with floats.
    Integers { least: i64, most: i64, is_time: bool },
    /// Floats that are stored with 32 bits: rounded, as the column was declared to be.
    Float32,
}

impl Fit {
    /// Whether an integer can be stored exactly.
    pub(crate) fn takes(self, value: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Integers { least, most, .. } => (least..=most).contains(&value),
            // The largest integer up to which all are exact.
            Self::Float32 => value.unsigned_abs() <= 1 << f32::MANTISSA_DIGITS,
        }
    }

    /// The float that is stored for this one; `None` if it is finite and too large.
    pub(crate) fn rounded(self, value: f64) -> Option<f64> {
        if self != Self::Float32 {
            return Some(value);
        }
        let stored = f64::from(value as f32);
        (stored.is_finite() || !value.is_finite()).then_some(stored)
    }

    /// Whether a column of integers may become one of floats.
    pub(crate) fn may_widen(self) -> bool {
        !matches!(self, Self::Integers { is_time: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_fit_by_their_bits_and_floats_are_rounded_unless_they_overflow() {
        let small = Fit::Integers { least: -128, most: 127, is_time: false };
        assert!(small.takes(-128) && small.takes(127) && !small.takes(128) && !small.takes(-129));
        assert!(Fit::Any.takes(i64::MIN) && Fit::Any.rounded(0.1) == Some(0.1));
        let float = Fit::Float32;
        assert!(float.takes(1 << 24) && !float.takes((1 << 24) + 1));
        assert_eq!(float.rounded(0.1), Some(f64::from(0.1_f32)));
        assert_eq!(float.rounded(f64::INFINITY), Some(f64::INFINITY));
        assert_eq!(float.rounded(1e39), None);
        assert!(float.rounded(f64::NAN).is_some_and(f64::is_nan));
    }
}
