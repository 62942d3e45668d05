//! Figures about tensors: of one, and of two that are compared. Every element type is seen as numbers; the
//! parts of a complex one count separately.

use qstore_schema::{Dtype, Tensor};
use std::cmp::Ordering;

/// Figures about the elements of one tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Stats {
    /// The least finite number.
    pub(crate) min: Option<f64>,
    /// The greatest finite number.
    pub(crate) max: Option<f64>,
    /// The sum of the finite numbers.
    pub(crate) sum: f64,
    /// How many are finite.
    pub(crate) finite: u64,
    /// How many are NaN.
    pub(crate) nans: u64,
    /// How many are infinite.
    pub(crate) infinite: u64,
}

impl Stats {
    /// The figures of a tensor.
    #[must_use]
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let mut stats = Self::default();
        for value in numbers(tensor) {
            stats.add(value);
        }
        stats
    }

    /// The mean of the finite numbers.
    #[must_use]
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.sum / self.finite as f64)
    }

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nans += 1;
        } else if value.is_infinite() {
            self.infinite += 1;
        } else {
            self.finite += 1;
            self.sum += value;
            self.min = Some(self.min.map_or(value, |min| min.min(value)));
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
        }
    }
}

/// How two tensors of one type and shape differ.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Distance {
    /// The greatest difference of two finite elements.
    pub(crate) max: f64,
    /// The root of the sum of the squares of all differences.
    pub(crate) l2: f64,
    /// How many elements differ. Two NaN are equal.
    pub(crate) differing: u64,
    /// How many are NaN in one of the two only.
    pub(crate) nans: u64,
}

impl Distance {
    /// Compares two tensors with the same number of elements.
    #[must_use]
    pub(crate) fn between(one: &Tensor, other: &Tensor) -> Self {
        let mut sum = Sum { distance: Self::default(), scale: 0.0, squares: 1.0 };
        if let (Some(one), Some(other)) = (integers(one), integers(other)) {
            // Floats would take integers beyond 2^53 for equal.
            for (one, other) in one.zip(other).filter(|(one, other)| one != other) {
                sum.distance.differing += 1;
                sum.add(one.abs_diff(other) as f64);
            }
            return sum.end();
        }
        for (one, other) in numbers(one).zip(numbers(other)) {
            if one.partial_cmp(&other) == Some(Ordering::Equal) || (one.is_nan() && other.is_nan())
            {
                continue;
            }
            sum.distance.differing += 1;
            sum.distance.nans += u64::from(one.is_nan() != other.is_nan());
            let difference = (one - other).abs();
            if difference.is_finite() {
                sum.add(difference);
            } else if !difference.is_nan() {
                sum.distance.max = f64::INFINITY;
            }
        }
        sum.end()
    }
}

/// A distance that is summed up, scaled, so that the square of a large difference is not infinite.
struct Sum {
    distance: Distance,
    scale: f64,
    squares: f64,
}

impl Sum {
    fn add(&mut self, difference: f64) {
        self.distance.max = self.distance.max.max(difference);
        if difference > self.scale {
            self.squares = 1.0 + self.squares * (self.scale / difference).powi(2);
            self.scale = difference;
        } else if self.scale > 0.0 {
            self.squares += (difference / self.scale).powi(2);
        }
    }

    fn end(self) -> Distance {
        Distance { l2: self.scale * self.squares.sqrt(), ..self.distance }
    }
}

/// The elements of a tensor of integers or flags, exactly; `None` of another one.
fn integers(tensor: &Tensor) -> Option<Box<dyn Iterator<Item = i128> + '_>> {
    macro_rules! read {
        ($type:ty) => {{
            let chunks = tensor.data().as_chunks::<{ size_of::<$type>() }>().0.iter();
            Box::new(chunks.map(|bytes| i128::from(<$type>::from_le_bytes(*bytes))))
        }};
    }
    Some(match tensor.dtype() {
        Dtype::Bool | Dtype::UInt8 => read!(u8),
        Dtype::Int8 => read!(i8),
        Dtype::Int16 => read!(i16),
        Dtype::Int32 => read!(i32),
        Dtype::Int64 => read!(i64),
        Dtype::UInt16 => read!(u16),
        Dtype::UInt32 => read!(u32),
        Dtype::UInt64 => read!(u64),
        _ => return None,
    })
}

