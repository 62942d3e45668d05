//! A smoother line through what is drawn: an exponential moving average, as the slider of TensorBoard computes it.
//!
//! It never replaces the band from the least to the largest value; it is drawn on top of it.

use crate::trace::Trace;

/// The exponential moving average of some values, of which the first count as much as later ones (bias correction:
/// the average is divided by the part of the weights that it has so far). Weight 0 changes nothing; 0.9 averages
/// about ten values. A value that is not finite stays as it is, and counts for nothing.
///
/// ```
/// let smooth = qstore_view::smooth([2.0, 4.0, 4.0], 0.5);
/// assert_eq!(smooth[0], 2.0);
/// assert_eq!(smooth[1], (4.0 * 0.5 + 2.0 * 0.25) / 0.75);
/// ```
#[must_use]
pub fn smooth(values: impl IntoIterator<Item = f64>, weight: f64) -> Vec<f64> {
    // A weight of 1 would be no average at all.
    let weight = if weight.is_finite() { weight.clamp(0.0, 0.999_999) } else { 0.0 };
    let (mut sum, mut counted) = (0.0, 1.0);
    let next = |value: f64| {
        if !value.is_finite() {
            return value;
        }
        sum = sum * weight + value * (1.0 - weight);
        counted *= weight;
        sum / (1.0 - counted)
    };
    values.into_iter().map(next).collect()
}

impl Trace {
    /// The [average](smooth) of the means of its pixel columns, each with the number of its column. Where a column
    /// has one row, that is the average of the rows. It is NaN in a column without a finite value.
    #[must_use]
    pub fn smoothed(&self, weight: f64) -> Vec<(u32, f64)> {
        let means = self.buckets.iter().map(|(_, bucket)| bucket.mean());
        let columns = self.buckets.iter().map(|(column, _)| *column);
        columns.zip(smooth(means, weight)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use crate::grid::Grid;
    use crate::series::Series;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_weighted_mean_of_all_values_so_far(
            values in prop::collection::vec(-9.0..9.0_f64, 1..40), weight in 0.0..0.99_f64,
        ) {
            let found = smooth(values.iter().copied(), weight);
            for (last, found) in found.into_iter().enumerate() {
                let weights = (0..=last).map(|age| weight.powi(age as i32));
                let pairs = weights.clone().zip(values[..=last].iter().rev());
                let expected = pairs.map(|(weight, value)| weight * value).sum::<f64>()
                    / weights.sum::<f64>();
                prop_assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[test]
    fn gaps_stay_and_count_for_nothing() {
        let found = smooth([1.0, f64::NAN, f64::INFINITY, 1.0], 0.9);
        assert!(found[1].is_nan() && found[2] == f64::INFINITY);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[3] - 1.0).abs() < 1e-12);
        assert_eq!(smooth([1.0, 5.0], 0.0), [1.0, 5.0]);
        assert_eq!(smooth([1.0, 5.0], f64::NAN), [1.0, 5.0]);
    }

    #[test]
    fn the_band_is_as_wide_as_before() {
        let xs: Vec<_> = (0..1_000).map(f64::from).collect();
        let values: Vec<_> = (0..1_000).map(|row| f64::from(row % 7)).collect();
        let grid = Grid::covering(0.0, 999.0, 20, Axis::Linear).unwrap();
        let series = Series::of_rows(&xs, &values, grid);
        let smooth = series.traces[0].smoothed(0.9);
        assert!(smooth.iter().all(|(_, value)| (2.5..3.5).contains(value)), "{smooth:?}");
        let total = series.total();
        assert!(total.min.abs() < 1e-12 && (total.max - 6.0).abs() < 1e-12);
    }
}
