//! The summary of a histogram's values between two rows.

use metrics::HistogramFn;
use qstore_os::PerProcess;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Collects values until the summary is taken. A forked child begins without those of its parent.
#[derive(Debug, Default)]
pub(crate) struct Histogram(PerProcess<Mutex<Summary>>);

/// A summary of the values since the last row.
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
    /// NaN if one of the values is; `min` and `max` ignore such a value.
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Histogram {
    /// Takes the summary and starts again from an empty one; `None` if there was no value.
    pub(crate) fn take(&self) -> Option<Summary> {
        let summary = std::mem::take(&mut *self.lock());
        (summary.count > 0).then_some(summary)
    }

    fn lock(&self) -> MutexGuard<'_, Summary> {
        self.0.get_or_make(|_| Mutex::default()).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        let mut summary = self.lock();
        summary.count += 1;
        summary.sum += value;
        summary.min = summary.min.min(value);
        summary.max = summary.max.max(value);
    }
}