/// The elements as numbers.
#[expect(clippy::cast_lossless, reason = "one macro casts from every type, and some casts round")]
fn numbers(tensor: &Tensor) -> Box<dyn Iterator<Item = f64> + '_> {
    macro_rules! read {
        ($type:ty) => {{
            let chunks = tensor.data().as_chunks::<{ size_of::<$type>() }>().0.iter();
            Box::new(chunks.map(|bytes| <$type>::from_le_bytes(*bytes) as f64))
        }};
    }
    match tensor.dtype() {
        Dtype::Int8 => read!(i8),
        Dtype::Int16 => read!(i16),
        Dtype::Int32 => read!(i32),
        Dtype::Int64 => read!(i64),
        Dtype::UInt16 => read!(u16),
        Dtype::UInt32 => read!(u32),
        Dtype::UInt64 => read!(u64),
        Dtype::Float32 | Dtype::Complex64 => read!(f32),
        Dtype::Float64 | Dtype::Complex128 => read!(f64),
        Dtype::BFloat16 => {
            let chunks = tensor.data().as_chunks::<2>().0.iter();
            let wide = |bytes: &[u8; 2]| u32::from(u16::from_le_bytes(*bytes)) << 16;
            Box::new(chunks.map(move |bytes| f64::from(f32::from_bits(wide(bytes)))))
        }
        Dtype::Float16 => {
            let chunks = tensor.data().as_chunks::<2>().0.iter();
            Box::new(chunks.map(|bytes| small_float(u16::from_le_bytes(*bytes), 5, 10, true)))
        }
        Dtype::Float8E5M2 => {
            Box::new(tensor.data().iter().map(|byte| small_float((*byte).into(), 5, 2, true)))
        }
        Dtype::Float8E4M3 => {
            Box::new(tensor.data().iter().map(|byte| small_float((*byte).into(), 4, 3, false)))
        }
        _ => Box::new(tensor.data().iter().map(|byte| f64::from(*byte))),
    }
}

/// A binary float with that many bits of exponent and mantissa. Without infinities, only the greatest pattern
/// is NaN, as in the OCP 8-bit floats.
fn small_float(bits: u16, exponent_bits: u32, mantissa_bits: u32, has_infinities: bool) -> f64 {
    let mantissa_mask = (1_u16 << mantissa_bits) - 1;
    let exponent_mask = (1_u16 << exponent_bits) - 1;
    let mantissa = bits & mantissa_mask;
    let exponent = (bits >> mantissa_bits) & exponent_mask;
    let is_negative = bits >> (mantissa_bits + exponent_bits) & 1 == 1;
    let middle = i32::from(exponent_mask >> 1);
    let fraction = f64::from(mantissa) / f64::from(mantissa_mask + 1);
    let value = match exponent {
        0 => fraction * 2_f64.powi(1 - middle),
        full if full == exponent_mask && has_infinities => {
            if mantissa == 0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        full if full == exponent_mask && mantissa == mantissa_mask => f64::NAN,
        exponent => (1.0 + fraction) * 2_f64.powi(i32::from(exponent) - middle),
    };
    if is_negative { -value } else { value }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use super::*;

    #[test]
    fn integers_are_compared_exactly() {
        let between = |one: i64, other: i64| {
            let tensor = |value: i64| Tensor::from_vec(vec![value, 7], [2]).unwrap();
            Distance::between(&tensor(one), &tensor(other))
        };
        let near = between((1 << 53) + 1, 1 << 53);
        assert_eq!((near.max, near.l2, near.differing, near.nans), (1.0, 1.0, 1, 0));
        assert_eq!(between(i64::MAX, i64::MIN).max, u64::MAX as f64);
        assert_eq!(between(5, 5), Distance::default());
        let tensor = |value: u64| Tensor::from_vec(vec![value], [1]).unwrap();
        let far = Distance::between(&tensor(u64::MAX), &tensor(u64::MAX - 1));
        assert_eq!((far.max, far.differing), (1.0, 1));
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let tensor = Tensor::from_vec(vec![1.0_f32, f32::NAN, -3.0, f32::INFINITY], [4]).unwrap();
        let stats = Stats::of(&tensor);
        assert_eq!((stats.min, stats.max, stats.mean()), (Some(-3.0), Some(1.0), Some(-1.0)));
        assert_eq!((stats.nans, stats.infinite), (1, 1));
        assert_eq!(Stats::of(&Tensor::from_vec(Vec::<i64>::new(), [0]).unwrap()).mean(), None);
    }

    #[test]
    fn small_floats_have_their_values() {
        let half = |bits| small_float(bits, 5, 10, true);
        assert_eq!(
            [0x3c00, 0xc000, 0x7bff, 0x0001].map(half),
            [1.0, -2.0, 65_504.0, 2f64.powi(-24)]
        );
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f64::NEG_INFINITY);
        let e4m3 = |bits| small_float(bits, 4, 3, false);
        assert_eq!([0x38, 0x7e, 0x01].map(e4m3), [1.0, 448.0, 2f64.powi(-9)]);
        assert!(e4m3(0x7f).is_nan());
        assert_eq!([0x3c, 0x7b].map(|bits| small_float(bits, 5, 2, true)), [1.0, 57_344.0]);
    }

    #[test]
    fn a_distance_has_a_largest_step_and_a_length() {
        let tensor = |values: &[f64]| Tensor::from_slice(values, [values.len()]).unwrap();
        let one = tensor(&[0.0, 1.0, f64::NAN, 5.0]);
        let distance = Distance::between(&one, &tensor(&[3.0, 5.0, f64::NAN, 5.0]));
        assert_eq!((distance.max, distance.differing, distance.nans), (4.0, 2, 0));
        assert!((distance.l2 - 5.0).abs() < 1e-12);
        let distance = Distance::between(&one, &tensor(&[0.0, f64::NAN, f64::NAN, 5.0]));
        assert_eq!((distance.max, distance.differing, distance.nans), (0.0, 1, 1));
        let huge = Distance::between(&tensor(&[1e300, 1e300]), &tensor(&[0.0, 0.0]));
        assert!((huge.l2 / 1e300 - 2f64.sqrt()).abs() < 1e-12);
    }
}
