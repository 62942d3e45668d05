//! Values reported through the `metrics` facade become columns of a training log.
//!
//! Libraries count requests, measure durations and set gauges through the macros of the
//! [`metrics`](https://docs.rs/metrics) crate, and the program decides what to do with them.
//! [`MetricsRecorder`] keeps the current values and adds them to a row when the training loop logs one, so
//! that they are in the same row as the loss.
//!
//! This crate is an adapter for that facade. The log itself is `qstore-logger`.
//!
//! | reported as | columns | type |
//! |---|---|---|
//! | `counter!("circuits")` | `circuits`: the total since the start | integer |
//! | `gauge!("queue_depth")` | `queue_depth`: the current value | float |
//! | `histogram!("latency_ms")` | `latency_ms_count`, `_mean`, `_min`, `_max`: of the values since the last row; null if there was none | integer, floats |
//!
//! Labels become part of the name: `latency_ms{backend=ion_trap}_mean`. A report never changes a fixed
//! column, and the number of columns is limited; reports without a column are
//! [counted](MetricsRecorder::unmapped).
//!
//! What it is **not**: it logs nothing by itself, has no thread and no interval, and keeps no
//! distribution. Reporting takes a lock for a moment, as the registration of every recorder does; it
//! never waits for a disk.
//!
//! How it differs from an exporter, such as one for Prometheus: there is no endpoint and no scrape
//! interval. Values are read once per row, so they belong to a training step.
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

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod histogram;
mod recorder;

pub use recorder::MetricsRecorder;
