//! What is kept of a histogram's values between two rows.

use metrics::HistogramFn;
use std::sync::{Mutex, PoisonError};

/// Collects values until somebody takes the summary.
#[derive(Debug, Default)]
pub(crate) struct Histogram(Mutex<Summary>);

/// Of the values since the last row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: i64,
    sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Default for Summary {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Summary {
    /// A NaN among the values makes it NaN, as it should; `min` and `max` pass it over.
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Histogram {
    /// The summary, and begins anew; `None` if no value came since.
    pub(crate) fn take(&self) -> Option<Summary> {
        let summary = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (summary.count > 0).then_some(summary)
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.count += 1;
        summary.sum += value;
        summary.min = summary.min.min(value);
        summary.max = summary.max.max(value);
    }
}
