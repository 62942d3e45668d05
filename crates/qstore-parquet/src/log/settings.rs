//! How a metrics file is written.

use crate::format::compression::parquet_codec;
use crate::format::footer::GROUP_ROWS_MAX;
use crate::publish::disk::Policy;
use qstore_os::Priority;
use qstore_schema::{DataType, Field, SmolStr};
use qstore_settings::{Compression, SettingError};
use qstore_storage::Locking;
use std::collections::HashSet;
use std::time::Duration;

/// What a flush survives once it has been acknowledged.
///
/// Rows are written and published in the same way in both. The file is whole after a crash, a kill or a
/// power cut either way; only the newest rows may differ.
///
/// ```
/// use qstore_parquet::{Durability, WriterSettings};
///
/// let settings = WriterSettings::default();
/// assert_eq!(settings.durability, Durability::Sync);
/// // One directory sync less for each flush; a power cut may take the last version or two.
/// let settings = settings.durability(Durability::Flush);
/// assert_eq!(settings.durability, Durability::Flush);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A crash or a kill of the process. A power cut may take the last version or two.
    Flush,
    /// A power cut as well: the directory is synced before the flush is acknowledged.
    #[default]
    Sync,
}

/// Settings of a metrics file, checked once when the file is opened.
///
/// A flush is due after [`flush_interval`](Self::flush_interval) rows or
/// [`flush_after`](Self::flush_after), whichever comes first, but not before a pause that keeps a slow
/// disk from being busy with nothing else ([`publish_pause_min`](Self::publish_pause_min)).
///
/// ```
/// use qstore_parquet::{Compression, WriterSettings};
/// use std::time::Duration;
///
/// let settings = WriterSettings::default()
///     .flush_interval(1_000)
///     .flush_after(Duration::from_secs(2))
///     .compression(Compression::ZSTD.level(3))
///     .run_id("lr-0.01");
/// assert_eq!(settings.compression, "zstd:3".parse()?);
/// # Ok::<(), qstore_parquet::SettingError>(())
/// ```
///
/// A value that cannot be used is reported when the file is opened, with the choices and the default:
///
/// ```
/// use qstore_parquet::{Compression, MetricsLog, OpenError, WriterSettings};
/// use qstore_schema::Row;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let settings = WriterSettings::default().compression(Compression::GZIP.level(11));
/// let Err(OpenError::Setting(error)) = MetricsLog::<Row>::open(&path, settings) else {
///     panic!("gzip has no level 11");
/// };
/// assert_eq!(
///     error.to_string(),
///     "compression is gzip:11; choose gzip with a level from 0 to 9 (default gzip:6)"
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WriterSettings {
    /// Rows after which a flush is due. Default 100, at least 1.
    pub flush_interval: usize,
    /// Time after which a flush is due, however few rows are pending. Default 10 s, more than 0.
    pub flush_after: Duration,
    /// The codec, with a level where wanted: gzip 0–9 (default 6), zstd 1–22 (default 1), lz4, snappy
    /// or none. Default gzip: every reader knows it, and it has a checksum of its own. zstd is about
    /// five times as fast at nearly the same size, lz4 (written as `LZ4_RAW`) faster still and a
    /// quarter larger; see docs/benchmarks.md.
    pub compression: Compression,
    /// Rows of a full row group. Default 65 536, at least 1.
    pub row_group_rows_max: usize,
    /// Bytes of the values of a full row group in memory, 8 for a number: the rows of a wide table fill a
    /// group earlier. Four times as many may be pending. Default 12 MiB, at least 1.
    pub row_group_bytes_max: usize,
    /// The maximum number of pending rows; beyond it the ring fills. Default 196 608, at least 1: one
    /// full group that is being written, one that is being encoded, and one that is filling. The rows
    /// of a published group that is not full yet are in memory as well.
    pub pending_rows_max: usize,
    /// What an acknowledged flush survives. Default [`Durability::Sync`].
    pub durability: Durability,
    /// Whether numbers are written in the plain encoding, for readers that do not support the delta
    /// and byte-stream-split encodings (arrow2, old versions of others). Files become a fifth larger.
    /// Default `false`.
    pub plain_encoding: bool,
    /// The name of this run, for the file's [`Audit`](crate::Audit). Default: a random number.
    pub run_id: Option<String>,
    /// The epoch that this session resumes from, for the file's [`Audit`](crate::Audit). Default none.
    pub resumed_epoch: Option<i64>,
    /// The number of the attempt of the run that this session is, for the file's [`Audit`](crate::Audit).
    /// Default none.
    pub attempt: Option<u64>,
    /// The first row of the sessions before this one that does not count anymore, because this session repeats
    /// its step: see [`MetricsFile::current`](crate::MetricsFile::current). Default none: all of them count.
    pub cut_row: Option<u64>,
    /// Whether every version is a copy that is renamed into place, even where two copies of the file
    /// could be kept. Default `false`.
    pub publish_by_copy: bool,
    /// The size in bytes from which two copies of the file are kept; a smaller file is copied for each
    /// version. Default 256 KiB.
    pub twin_bytes_min: u64,
    /// How long bytes that a version no longer refers to stay in place, for readers that open the path
    /// twice for one read. Default 2 s.
    pub reuse_after: Duration,
    /// The minimum time between two flushes that nobody requested. Default 50 ms.
    ///
    /// It is stretched to 20 times the duration of a publication without its encoding, so that a slow
    /// disk is busy with publications for at most a twentieth of the time.
    pub publish_pause_min: Duration,
    /// How the threads of a background writer share the machine with the training. Default
    /// [`Priority::Batch`]: they never preempt the thread that wakes them. Linux only. A
    /// [`MetricsLog`](crate::MetricsLog) or [`RankLog`](crate::RankLog) with your own drain does not apply
    /// it: pass `DrainSettings::on_start(move || priority.apply())`.
    pub priority: Priority,
    /// Whether to go on where the file system has no locks. Default [`Locking::Required`]: opening is an
    /// error there. With [`Locking::IfSupported`] you guarantee that no other process writes to the file
    /// meanwhile.
    pub locking: Locking,
    /// Columns that the file has from the start, besides the declared ones; see [`column`](Self::column).
    /// Default none.
    pub columns: Vec<Field>,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            flush_interval: 100,
            flush_after: Duration::from_secs(10),
            compression: Compression::GZIP,
            row_group_rows_max: 65_536,
            row_group_bytes_max: 12 << 20,
            pending_rows_max: 196_608,
            durability: Durability::default(),
            plain_encoding: false,
            run_id: None,
            resumed_epoch: None,
            attempt: None,
            cut_row: None,
            publish_by_copy: false,
            twin_bytes_min: 256 * 1024,
            reuse_after: Duration::from_secs(2),
            publish_pause_min: Duration::from_millis(50),
            priority: Priority::default(),
            locking: Locking::Required,
            columns: Vec::new(),
        }
    }
}

