//! What is told about a number of samples: the median and the spread, no mean.
//!
//! On a shared machine a few samples are always far too slow; a mean would be made of them.

/// Median and range of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
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
        Some(Self { median, min, max, n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[f64], median: f64, min: f64, max: f64) {
        let expected = Summary { median, min, max, n: samples.len() };
        assert_eq!(Summary::of(samples.to_vec()), Some(expected), "{samples:?}");
    }

    #[test]
    fn median_and_range() {
        check(&[4.0], 4.0, 4.0, 4.0);
        check(&[3.0, 1.0], 2.0, 1.0, 3.0);
        check(&[9.0, 1.0, 2.0], 2.0, 1.0, 9.0);
        check(&[1e9, 2.0, -1.0, 4.0], 3.0, -1.0, 1e9);
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
