//! One ordinary Parquet file that a writer keeps appending to and anybody can read at any moment.
//!
//! Parquet has its footer at the end, so a file that is being written is not readable and a crash
//! leaves none at all. This crate never writes to a file that readers can see: each flush publishes a
//! new version in one atomic step, and the version before it stays whole until then.
//! `pandas.read_parquet(path)` works during the run, after it, and after a `kill -9`, without any
//! recovery step.
//!
//! While it is written the file is kept twice, so that a flush costs what it adds, however large the
//! file is. [`MetricsFile`] reads a file back and checks it against the checksums it carries;
//! [`validate`] checks all of it. [`RankLog`] is for many writers whose files are one table.
//!
//! What it is **not**: it is no general Parquet library (columns are flat: booleans, 64-bit integers
//! and floats, text) and no database; one file has one writer at a time. Depend on it alone when you
//! have a buffer and rows, and no use for the training vocabulary of `qstore-logger`.
//!
//! # Features
//! `arrow2` (off): `arrow2_rows` takes the chunks of that crate as rows.
//!
//! ```
//! use qstore_buffer::AsyncBuffer;
//! use qstore_parquet::{AsyncMetricsWriter, WriterSettings};
//! use qstore_schema::Row;
//! use std::time::Duration;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("metrics.parquet");
//! let buffer = AsyncBuffer::new(10_000)?;
//! let mut writer = AsyncMetricsWriter::start(buffer.clone(), &path, WriterSettings::default())?;
//! for step in 0..250_i64 {
//!     // Never waits; a full buffer hands the row back.
//!     buffer.push(Row::from([("loss", 1.0 / (1 + step) as f64)]))?;
//! }
//! let summary = writer.stop(Duration::from_secs(10))?;
//! assert_eq!(summary.rows_written, 250);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod columns;
mod error;
mod format;
mod log;
mod publish;
mod read;

pub use columns::table::{Table, TableColumn, Values};
pub use error::{Error, OpenError, ReadError, WriteError};
pub use format::audit::{Audit, Segment};
#[cfg(feature = "arrow2")]
pub use log::arrow2_rows::{ChunkError, arrow2_rows};
pub use log::dataset::RankLog;
pub use log::metrics_log::MetricsLog;
pub use log::settings::{Durability, WriterSettings};
pub use log::stats::WriterStats;
pub use log::writer::AsyncMetricsWriter;
pub use publish::disk::Publishing;
pub use publish::recovery::Recovery;
pub use qstore_os::Priority;
pub use qstore_settings::{Codec, Compression, SettingError};
pub use read::follow::Follow;
pub use read::reader::{Batches, MetricsFile};
pub use read::validate::{Damage, Validation, validate};
