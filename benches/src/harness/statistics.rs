//! What is reported about a number of samples: the median, the quartiles and the range, no mean.
//!
//! On a shared machine a few samples are always far too slow; a mean would be made of them.

/// Median, quartiles and range of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// A quarter of the samples is below.
    pub(crate) low: f64,
    /// A quarter of the samples is above.
    pub(crate) high: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) n: usize,
}

impl Summary {
    /// `None` when there is no sample.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (samples.first()?, samples.last()?);
        let n = samples.len();
        // Of an even number the one in the middle is the mean of two.
        let median = f64::midpoint(samples[(n - 1) / 2], samples[n / 2]);
        let (low, high) = (samples[(n - 1) / 4], samples[n - 1 - (n - 1) / 4]);
        Some(Self { median, low, high, min, max, n })
    }

    /// A figure that was taken once.
    pub(crate) fn once(figure: f64) -> Self {
        Self::counted(figure, 1)
    }

    /// One figure that `n` samples have given, such as a percentile or a sum.
    pub(crate) fn counted(figure: f64, n: usize) -> Self {
        Self { median: figure, low: figure, high: figure, min: figure, max: figure, n }
    }
}

/// The value below which `share` of the sorted values lie.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[f64], median: f64, [low, high]: [f64; 2], [min, max]: [f64; 2]) {
        let expected = Summary { median, low, high, min, max, n: samples.len() };
        assert_eq!(Summary::of(samples.to_vec()), Some(expected), "{samples:?}");
    }

    #[test]
    fn median_quartiles_and_range() {
        check(&[4.0], 4.0, [4.0, 4.0], [4.0, 4.0]);
        check(&[3.0, 1.0], 2.0, [1.0, 3.0], [1.0, 3.0]);
        check(&[9.0, 1.0, 2.0], 2.0, [1.0, 9.0], [1.0, 9.0]);
        check(&[1e9, 2.0, -1.0, 4.0, 3.0], 3.0, [2.0, 4.0], [-1.0, 1e9]);
        assert_eq!(Summary::of(Vec::new()), None);
    }

    #[test]
    fn a_percentile_of_few_values_is_one_of_them() {
        assert_eq!(percentile::<u32>(&[], 0.5), None);
        assert_eq!(percentile(&[1, 2, 3, 4], 0.5), Some(3));
        assert_eq!(percentile(&[1, 2, 3, 4], 1.0), Some(4));
        let thousand: Vec<u32> = (0..1_000).collect();
        assert_eq!(percentile(&thousand, 0.99), Some(990));
    }
}
