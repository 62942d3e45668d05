//! Many writers, one table: a directory for each rank, and in it a file for each part.
//!
//! ```text
//! DIR/rank=0/part-00000.parquet
//! DIR/rank=0/part-00001.parquet
//! DIR/rank=1/part-00000.parquet
//! ```
//!
//! This is the layout of Hive, which pandas, polars, DuckDB and Spark read as one table with a column
//! `rank`. Every rank writes by itself: there is no coordinator, and no file that two of them touch.
//! A part is closed and the next one begun when it is large; a part is a metrics file like any other.
//!
//! A metric that came late stands only in the later parts. DuckDB reads it with `union_by_name = true`;
//! without that it shows the columns of the first part, as pandas and pyarrow do. polars refuses parts
//! that differ: read them one by one and `concat(…, how="diagonal")` them.

use crate::{Error, MetricsLog, WriterSettings, WriterStats};
use qstore_buffer::{BufferStats, Progress, Round, Sink};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs, Lock, create_dir_all};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What one rank of a run writes into a directory that all of them share.
///
/// It is a [`Sink`], as [`MetricsLog`] is. While a part is closed no rows are received; they wait in
/// the ring.
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
    storage: Arc<dyn FileSystem>,
    dir: PathBuf,
    settings: WriterSettings,
    part_bytes_max: u64,
    part: u32,
    log: MetricsLog<R>,
    /// Whether the part is being closed and another will follow.
    is_rolling: bool,
    /// What the parts before this one have written.
    earlier: WriterStats,
    /// Keeps a second writer of this rank away; released last.
    _lock: Box<dyn Lock>,
}

impl<R: Record + Send + 'static> RankLog<R> {
    /// Opens or creates the directory of this rank and goes on with its last part, or with a new one
    /// if that has `part_bytes_max` bytes already.
    ///
    /// # Errors
    /// As [`MetricsLog::open`]; `AlreadyOpen` when another writer has this rank.
    pub fn open(
        dir: impl AsRef<Path>,
        rank: u32,
        part_bytes_max: u64,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        Self::open_in(Arc::new(LocalFs::new()), dir, rank, part_bytes_max, settings)
    }

    /// As [`open`](Self::open), on any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        dir: impl AsRef<Path>,
        rank: u32,
        part_bytes_max: u64,
        settings: WriterSettings,
    ) -> Result<Self, Error> {
        if part_bytes_max == 0 {
            let advice = "it must be at least 1; a gigabyte is a good size";
            return Err(Error::Setting { setting: "part_bytes_max", value: "0".into(), advice });
        }
        let dir = dir.as_ref().join(format!("rank={rank}"));
        create_dir_all(&*storage, &dir)?;
        let Some(lock) = storage.try_lock(&dir.join(".rank.lock"))? else {
            return Err(Error::AlreadyOpen { path: dir });
        };
        let part = last_part(&*storage, &dir)?;
        let log = MetricsLog::open_in(Arc::clone(&storage), path_of(&dir, part), settings.clone())?;
        let earlier = WriterStats::new(&dir, 0);
        let is_rolling = log.file_bytes() >= part_bytes_max;
        let mut log = Self {
            storage,
            dir,
            settings,
            part_bytes_max,
            part,
            log,
            is_rolling,
            earlier,
            _lock: lock,
        };
        if log.is_rolling {
            log.roll()?;
        }
        Ok(log)
    }

    /// Adds one row to those that wait, as [`MetricsLog::append`].
    pub fn append(&mut self, record: &R, now: Instant) {
        self.log.append(record, now);
    }

    /// Publishes every row appended so far, before it returns, and begins a new part if this one is
    /// large enough.
    ///
    /// # Errors
    /// When they could not be published; they stay pending.
    pub fn flush(&mut self) -> Result<(), Error> {
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
    /// When it could not be published; it can be tried again.
    pub fn close(&mut self) -> Result<(), Error> {
        self.log.close()
    }

    /// Begins the next part, with the columns this one has.
    fn roll(&mut self) -> Result<(), Error> {
        let (storage, path) = (Arc::clone(&self.storage), path_of(&self.dir, self.part + 1));
        let fields = self.log.fields();
        let next = MetricsLog::open_with(storage, &path, self.settings.clone(), &fields)?;
        let last = std::mem::replace(&mut self.log, next);
        self.earlier = sum(&self.earlier, &Sink::stats(&last));
        self.part += 1;
        self.is_rolling = false;
        Ok(())
    }

    /// Goes on closing the part; once that is done the next one is open.
    fn keep_rolling(&mut self) -> Result<Progress<Error>, Error> {
        let progress = Sink::close(&mut self.log)?;
        if let Progress::Idle = progress {
            self.roll()?;
        }
        Ok(progress)
    }
}

