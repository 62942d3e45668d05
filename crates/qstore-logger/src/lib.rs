//! Training metrics, logged in one line and written in the background.
//!
//! [`AsyncMetricsLogger`] stamps the time, puts the row into a ring and returns; a background thread
//! does the rest. The 18 columns of [`TrainingMetrics`](qstore_schema::TrainingMetrics) always exist, and
//! any other metric you log becomes a column of its own.
//!
//! | | is |
//! |---|---|
//! | a row that was stored in the ring | `Ok(Logged::Accepted)` |
//! | a row that found the ring full, and was dropped by the default policy | `Ok(Logged::Dropped)`, counted; the first is a `tracing` warning and stays in [`health`](AsyncMetricsLogger::health) |
//! | a row after the logger was stopped | `Err(LogError::Stopped)` |
//! | a row in a forked child of the process that opened the logger | `Err(LogError::Forked)` |
//! | a full disk, or any other error of the writer | not an error of the call: the row was stored. It is in [`health`](AsyncMetricsLogger::health), in the result of [`stop`](AsyncMetricsLogger::stop), and a `tracing` warning the first time |
//!
//! So `logger.log_step(row)?` ends a run only when logging has ended.
//!
//! What it is **not**: it draws nothing, keeps no history in memory and talks to no server. It is
//! generic over the sink and depends on no file format; the feature `parquet` adds
//! `AsyncMetricsLogger::open`, which takes a path.
//!
#![cfg_attr(feature = "parquet", doc = "```")]
#![cfg_attr(not(feature = "parquet"), doc = "```ignore")]
//! use qstore_logger::{AsyncMetricsLogger, MetricsRow};
//! use std::time::Duration;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("metrics.parquet");
//! let mut logger = AsyncMetricsLogger::open(&path)?;
//! for step in 0..20 {
//!     let loss = 1.0 / (1 + step) as f64;
//!     logger.log_step(MetricsRow::step(0, step, loss).with("learning_rate", 0.01))?;
//! }
//! logger.log_epoch(0, [("loss", 0.2), ("accuracy", 0.9)], [("loss", 0.3), ("accuracy", 0.85)])?;
//!
//! let summary = logger.stop(Duration::from_secs(10))?;
//! assert_eq!((summary.writer.rows_written, summary.buffer.dropped), (21, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! `parquet` (default) — `AsyncMetricsLogger::open`.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(all(doctest, feature = "parquet"))]
#[doc = include_str!("../README.md")]
mod readme {}

mod clock;
mod epoch;
mod error;
mod handle;
mod logger;
#[cfg(feature = "parquet")]
mod parquet;
mod row;
mod settings;

pub use error::{LogError, OpenError};
pub use handle::{LogHandle, NamedRow};
pub use logger::{AsyncMetricsLogger, LoggerStats};
#[cfg(feature = "parquet")]
pub use parquet::ParquetMetricsLogger;
pub use qstore_buffer::{DrainError, Health, Loss, Losses, Lost};
pub use qstore_schema::Logged;
pub use row::MetricsRow;
pub use settings::LoggerSettings;
