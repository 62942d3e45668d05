//! Many writers, one table: a directory for each rank, with a file for each part.
//!
//! ```text
//! DIR/rank=0/part-00000.parquet
//! DIR/rank=0/part-00001.parquet
//! DIR/rank=1/part-00000.parquet
//! ```
//!
//! This is Hive partitioning, which pandas, polars, DuckDB and Spark read as one table with a column
//! `rank`. Every rank writes independently: there is no coordinator, and no file is shared by two ranks.
//! A part is closed and the next one begun when it is large; a part is an ordinary metrics file.
//!
//! A metric that was added late is only in the later parts. DuckDB reads it with `union_by_name = true`;
//! without that it shows the columns of the first part, as pandas and pyarrow do. polars rejects parts
//! that differ: read them one by one and `concat(…, how="diagonal")` them.

use crate::error::{OpenError, WriteError};
use crate::log::appended::Appended;
use crate::log::metrics_log::MetricsLog;
use crate::log::settings::WriterSettings;
use crate::log::stats::WriterStats;
use qstore_buffer::{BufferStats, Progress, Round, Sink};
use qstore_schema::Record;
use qstore_settings::SettingError;
use qstore_storage::{FileSystem, LocalFs, Lock, create_dir_all, open_dir};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The metrics of one rank of a run, in a directory that all ranks share.
///
/// It is a [`Sink`], as [`MetricsLog`] is. When a part has reached its size it is closed and the next
/// one is opened with the same columns; meanwhile no rows are received, they wait in the ring. A rank
/// that is restarted continues its last part. A rank has one writer, and ranks never wait for each
/// other.
///
/// ```
/// use qstore_parquet::{RankLog, WriterSettings};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// for rank in 0..2 {
///     let settings = WriterSettings::default();
///     let mut log = RankLog::<Row>::open(dir.join("metrics"), rank, 1 << 30, settings)?;
///     log.append(&Row::from([("loss", 0.5)]), Instant::now());
///     log.close()?;
/// }
/// assert!(dir.join("metrics/rank=1/part-00000.parquet").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RankLog<R> {
    /// The directory of the rank, which was opened.
    storage: Arc<dyn FileSystem>,
    settings: WriterSettings,
    part_bytes_max: u64,
    part: u32,
    log: MetricsLog<R>,
    /// Whether the part is being closed and another will follow.
    is_rolling: bool,
    /// The counters of the parts before this one.
    earlier: WriterStats,
    /// Keeps a second writer of this rank out; released last.
    lock: Option<Box<dyn Lock>>,
}

impl<R: Record + Send + 'static> RankLog<R> {
    /// Opens or creates the directory of this rank and continues its last part, or begins a new one if
    /// the last has `part_bytes_max` bytes already. A gigabyte is a good size; at least 1.
    ///
    /// # Errors
    /// As [`MetricsLog::open`]; [`OpenError::AlreadyOpen`] when another writer has this rank.
    pub fn open(
        dir: impl AsRef<Path>,
        rank: u32,
        part_bytes_max: u64,
        settings: WriterSettings,
    ) -> Result<Self, OpenError> {
        Self::open_in(Arc::new(LocalFs::new()), dir, rank, part_bytes_max, settings)
    }

    /// As [`open`](Self::open), on any file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[expect(clippy::needless_pass_by_value, reason = "as every `open_in`")]
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
        rank: u32,
        part_bytes_max: u64,
        settings: WriterSettings,
    ) -> Result<Self, OpenError> {
        SettingError::check_min(
            "part_bytes_max",
            part_bytes_max,
            1,
            "none; a gigabyte is a good size",
        )?;
        let dir = dir.as_ref().join(format!("rank={rank}"));
        create_dir_all(&*storage, &dir)?;
        // Later parts are begun in this directory, whatever its name is then.
        let storage = open_dir(&storage, &dir)?;
        let Some(lock) = settings.locking.try_lock(&*storage, Path::new(".rank.lock"))? else {
            return Err(OpenError::AlreadyOpen { path: dir });
        };
        let part = last_part(&*storage)?;
        let log = MetricsLog::open_in(Arc::clone(&storage), path_of(part), settings.clone())?;
        let earlier = WriterStats::new(&dir, 0);
        let is_rolling = log.file_bytes() >= part_bytes_max;
        let mut log = Self {
            storage,
            settings,
            part_bytes_max,
            part,
            log,
            is_rolling,
            earlier,
            lock: Some(lock),
        };
        if log.is_rolling {
            log.roll()?;
        }
        Ok(log)
    }

    /// Adds one row to the pending ones, as [`MetricsLog::append`].
    pub fn append(&mut self, record: &R, now: Instant) -> Appended {
        self.log.append(record, now)
    }

    /// Publishes every row appended so far before it returns, and begins a new part if this one is
    /// large enough.
    ///
    /// # Errors
    /// When the rows could not be published; they stay pending.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        while Sink::flush(self)?.run()? {}
        if self.log.file_bytes() >= self.part_bytes_max {
            self.is_rolling = true;
            while Sink::flush(self)?.run()? {}
        }
        Ok(())
    }

    /// Flushes and closes the part.
    ///
    /// # Errors
    /// When the last version could not be published; `close` can be called again.
    pub fn close(&mut self) -> Result<(), WriteError> {
        self.log.close()
    }

    /// Writes the rows of this part as a new file, as [`MetricsLog::save_as`]; earlier parts are files of
    /// their own.
    ///
    /// # Errors
    /// As [`MetricsLog::save_as`].
    pub fn save_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        let path = std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().into());
        self.log.save_as(path)
    }

    /// As [`save_as`](Self::save_as), but only the rows that are in no published version.
    ///
    /// # Errors
    /// As [`MetricsLog::save_as`].
    pub fn save_pending_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        let path = std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().into());
        self.log.save_pending_as(path)
    }

    /// Begins the next part, with the columns of this one.
    fn roll(&mut self) -> Result<(), WriteError> {
        let (storage, path) = (Arc::clone(&self.storage), path_of(self.part + 1));
        let fields = self.log.fields();
        let next = MetricsLog::open_with(storage, &path, self.settings.clone(), &fields)?;
        let last = std::mem::replace(&mut self.log, next);
        self.earlier = sum(&self.earlier, &Sink::stats(&last));
        self.part += 1;
        self.is_rolling = false;
        Ok(())
    }

    /// Continues closing the part; once it is closed, opens the next one.
    fn keep_rolling(&mut self) -> Result<Progress<WriteError>, WriteError> {
        let progress = Sink::close(&mut self.log)?;
        if let Progress::Idle = progress {
            self.roll()?;
        }
        Ok(progress)
    }
}

