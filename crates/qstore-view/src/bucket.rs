//! Any number of consecutive rows, reduced to what a pixel column can show of them.
//!
//! Invariant: two neighbors merge into what their rows together would be reduced to, in whatever order the
//! merges are done. So threads, chunks and levels compose.

/// Some consecutive rows, as far as a picture can tell: the first, the last, the least and the largest finite
/// value, and the number of those that are not finite.
///
/// Where no value is finite, `min`, `max`, `first`, `last`, `argmin` and `argmax` are NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bucket {
    /// The least x of a row that has a value; NaN if none has.
    pub x0: f64,
    /// The largest.
    pub x1: f64,
    /// How many rows have a value, NaN and infinities included.
    pub n: u64,
    /// How many are null.
    pub nulls: u64,
    /// How many are NaN.
    pub nans: u64,
    /// How many are +∞.
    pub above: u64,
    /// How many are −∞.
    pub below: u64,
    /// The least finite value.
    pub min: f64,
    /// The largest finite value.
    pub max: f64,
    /// The first finite value.
    pub first: f64,
    /// The last finite value.
    pub last: f64,
    /// The x of the least value; of the first such row.
    pub argmin: f64,
    /// The x of the largest value; of the first such row.
    pub argmax: f64,
    /// The sum of the finite values. It is rounded, so other orders of merges may differ in the last digits.
    pub sum: f64,
    /// Whether a value that is not finite comes before the first finite one: no line leads to it.
    pub is_broken_before: bool,
    /// Whether one comes after the last finite value: no line leads away from it.
    pub is_broken_after: bool,
}

/// The number of sums and bounds that are computed side by side, so that the compiler can use wide registers.
const LANES: usize = 8;

impl Bucket {
    /// No rows.
    pub const EMPTY: Self = Self {
        x0: f64::NAN,
        x1: f64::NAN,
        n: 0,
        nulls: 0,
        nans: 0,
        above: 0,
        below: 0,
        min: f64::NAN,
        max: f64::NAN,
        first: f64::NAN,
        last: f64::NAN,
        argmin: f64::NAN,
        argmax: f64::NAN,
        sum: 0.0,
        is_broken_before: false,
        is_broken_after: false,
    };

    /// One row; `None` is null.
    #[must_use]
    pub fn of_row(x: f64, value: Option<f64>) -> Self {
        let Some(value) = value else { return Self { nulls: 1, ..Self::EMPTY } };
        let place = Self { x0: x, x1: x, n: 1, ..Self::EMPTY };
        if value.is_finite() {
            return Self {
                min: value,
                max: value,
                first: value,
                last: value,
                argmin: x,
                argmax: x,
                sum: value,
                ..place
            };
        }
        Self {
            nans: value.is_nan().into(),
            above: (value == f64::INFINITY).into(),
            below: (value == f64::NEG_INFINITY).into(),
            is_broken_before: true,
            is_broken_after: true,
            ..place
        }
    }

    /// How many values are finite.
    #[must_use]
    pub fn finite(&self) -> u64 {
        self.n - self.odd()
    }

    /// How many values are NaN or infinite.
    #[must_use]
    pub fn odd(&self) -> u64 {
        self.nans + self.above + self.below
    }

    /// The mean of the finite values; NaN if there is none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        // Without one it is 0 divided by 0.
        self.sum / self.finite() as f64
    }

    /// These rows and those after them.
    #[must_use]
    pub fn merge(&self, next: &Self) -> Self {
        let (has, next_has) = (self.finite() > 0, next.finite() > 0);
        let (odd, next_odd) = (self.odd() > 0, next.odd() > 0);
        // The first of equal values stays. What is NaN is less than nothing, so it is asked for.
        let (min, argmin) = if next.min < self.min || !has {
            (next.min, next.argmin)
        } else {
            (self.min, self.argmin)
        };
        let (max, argmax) = if next.max > self.max || !has {
            (next.max, next.argmax)
        } else {
            (self.max, self.argmax)
        };
        Self {
            x0: self.x0.min(next.x0),
            x1: self.x1.max(next.x1),
            n: self.n + next.n,
            nulls: self.nulls + next.nulls,
            nans: self.nans + next.nans,
            above: self.above + next.above,
            below: self.below + next.below,
            min,
            max,
            first: if has { self.first } else { next.first },
            last: if next_has { next.last } else { self.last },
            argmin,
            argmax,
            sum: self.sum + next.sum,
            is_broken_before: if has {
                self.is_broken_before
            } else {
                odd || next.is_broken_before
            },
            is_broken_after: if next_has {
                next.is_broken_after
            } else {
                next_odd || self.is_broken_after
            },
        }
    }

    /// Rows with these `xs`, which do not fall, and whose `values` are without the nulls; `present` has the rows that are not null,
    /// `None` if none is.
    pub(crate) fn of_rows(xs: &[f64], present: Option<&[bool]>, values: &[f64]) -> Self {
        let nulls = (xs.len() - values.len()) as u64;
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return Self { nulls, ..Self::EMPTY };
        };
        let (min, max, sum) = bounds(values);
        // A sum is finite only if every value is.
        if !sum.is_finite() {
            return Self::of_rows_one_by_one(xs, present, values);
        }
        // None is below the least, so the first that is not above it is equal.
        let min = values.iter().position(|value| *value <= min).unwrap_or(0);
        let max = values.iter().position(|value| *value >= max).unwrap_or(0);
        let x_of = |index: usize| match present {
            None => xs[index],
            Some(present) => {
                let there = xs.iter().zip(present).filter(|(_, has)| **has);
                there.map(|(x, _)| *x).nth(index).unwrap_or(f64::NAN)
            }
        };
        Self {
            x0: x_of(0),
            x1: x_of(values.len() - 1),
            n: values.len() as u64,
            nulls,
            min: values[min],
            max: values[max],
            first: *first,
            last: *last,
            argmin: x_of(min),
            argmax: x_of(max),
            sum,
            ..Self::EMPTY
        }
    }

    fn of_rows_one_by_one(xs: &[f64], present: Option<&[bool]>, values: &[f64]) -> Self {
        let mut values = values.iter().copied();
        let mut all = Self::EMPTY;
        for (row, x) in xs.iter().enumerate() {
            let has = present.is_none_or(|present| present[row]);
            all = all.merge(&Self::of_row(*x, if has { values.next() } else { None }));
        }
        all
    }
}

/// The least value, the largest and the sum; the first two mean nothing if the sum is not finite.
fn bounds(values: &[f64]) -> (f64, f64, f64) {
    // Too few for it to be worth setting up.
    if values.len() < 2 * LANES {
        let nothing = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        return values.iter().fold(nothing, |(min, max, sum), value| {
            (min.min(*value), max.max(*value), sum + value)
        });
    }
    let mut min = [f64::INFINITY; LANES];
    let mut max = [f64::NEG_INFINITY; LANES];
    let mut sum = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let value = chunk[lane];
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
            sum[lane] += value;
        }
    }
    let mut all = (f64::INFINITY, f64::NEG_INFINITY, sum.iter().sum::<f64>());
    for value in min.into_iter().chain(max).chain(rest.iter().copied()) {
        all.0 = if value < all.0 { value } else { all.0 };
        all.1 = if value > all.1 { value } else { all.1 };
    }
    all.2 += rest.iter().sum::<f64>();
    all
}

#[cfg(test)]
mod tests;
