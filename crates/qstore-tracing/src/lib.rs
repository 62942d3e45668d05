//! Events of [`tracing`](https://docs.rs/tracing) that carry numbers, as rows of metrics.
//!
//! Code that already says `tracing::info!(step, loss, "step done")` needs no second call:
//! [`MetricsLayer`] turns each event with a number in it into a row. Numbers and flags become
//! columns, and so do texts beside them; the message and `%`/`?` fields do not. Fields of the spans
//! around an event belong to its row, so that an epoch is said once; the innermost value counts.
//!
//! Only events of one target are taken, with everything below it: other people's libraries put
//! numbers into their events, too. A row that finds the ring full is dropped and counted like any
//! other.
//!
//! What it is **not**: it prints nothing, filters no levels (use `with_filter`), and waits for nothing
//! unless the logger's `Overflow` does. What is said while a row is being logged, by a hook for lost
//! rows say, makes no row itself.
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
//! `MetricsLayer<MetricsRow>` fills the fixed columns by their names and writes into the same file as
//! `log_step`; columns that an event does not name have their defaults. `MetricsLayer<Row>` has only
//! the columns that events name, and `timestamp`: better for a file of its own.

#![forbid(unsafe_code)]

mod fields;
mod layer;

pub use layer::MetricsLayer;