impl WriterSettings {
    /// Rows after which a flush is due.
    #[must_use]
    pub fn flush_interval(mut self, rows: usize) -> Self {
        self.flush_interval = rows;
        self
    }

    /// Time after which a flush is due, however few rows are pending.
    #[must_use]
    pub fn flush_after(mut self, time: Duration) -> Self {
        self.flush_after = time;
        self
    }

    /// The codec.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Rows of a full row group, at most 16 777 216.
    #[must_use]
    pub fn row_group_rows_max(mut self, rows: usize) -> Self {
        self.row_group_rows_max = rows;
        self
    }

    /// Bytes of the values of a full row group in memory.
    #[must_use]
    pub fn row_group_bytes_max(mut self, bytes: usize) -> Self {
        self.row_group_bytes_max = bytes;
        self
    }

    /// The maximum number of pending rows.
    #[must_use]
    pub fn pending_rows_max(mut self, rows: usize) -> Self {
        self.pending_rows_max = rows;
        self
    }

    /// What an acknowledged flush survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether numbers are written in the plain encoding.
    #[must_use]
    pub fn plain_encoding(mut self, is_plain: bool) -> Self {
        self.plain_encoding = is_plain;
        self
    }

    /// The name of this run.
    #[must_use]
    pub fn run_id(mut self, id: impl Into<String>) -> Self {
        self.run_id = Some(id.into());
        self
    }

    /// The epoch that this session resumes from.
    #[must_use]
    pub fn resumed_epoch(mut self, epoch: i64) -> Self {
        self.resumed_epoch = Some(epoch);
        self
    }

    /// The number of the attempt of the run that this session is.
    #[must_use]
    pub fn attempt(mut self, number: u64) -> Self {
        self.attempt = Some(number);
        self
    }

    /// The first row of the sessions before this one that does not count anymore. What is beyond the rows of
    /// the file cuts nothing.
    #[must_use]
    pub fn cut_row(mut self, row: u64) -> Self {
        self.cut_row = Some(row);
        self
    }

