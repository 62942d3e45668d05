//! Numbers of a picture as little text: the bits of floats in base64.
//!
//! Invariant: what is unpacked differs from the number by less than a part in 16 384 of the distance between the
//! least and the largest one, and by less than a part in 10⁷ of itself: less than a pixel can show. Where 32 bits cannot
//! do that, there are 64.

use crate::digest::base64;
use serde::Serialize;

/// Some floats, or fractions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Packed {
    /// `f4` and `f8`: IEEE 754, the lowest byte first; `u1`: a part in 255.
    #[serde(rename = "t")]
    kind: &'static str,
    #[serde(rename = "d")]
    data: String,
}

/// Floats; NaN stays NaN.
pub(crate) fn floats(values: &[f64]) -> Packed {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let enough = (high * 0.5 - low * 0.5) / 8_192.0;
    let is_enough = |value: f64| {
        let short = f64::from(value as f32);
        // Numbers below the least normal one of 32 bits lose digits.
        let is_normal = short.abs() >= f64::from(f32::MIN_POSITIVE);
        let is_same = short.to_bits() == value.to_bits();
        value.is_nan() || is_same || is_normal && (short - value).abs() <= enough
    };
    if values.iter().all(|value| is_enough(*value)) {
        let bytes: Vec<u8> =
            values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        return Packed { kind: "f4", data: base64(&bytes) };
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Packed { kind: "f8", data: base64(&bytes) }
}

/// Numbers between 0 and 1.
pub(crate) fn fractions(values: &[f64]) -> Packed {
    // NaN becomes 0.
    let bytes: Vec<u8> = values.iter().map(|value| (value * 255.0).round() as u8).collect();
    Packed { kind: "u1", data: base64(&bytes) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        let digit = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let mut bytes = Vec::new();
        for group in text.trim_end_matches('=').as_bytes().chunks(4) {
            let bits = group.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(digit(*byte)));
            let bits = bits << (6 * (4 - group.len()));
            bytes.extend(&bits.to_be_bytes()[1..group.len()]);
        }
        bytes
    }

    fn unpacked(packed: &Packed) -> Vec<f64> {
        unpacked_text(packed.kind, &packed.data)
    }

    pub(crate) fn unpacked_text(kind: &str, data: &str) -> Vec<f64> {
        let bytes = bytes(data);
        match kind {
            "f4" => bytes
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into())
                .collect(),
            "f8" => bytes
                .chunks_exact(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
                .collect(),
            _ => bytes.iter().map(|byte| f64::from(*byte) / 255.0).collect(),
        }
    }

    proptest! {
        #[test]
        fn what_is_unpacked_is_as_near_as_a_pixel_can_show(
            values in prop::collection::vec(
                prop_oneof![
                    -9.0..9.0_f64,
                    1e9..1.000_000_1e9_f64,
                    prop::num::f64::ANY,
                    Just(0.1),
                    Just(f64::NAN),
                ],
                0..30,
            ),
        ) {
            let finite = || values.iter().copied().filter(|value| value.is_finite());
            let spread = finite().fold(f64::NEG_INFINITY, f64::max)
                - finite().fold(f64::INFINITY, f64::min);
            let found = unpacked(&floats(&values));
            prop_assert_eq!(found.len(), values.len());
            for (value, found) in values.iter().zip(found) {
                let is_near = (value - found).abs() <= spread / 16_384.0
                    && (value - found).abs() <= value.abs() * 1e-7;
                prop_assert!(is_near || value.to_bits() == found.to_bits() || value.is_nan() && found.is_nan(), "{value} {found}");
            }
        }

        #[test]
        fn a_fraction_is_near(values in prop::collection::vec(0.0..=1.0_f64, 0..9)) {
            for (value, found) in values.iter().zip(unpacked(&fractions(&values))) {
                prop_assert!((value - found).abs() <= 0.5 / 255.0 + 1e-12);
            }
        }
    }

    #[test]
    fn most_numbers_need_32_bits() {
        assert_eq!(floats(&[0.1, 0.2, 0.3]).kind, "f4");
        assert_eq!(floats(&[1e9, 1e9 + 1.0, 1e9 + 2.0]).kind, "f8");
        assert_eq!(floats(&[1e300, 0.0]).kind, "f8");
        assert_eq!(unpacked(&fractions(&[f64::NAN, 0.0, 1.0])), [0.0, 0.0, 1.0]);
    }
}
