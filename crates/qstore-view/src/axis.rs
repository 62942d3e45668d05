//! The two axes of a picture: what x is, how y becomes a row of pixels.
//!
//! Invariant: a larger value is never in a lower row of pixels. So the least and the largest value of a pixel
//! column are its lowest and its highest pixel, and nothing else of the column is needed.

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Axis {
    /// Evenly.
    #[default]
    Linear,
    /// By powers.
    Log,
}

/// What x is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum XAxis {
    /// The column `step`. Rows that sum up an epoch, whose step is −1, are left out.
    #[default]
    Step,
    /// The column `epoch`.
    Epoch,
    /// The column `timestamp`, in seconds since 1970.
    Time,
    /// The same, in seconds since the first row that counts.
    Relative,
    /// The number of the row in the file, counted from 0.
    Row,
}

impl XAxis {
    /// The column that has it.
    #[must_use]
    pub fn column(self) -> Option<&'static str> {
        match self {
            Self::Step => Some("step"),
            Self::Epoch => Some("epoch"),
            Self::Time | Self::Relative => Some("timestamp"),
            Self::Row => None,
        }
    }

    /// What is written below the axis.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Time => "time (UTC)",
            Self::Relative => "time since the start",
            Self::Row => "row",
        }
    }
}

/// The y axis of a picture: its ends, and how it is divided.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct YAxis {
    /// The value at the lower rim.
    pub low: f64,
    /// The value at the upper rim.
    pub high: f64,
    /// How it is divided.
    pub axis: Axis,
}

impl YAxis {
    /// An axis from the least to the largest of these values, which are finite. A single value gets some room on both
    /// sides. A log axis begins at the least value above 0, or shows 1 to 10 if there is none.
    #[must_use]
    pub fn covering(values: impl IntoIterator<Item = f64>, axis: Axis) -> Self {
        let is_shown = |value: &f64| value.is_finite() && (axis == Axis::Linear || *value > 0.0);
        let mut ends: Option<(f64, f64)> = None;
        for value in values.into_iter().filter(is_shown) {
            let (low, high) = ends.unwrap_or((value, value));
            ends = Some((low.min(value), high.max(value)));
        }
        let (mut low, mut high) = ends.unwrap_or(match axis {
            Axis::Linear => (0.0, 1.0),
            Axis::Log => (1.0, 10.0),
        });
        if low >= high {
            (low, high) = match axis {
                Axis::Linear if low == 0.0 => (-1.0, 1.0),
                Axis::Linear => (low - low.abs() * 0.1, high + high.abs() * 0.1),
                Axis::Log => (low / 2.0, high * 2.0),
            };
            (low, high) = (low.max(-f64::MAX), high.min(f64::MAX));
        }
        Self { low, high, axis }
    }

    /// The same axis with that part of its length added at both ends.
    #[must_use]
    pub fn with_margin(self, part: f64) -> Self {
        let Self { low, high, axis } = self;
        let (low, high) = match axis {
            Axis::Linear => {
                let more = (high * part) - (low * part);
                ((low - more).max(-f64::MAX), (high + more).min(f64::MAX))
            }
            Axis::Log => {
                let more = (high / low).powf(part);
                ((low / more).max(f64::MIN_POSITIVE), (high * more).min(f64::MAX))
            }
        };
        Self { low, high, axis }
    }

    /// Where a value is: 0 is the lower rim, 1 the upper one. Values that a log axis cannot show are at −∞.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        match self.axis {
            // Halves, so that the length of the axis does not overflow.
            Axis::Linear => (value * 0.5 - self.low * 0.5) / (self.high * 0.5 - self.low * 0.5),
            Axis::Log if value > 0.0 => {
                let low = self.low.log2();
                (value.log2() - low) / (self.high.log2() - low)
            }
            Axis::Log => f64::NEG_INFINITY,
        }
    }

    /// The row of pixels of a value, of `rows`; row 0 is the highest. Values beyond the axis are at its rims.
    #[must_use]
    pub fn row(&self, value: f64, rows: usize) -> usize {
        let last = rows.saturating_sub(1);
        // The conversion keeps to the range of the type, and turns −∞ into 0.
        let up = (self.place(value) * rows as f64) as usize;
        last - up.min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any() -> impl Strategy<Value = f64> {
        prop_oneof![
            -9.0..9.0_f64,
            prop::num::f64::NORMAL,
            Just(0.0),
            Just(f64::MAX),
            Just(-f64::MAX)
        ]
    }

    proptest! {
        #[test]
        fn a_larger_value_is_never_lower(
            ends in prop::collection::vec(any(), 0..3),
            one in any(),
            other in any(),
            is_log: bool,
            rows in 1_usize..500,
        ) {
            let axis = if is_log { Axis::Log } else { Axis::Linear };
            let y = YAxis::covering(ends.iter().copied(), axis);
            prop_assert!(y.low < y.high, "{y:?}");
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(y.row(less, rows) >= y.row(more, rows));
            prop_assert_eq!((y.row(y.low, rows), y.row(y.high, rows)), (rows - 1, 0));
            let wide = y.with_margin(0.05);
            prop_assert!(wide.low <= y.low && wide.high >= y.high);
        }
    }

    #[test]
    fn a_log_axis_begins_at_the_least_value_that_it_can_show() {
        let y = YAxis::covering([-3.0, 0.0, 0.01, 100.0, f64::INFINITY], Axis::Log);
        assert_eq!((y.low, y.high), (0.01, 100.0));
        assert_eq!((y.row(1.0, 4), y.row(-3.0, 4), y.row(100.0, 4)), (1, 3, 0));
    }
}