    /// Whether every version is a copy that is renamed into place.
    #[must_use]
    pub fn publish_by_copy(mut self, by_copy: bool) -> Self {
        self.publish_by_copy = by_copy;
        self
    }

    /// The size in bytes from which two copies of the file are kept.
    #[must_use]
    pub fn twin_bytes_min(mut self, bytes: u64) -> Self {
        self.twin_bytes_min = bytes;
        self
    }

    /// How long bytes that a version no longer refers to stay in place.
    #[must_use]
    pub fn reuse_after(mut self, time: Duration) -> Self {
        self.reuse_after = time;
        self
    }

    /// The minimum time between two flushes that nobody requested.
    #[must_use]
    pub fn publish_pause_min(mut self, pause: Duration) -> Self {
        self.publish_pause_min = pause;
        self
    }

    /// How the threads of a background writer share the machine with the training.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Whether to go on where the file system has no locks.
    #[must_use]
    pub fn locking(mut self, locking: Locking) -> Self {
        self.locking = locking;
        self
    }

    /// A column that the file has from the start, null until a row has a value of it. A row without values is
    /// kept then. A column that the record declares, or that the file has already, stays as it is.
    ///
    /// ```
    /// use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
    /// use qstore_schema::{DataType, Row};
    /// use std::time::Instant;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("metrics.parquet");
    /// let settings = WriterSettings::default().column("val_loss", DataType::Float64);
    /// let mut log = MetricsLog::<Row>::open(&path, settings)?;
    /// log.append(&Row::new(), Instant::now());
    /// log.close()?;
    /// let file = MetricsFile::open(&path)?;
    /// assert_eq!((file.rows(), file.fields().len()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn column(mut self, name: impl Into<SmolStr>, data_type: DataType) -> Self {
        self.columns.push(Field { name: name.into(), data_type, nullable: true });
        self
    }

    /// What concerns publishing.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            patience: self.flush_after,
            publish_by_copy: self.publish_by_copy,
            twin_bytes_min: self.twin_bytes_min,
            reuse_after: self.reuse_after,
            keeps_footers: false,
        }
    }

    /// Whether a file can be opened with them. Opening one checks that as well.
    ///
    /// # Errors
    /// The first setting with a value that cannot be used.
    pub fn validate(&self) -> Result<(), SettingError> {
        SettingError::check_min("flush_interval", self.flush_interval, 1, "100")?;
        if self.flush_after.is_zero() {
            let choices = "a time that is more than 0";
            return Err(SettingError::new("flush_after", "0", choices, "10 s"));
        }
        SettingError::check_min("row_group_rows_max", self.row_group_rows_max, 1, "65 536")?;
        if self.row_group_rows_max > GROUP_ROWS_MAX as usize {
            let choices = "at most 16 777 216, more than which no reader of ours takes";
            let rows = self.row_group_rows_max;
            return Err(SettingError::new("row_group_rows_max", rows, choices, "65 536"));
        }
        SettingError::check_min("row_group_bytes_max", self.row_group_bytes_max, 1, "12 MiB")?;
        SettingError::check_min("pending_rows_max", self.pending_rows_max, 1, "196 608")?;
        let mut names = HashSet::new();
        for Field { name, .. } in &self.columns {
            let choices = match () {
                () if name.is_empty() => "a name",
                () if !names.insert(name) => "each name once",
                () => continue,
            };
            return Err(SettingError::new("columns", name, choices, "none"));
        }
        parquet_codec(self.compression).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_used_is_reported_by_name() {
        let default = WriterSettings::default;
        assert!(default().validate().is_ok());
        for (settings, name) in [
            (default().flush_interval(0), "flush_interval is 0"),
            (default().flush_after(Duration::ZERO), "flush_after is 0"),
            (default().row_group_rows_max(0), "row_group_rows_max is 0"),
            (default().row_group_rows_max((1 << 24) + 1), "row_group_rows_max is 16777217"),
            (default().row_group_bytes_max(0), "row_group_bytes_max is 0"),
            (default().pending_rows_max(0), "pending_rows_max is 0"),
            (default().compression(Compression::ZSTD.level(99)), "compression is zstd:99"),
            (default().column("", DataType::Utf8), "columns is ; choose a name"),
            (
                default().column("a", DataType::Utf8).column("a", DataType::Bool),
                "columns is a; choose each name once",
            ),
        ] {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