impl<R: Record + Send + 'static> Sink<R> for RankLog<R> {
    type Error = WriteError;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        if self.is_rolling { 0 } else { self.log.capacity() }
    }

    fn receive(&mut self, batch: &mut Vec<R>, round: &mut Round<'_>) -> Result<(), WriteError> {
        self.log.receive(batch, round)
    }

    fn observe(&mut self, intake: &BufferStats) {
        self.log.observe(intake);
    }

    fn tick(&mut self, now: Instant) -> Result<Progress<WriteError>, WriteError> {
        if !self.is_rolling {
            let progress = self.log.tick(now)?;
            self.is_rolling =
                matches!(progress, Progress::Idle) && self.log.file_bytes() >= self.part_bytes_max;
            if !self.is_rolling {
                return Ok(progress);
            }
        }
        self.keep_rolling()
    }

    fn flush(&mut self) -> Result<Progress<WriteError>, WriteError> {
        if self.is_rolling {
            // Closing publishes what is pending, and nothing is received meanwhile.
            if let Progress::Work(work) = self.keep_rolling()? {
                return Ok(Progress::Work(work));
            }
        }
        Sink::flush(&mut self.log)
    }

    fn close(&mut self) -> Result<Progress<WriteError>, WriteError> {
        self.is_rolling = false;
        Sink::close(&mut self.log)
    }

    fn is_final(&self, error: &WriteError) -> bool {
        self.log.is_final(error)
    }

    fn release(&mut self) {
        self.log.release();
        self.lock = None;
    }

    fn stats(&self) -> WriterStats {
        sum(&self.earlier, &Sink::stats(&self.log))
    }
}

impl<R> fmt::Debug for RankLog<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RankLog")
            .field("part", &self.part)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

fn path_of(part: u32) -> PathBuf {
    format!("part-{part:05}.parquet").into()
}

/// The part with the highest number; 0 if there is none.
fn last_part(dir: &dyn FileSystem) -> Result<u32, OpenError> {
    let entries = dir.list(Path::new("."))?;
    let numbers = entries.iter().filter_map(|entry| {
        entry.name.to_str()?.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok()
    });
    Ok(numbers.max().unwrap_or(0))
}

/// The counters of both, the state of the later one.
fn sum(earlier: &WriterStats, later: &WriterStats) -> WriterStats {
    WriterStats {
        rows_written: earlier.rows_written + later.rows_written,
        file_rows: earlier.file_rows + later.file_rows,
        flushes: earlier.flushes + later.flushes,
        errors: earlier.errors + later.errors,
        rejected_rows: earlier.rejected_rows + later.rejected_rows,
        omitted_values: earlier.omitted_values + later.omitted_values,
        bytes_written: earlier.bytes_written + later.bytes_written,
        ..later.clone()
    }
}