impl<R: Record + Send + 'static> Sink<R> for RankLog<R> {
    type Error = Error;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        if self.is_rolling { 0 } else { self.log.capacity() }
    }

    fn receive(&mut self, batch: &mut Vec<R>, round: &mut Round<'_>) -> Result<(), Error> {
        self.log.receive(batch, round)
    }

    fn observe(&mut self, intake: &BufferStats) {
        self.log.observe(intake);
    }

    fn tick(&mut self, now: Instant) -> Result<Progress<Error>, Error> {
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

    fn flush(&mut self) -> Result<Progress<Error>, Error> {
        if self.is_rolling {
            // Closing publishes what waits, and nothing is received meanwhile.
            if let Progress::Work(work) = self.keep_rolling()? {
                return Ok(Progress::Work(work));
            }
        }
        Sink::flush(&mut self.log)
    }

    fn close(&mut self) -> Result<Progress<Error>, Error> {
        self.is_rolling = false;
        Sink::close(&mut self.log)
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

fn path_of(dir: &Path, part: u32) -> PathBuf {
    dir.join(format!("part-{part:05}.parquet"))
}

/// The part with the highest number; 0 if there is none.
fn last_part(storage: &dyn FileSystem, dir: &Path) -> Result<u32, Error> {
    let number = |name: &str| name.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok();
    let entries = storage.list(dir)?;
    Ok(entries.iter().filter_map(|entry| number(entry.name.to_str()?)).max().unwrap_or(0))
}

/// The counters of both, the state of the later one.
fn sum(earlier: &WriterStats, later: &WriterStats) -> WriterStats {
    WriterStats {
        rows_written: earlier.rows_written + later.rows_written,
        file_rows: earlier.file_rows + later.file_rows,
        flushes: earlier.flushes + later.flushes,
        errors: earlier.errors + later.errors,
        rejected_rows: earlier.rejected_rows + later.rejected_rows,
        names_turned_away: earlier.names_turned_away + later.names_turned_away,
        bytes_written: earlier.bytes_written + later.bytes_written,
        ..later.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MetricsFile, Values};
    use qstore_schema::Row;
    use qstore_storage::MemoryFs;

    #[test]
    fn parts_follow_each_other_and_every_row_is_in_one() {
        let memory = MemoryFs::new();
        let mut next = 0_i64;
        for session in 0..3 {
            let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
            let settings = WriterSettings::default();
            let mut log = RankLog::open_in(storage, "/run", 7, 6_000, settings).unwrap();
            for _ in 0..40 {
                for _ in 0..20 {
                    let mut row = Row::from([("n", next)]);
                    row.set("loss", (next as f64).sin());
                    log.append(&row, Instant::now());
                    next += 1;
                }
                log.flush().unwrap();
            }
            log.close().unwrap();
            assert_eq!(log.stats().rows_written, 800, "session {session}");
        }
        let dir = Path::new("/run/rank=7");
        let parts = last_part(&memory, dir).unwrap() + 1;
        assert!(parts > 3, "{parts} parts");
        assert_eq!(memory.list(dir).unwrap().len(), parts as usize, "and nothing else");
        let mut found = Vec::new();
        for part in 0..parts {
            let file = MetricsFile::open_in(&memory, path_of(dir, part)).unwrap();
            assert!(file.audit().unwrap().closed && file.len() < 20_000);
            match file.read(&["n"], 0..u64::MAX).unwrap().column("n") {
                Some(Values::Int(numbers)) => found.extend(numbers.iter().copied().flatten()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, (0..next).collect::<Vec<_>>());
    }

    #[test]
    fn a_rank_has_one_writer_and_ranks_do_not_meet() {
        let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let open = |rank| {
            let settings = WriterSettings::default();
            RankLog::<Row>::open_in(Arc::clone(&storage), "/run", rank, 1 << 20, settings)
        };
        let first = open(0).unwrap();
        let other = open(1).unwrap();
        assert!(matches!(open(0), Err(Error::AlreadyOpen { .. })));
        drop((first, other));
        open(0).unwrap();
        let nothing = RankLog::<Row>::open_in(storage, "/run", 0, 0, WriterSettings::default());
        assert!(matches!(nothing, Err(Error::Setting { setting: "part_bytes_max", .. })));
    }
}
