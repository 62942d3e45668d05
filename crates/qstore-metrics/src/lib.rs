//! What code reports through the `metrics` facade, as columns of a training log.
//!
//! Libraries count requests, measure durations and set gauges through the macros of the
//! [`metrics`](https://docs.rs/metrics) crate and leave it to the program what becomes of them.
//! [`MetricsRecorder`] keeps the present values and adds them to a row when the loop logs one, so that
//! they stand beside the loss of the same step.
//!
//! | reported as | columns | type |
//! |---|---|---|
//! | `counter!("circuits")` | `circuits`: the total since the start | integer |
//! | `gauge!("queue_depth")` | `queue_depth`: the value now | float |
//! | `histogram!("latency_ms")` | `latency_ms_count`, `_mean`, `_min`, `_max`: of the values since the last row; null where there was none | integer, floats |
//!
//! Labels become part of the name: `latency_ms{backend=ion_trap}_mean`. No report touches one of the
//! fixed columns, and there is an end to the columns; what has none is
//! [counted](MetricsRecorder::unmapped).
//!
//! What it is **not**: it logs nothing by itself, has no thread and no interval, and keeps no
//! distribution. Reporting takes a lock for a moment, as every facade recorder's registration does;
//! it never waits for a disk.
//!
//! ```
//! use qstore_logger::{AsyncMetricsLogger, MetricsRow};
//! use qstore_metrics::MetricsRecorder;
//! use std::time::Duration;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("metrics.parquet");
//! let mut logger = AsyncMetricsLogger::open(&path)?;
//! let recorder = MetricsRecorder::install()?;
//! for step in 0..10 {
//!     metrics::counter!("circuits").increment(3);
//!     metrics::histogram!("latency_ms").record(1.5);
//!     logger.log_step(recorder.onto(MetricsRow::step(0, step, 0.5)))?;
//! }
//! assert_eq!(logger.stop(Duration::from_secs(10))?.writer.rows_written, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod histogram;
mod recorder;

pub use recorder::MetricsRecorder;
