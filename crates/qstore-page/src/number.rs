//! Numbers and times as the documents have them.

use serde::{Serialize, Serializer};
use std::time::SystemTime;

/// A float, also one that JSON does not have: NaN and infinities are texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value if value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// Milliseconds since 1970, as JavaScript counts time.
pub(crate) fn millis(time: SystemTime) -> i64 {
    qstore_run::UtcTime::from(time).micros().div_euclid(1_000)
}
