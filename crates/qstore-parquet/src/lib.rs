//! One ordinary Parquet file that a writer keeps appending to and anyone can read at any moment.
//!
//! Parquet has its footer at the end, so a file that is being written is not readable, and a crash
//! leaves no readable file at all. This crate never writes to a file that readers can see: each flush
//! publishes a new version in one atomic step, and the previous version stays intact until then.
//! `pandas.read_parquet(path)` works during the run, after it, and after a `kill -9`, without any
//! recovery step.
//!
//! Two copies of the file are kept while it is written, so that the cost of a flush depends on what it
//! adds and not on the size of the file.
//!
//! | to | use |
//! |---|---|
//! | write rows from a background thread | [`AsyncMetricsWriter`] |
//! | write rows from your own thread | [`MetricsLog`] |
//! | write the rows of many ranks as one table | [`RankLog`], [`compact_rank`] |
//! | read any rows, checked against their checksums | [`MetricsFile`] |
//! | see new rows as they are published, in another process too | [`Follow`] |
//! | check a whole file | [`validate`] |
//! | find out what happened to every row | [`Audit`] |
//!
//! # What happens when
//! * **the process is killed**: the file holds every flushed row. The next session continues it.
//! * **the power fails**: the same with [`Durability::Sync`], the default; with [`Durability::Flush`]
//!   the last version or two may be missing.
//! * **the disk is full or fails**: the previous version stays published, and the rows stay pending until
//!   there is space.
//! * **a value is of another kind than its column's**: it goes into a column of its own, `NAME__text`,
//!   `NAME__number`, `NAME__flag`, `NAME__list` or `NAME__time`. A row is rejected, and counted, only for a declared column.
//! * **another program wrote the file first**: its columns keep their types; see [`MetricsLog::open`].
//! * **a bit flips on the disk**: [`MetricsFile`] and [`validate`] report which values are damaged.
//! * **a second writer opens the file**: it gets [`OpenError::AlreadyOpen`].
//! * **another program wrote the file in a way that this crate does not know**: [`ReadError::Unsupported`],
//!   never damage; what it does know can be read.
//! * **a reader opens the file while it is written**: it sees one whole version, which never changes.
//!
//! What it is **not**: it is not a general Parquet library (columns hold booleans, 64-bit integers
//! and floats, text, times and lists of floats) and not a database; a file has one writer at a time. Depend on it alone when you
//! have a buffer and rows, and do not need the training vocabulary of `qstore-logger`.
//!
//! # With your own drain
//! [`AsyncMetricsWriter`] applies [`WriterSettings::priority`] to its threads. A [`MetricsLog`] or a
//! [`RankLog`] does not change the thread it runs on. If you run one as the sink of your own
//! [`Drain`](qstore_buffer::Drain), pass
//! [`DrainSettings::on_start(move || priority.apply())`](qstore_buffer::DrainSettings::on_start).
//!
//! # Features
//! `arrow2` (off): `arrow2_rows` turns the chunks of that crate into rows.
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
//! let mut writer = AsyncMetricsWriter::start(buffer, &path, WriterSettings::default())?;
//! for step in 0..250_i64 {
//!     // Never waits. If the ring is full, the row is dropped and counted, and the loop continues.
//!     writer.log(Row::from([("loss", 1.0 / (1 + step) as f64)]))?;
//! }
//! let summary = writer.stop(Duration::from_secs(10))?;
//! assert_eq!(summary.rows_written, 250);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod columns;
mod error;
mod format;
mod log;
mod publish;
mod read;

pub use columns::numbers::Numbers;
pub use columns::table::{Table, TableColumn, Values};
pub use columns::time_type::{TimeOf, TimeType, TimeUnit};
pub use error::{CompactError, Error, Occupant, OpenError, ReadError, WriteError};
pub use format::audit::{Audit, Segment};
pub use log::appended::Appended;
#[cfg(feature = "arrow2")]
pub use log::arrow2_rows::{ChunkError, arrow2_rows};
pub use log::dataset::RankLog;
pub use log::dataset::compact::{Compacted, compact_rank, compact_rank_in};
pub use log::dataset::settings::DatasetSettings;
pub use log::metrics_log::MetricsLog;
pub use log::settings::{Durability, WriterSettings};
pub use log::stats::WriterStats;
pub use log::writer::AsyncMetricsWriter;
pub use publish::disk::Publishing;
pub use publish::recovery::Recovery;
pub use publish::rescue::{Rescue, recoverable};
pub use qstore_os::Priority;
pub use qstore_settings::{Codec, Compression, SettingError};
pub use qstore_storage::Locking;
pub use read::bounds::Bounds;
pub use read::chunks::{Chunk, Extent, RowGroup};
pub use read::follow::Follow;
pub use read::reader::{Batches, MetricsFile};
pub use read::validate::{Damage, Unchecked, Validation, validate};
