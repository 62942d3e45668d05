//! Events of [`tracing`](https://docs.rs/tracing) that carry numbers become rows of metrics.
//!
//! Code that already calls `tracing::info!(step, loss, "step done")` needs no second call.
//!
//! | in an event | in its row |
//! |---|---|
//! | a number or a flag | a column |
//! | a text beside a number | a column |
//! | the message, and fields recorded with `%` or `?` | nothing |
//! | a field of a span around the event | a column; the innermost value counts, and the event's own before all |
//! | an unsigned number beyond 2^63 | a text; beside smaller numbers, in the column `NAME__text` |
//! | no number and no flag | there is no row |
//!
//! Only events of one target and those below it are taken, because other libraries put numbers into
//! their events, too. A row that finds the ring full is dropped and counted like any other.
//!
//! What it is **not**: it prints nothing, filters no levels (use `with_filter`), and never waits unless
//! the logger's `Overflow` policy does. Events that occur while a row is being logged, for example in a
//! hook for lost rows, make no row themselves.
//!
//! How it differs from a layer that writes JSON lines: the result is one typed table with a column per
//! field, in the same file as `log_step`, and writing happens in the background.
//!
//! ```
//! use qstore_logger::{AsyncMetricsLogger, MetricsRow};
//! use qstore_tracing::MetricsLayer;
//! use std::time::Duration;
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("metrics.parquet");
//! let mut logger = AsyncMetricsLogger::open(&path)?;
//! let layer = MetricsLayer::<MetricsRow>::new(logger.handle(), "training");
//! let subscriber = tracing_subscriber::registry().with(layer);
//! tracing::subscriber::with_default(subscriber, || {
//!     let _epoch = tracing::info_span!(target: "training", "epoch", epoch = 3).entered();
//!     for step in 0..10 {
//!         tracing::info!(target: "training", step, train_loss = 0.5, accuracy = 0.9, "step done");
//!     }
//! });
//! assert_eq!(logger.stop(Duration::from_secs(10))?.writer.rows_written, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which row
//! `MetricsLayer<MetricsRow>` fills the fixed columns by name and writes to the same file as `log_step`;
//! columns that an event does not name have their defaults. `MetricsLayer<Row>` has only the columns that
//! events name, and `timestamp`, which suits a file of its own.

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod fields;
mod layer;

pub use layer::MetricsLayer;
