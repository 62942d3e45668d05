//! Many writers, one table: a directory for each rank, with a file for each part.
//!
//! ```text
//! DIR/rank=0/part-00000.parquet    sealed: never touched again
//! DIR/rank=0/_part-00001.parquet   open: it is being written
//! DIR/rank=1/part-00000.parquet
//! ```
//!
//! This is Hive partitioning, which pandas, polars, DuckDB, DataFusion and Spark read as one table with a
//! column `rank`. Every rank writes independently: there is no coordinator, and no file is shared by two
//! ranks.
//!
//! Engines list a directory first, with the lengths of its files, and read them later, Spark seconds later.
//! So what an engine may have listed stays as it is: a sealed part forever, and of an open part each footer
//! for a minute, at the length at which it was published. Spark, which takes the groups whose middle lies in
//! a range of the length that it listed, must not see a file in which groups move at all; it passes over
//! names that begin with `_`.

use crate::error::{OpenError, WriteError};
use crate::log::appended::Appended;
use crate::log::metrics_log::MetricsLog;
use crate::log::part_of::PartOf;
use crate::log::settings::WriterSettings;
use crate::log::stats::WriterStats;
use names::Parts;
use part::Part;
use qstore_buffer::{BufferStats, Progress, Round, Sink};
use qstore_schema::Record;
use qstore_storage::{FileSystem, LocalFs, Lock, create_dir_all, open_dir};
use settings::DatasetSettings;
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) mod compact;
mod names;
mod part;
pub(crate) mod settings;

/// The number of parts that rest at the same time; before the next one the oldest is sealed early.
const RESTING_MAX: usize = 8;

/// The metrics of one rank of a run, in a directory that all ranks share.
///
/// It is a [`Sink`], as [`MetricsLog`] is. A part is written under the name `_part-NNNNN.parquet`. When it has
/// [`part_bytes_max`](DatasetSettings::part_bytes_max) or
/// [`part_age_max`](DatasetSettings::part_age_max), it is closed, and rows go into the next one, which has the
/// same columns from its beginning. It rests for [`reuse_after`](crate::WriterSettings::reuse_after), and is
/// sealed: renamed to `part-NNNNN.parquet` and never touched again.
///
/// What happens in each case:
/// * **An undeclared metric** is a column of floats from its first row, so that a column has one type in every
///   part. A flag goes into `NAME__flag`, a text into `NAME__text`, an integer beyond 2^53 into
///   `NAME__integer`, unless the column was [announced](DatasetSettings::column) with that type.
/// * **A name that differs from a column's only in capital letters**, and the name `rank` with a value that is
///   not the rank's number, are refused: the row is stored without the value, which is counted and reported as
///   [`Appended::Incomplete`].
/// * **No rows arrive**: the part is sealed by its age all the same.
/// * **The session ends**: everything is sealed at once.
/// * **The process is killed**: the next session goes on with the open part, and seals what is older.
/// * **Something has the name of a part**: it stays as it is. Sealing is tried again until the name is free;
///   the rows can be read under the open name meanwhile, and later parts are not held up.
///
/// | engine | sees rows | after a part was sealed, a read that was planned before |
/// |---|---|---|
/// | DuckDB, polars, DataFusion | once they are flushed | fails with "file not found" if it opens the part after that; read again |
/// | Spark, pyarrow, pandas | once their part is sealed | is not affected |
///
/// A rank has one writer, and ranks never wait for each other.
///
/// ```
/// use qstore_parquet::{DatasetSettings, RankLog};
/// use qstore_schema::Row;
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// for rank in 0..2 {
///     let settings = DatasetSettings::default().columns(["accuracy"]);
///     let mut log = RankLog::<Row>::open(dir.join("metrics"), rank, settings)?;
///     log.append(&Row::from([("loss", 0.5)]), Instant::now());
///     log.flush()?;
///     assert!(dir.join(format!("metrics/rank={rank}/_part-00000.parquet")).exists());
///     log.close()?;
/// }
/// assert!(dir.join("metrics/rank=1/part-00000.parquet").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RankLog<R> {
    /// The directory of the rank, which was opened.
    storage: Arc<dyn FileSystem>,
    rank: u32,
    settings: DatasetSettings,
    /// The part that takes rows.
    current: Part<R>,
    /// When its first row of this session arrived.
    first_row: Option<Instant>,
    /// Parts before it that are not sealed yet, the oldest first.
    retired: VecDeque<Part<R>>,
    /// The counters of those that are.
    earlier: WriterStats,
    /// Keeps a second writer of this rank out; released last.
    lock: Option<Box<dyn Lock>>,
}

impl<R: Record + Send + 'static> RankLog<R> {
    /// Opens or creates the directory of this rank. An open part that a killed session left is continued.
    ///
    /// # Errors
    /// As [`MetricsLog::open`]; [`OpenError::AlreadyOpen`] when another writer has this rank,
    /// [`OpenError::SchemaConflict`] when a declared column is named `rank` or differs from another one only in
    /// capital letters.
    pub fn open(
        dir: impl AsRef<Path>,
        rank: u32,
        settings: DatasetSettings,
    ) -> Result<Self, OpenError> {
        Self::open_in(Arc::new(LocalFs::new()), dir, rank, settings)
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
        settings: DatasetSettings,
    ) -> Result<Self, OpenError> {
        let dir = dir.as_ref().join(format!("rank={rank}"));
        settings.validate::<R>(&dir)?;
        settings.writer.validate()?;
        create_dir_all(&*storage, &dir)?;
        // Later parts are begun in this directory, whatever its name is then.
        let storage = open_dir(&storage, &dir)?;
        let locking = settings.writer.locking;
        let Some(lock) = locking.try_lock(&*storage, Path::new(names::LOCK))? else {
            return Err(OpenError::AlreadyOpen { path: dir });
        };
        compact::finish(&storage, rank)?;
        let parts = Parts::list(&*storage)?;
        parts.clear_leftovers(&*storage, locking)?;
        let number = parts.last_open().unwrap_or_else(|| parts.next());
        let is_first = parts.sealed.is_empty();
        let open = |number, is_shown| {
            let part = PartOf { rank, is_shown, is_live: true };
            let path = names::open_name(number);
            let log =
                MetricsLog::open_with(Arc::clone(&storage), &path, settings.part(), Some(part))?;
            Ok::<_, OpenError>(Part::new(number, log))
        };
        let mut retired = VecDeque::new();
        for older in parts.open.range(..number) {
            let mut part = open(*older, false)?;
            part.retire();
            retired.push_back(part);
        }
        let current = open(number, is_first)?;
        let first_row = current.log.has_rows().then(Instant::now);
        let earlier = WriterStats::new(&dir, 0);
        let lock = Some(lock);
        Ok(Self { storage, rank, settings, current, first_row, retired, earlier, lock })
    }

    /// Adds one row to the pending ones, as [`MetricsLog::append`].
    pub fn append(&mut self, record: &R, now: Instant) -> Appended {
        self.first_row.get_or_insert(now);
        self.current.log.append(record, now)
    }

    /// Publishes every row appended so far before it returns, and seals parts that have become large or old
    /// enough. Without a drain, parts are sealed by this call only.
    ///
    /// # Errors
    /// When the rows could not be published; they stay pending. When a part could not be sealed; it stays open.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        while Sink::flush(self)?.run()? {}
        while Sink::tick(self, Instant::now())?.run()? {}
        Ok(())
    }

    /// Flushes and seals everything.
    ///
    /// # Errors
    /// When a part could not be published or sealed; `close` can be called again.
    pub fn close(&mut self) -> Result<(), WriteError> {
        while Sink::close(self)?.run()? {}
        Ok(())
    }

    /// Writes the rows of the open part as a new file, as [`MetricsLog::save_as`]; earlier parts are files of
    /// their own. If rows of an earlier part could not be published either, that part is written beside it, as
    /// `NAME.part-NNNNN.parquet`. Returns the number of rows.
    ///
    /// # Errors
    /// As [`MetricsLog::save_as`].
    pub fn save_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        self.save_each(path.as_ref(), MetricsLog::save_as)
    }

    /// As [`save_as`](Self::save_as), but only the rows that are in no published version.
    ///
    /// # Errors
    /// As [`MetricsLog::save_as`].
    pub fn save_pending_as(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        self.save_each(path.as_ref(), MetricsLog::save_pending_as)
    }

    fn save_each(
        &self,
        path: &Path,
        save: impl Fn(&MetricsLog<R>, PathBuf) -> Result<u64, WriteError>,
    ) -> Result<u64, WriteError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let mut rows = 0;
        for part in self.retired.iter().filter(|part| part.log.pending() > 0) {
            let number = part.number;
            rows += save(&part.log, path.with_extension(format!("part-{number:05}.parquet")))?;
        }
        Ok(rows + save(&self.current.log, path)?)
    }

    /// Whether the part is large or old enough, and nothing before it still has to be published.
    fn is_due(&self, now: Instant) -> bool {
        let Some(first_row) = self.first_row else { return false };
        let DatasetSettings { part_bytes_max, part_age_max, .. } = self.settings;
        let is_old = now.saturating_duration_since(first_row) >= part_age_max;
        let has_rows = self.current.log.has_rows();
        has_rows
            && (is_old || self.current.log.file_bytes() >= part_bytes_max)
            && !self.retired.iter().any(Part::is_closing)
    }

    /// Begins the next part, with the columns of this one.
    fn begin_next(&mut self) -> Result<(), WriteError> {
        // Whatever has a name there, nothing is continued or replaced.
        let listed = Parts::list(&*self.storage).map_err(WriteError::from)?.next();
        let number = listed.max(self.current.number.saturating_add(1));
        let part = PartOf { rank: self.rank, is_shown: false, is_live: true };
        let writer =
            WriterSettings { columns: self.current.log.fields(), ..self.settings.writer.clone() };
        let (storage, path) = (Arc::clone(&self.storage), names::open_name(number));
        let log = MetricsLog::open_with(storage, &path, writer, Some(part))?;
        let mut last = std::mem::replace(&mut self.current, Part::new(number, log));
        last.retire();
        self.retired.push_back(last);
        self.first_row = None;
        Ok(())
    }

    /// The next piece of work for the parts before this one, the oldest first; at the end of a session for
    /// this one, too, and none rests.
    fn serve(&mut self, now: Instant, is_end: bool) -> Result<Progress<WriteError>, WriteError> {
        let Self { settings, retired, current, .. } = self;
        let early = retired.len().saturating_sub(RESTING_MAX);
        let mut parts: Vec<_> = retired.iter_mut().chain([current]).enumerate().collect();
        // One whose name is taken holds up no other.
        parts.sort_by_key(|(_, part)| part.is_failing());
        let mut first_error = None;
        for (index, part) in parts {
            let rest = Some(settings.writer.reuse_after).filter(|_| !is_end && index >= early);
            match part.step(now, rest) {
                Ok(Progress::Work(work)) => return Ok(Progress::Work(work)),
                Ok(Progress::Idle) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        while let Some(at) = self.retired.iter().position(Part::is_sealed) {
            if let Some(part) = self.retired.remove(at) {
                self.earlier = sum(&self.earlier, &Sink::stats(&part.log));
            }
        }
        first_error.map_or(Ok(Progress::Idle), Err)
    }

    fn logs(&self) -> impl Iterator<Item = &MetricsLog<R>> {
        self.retired.iter().map(|part| &part.log).chain([&self.current.log])
    }
}

impl<R: Record + Send + 'static> Sink<R> for RankLog<R> {
    type Error = WriteError;
    type Stats = WriterStats;

    fn capacity(&self) -> usize {
        let waiting: usize = self.retired.iter().map(|part| part.log.pending()).sum();
        self.current.log.capacity().saturating_sub(waiting)
    }

    fn receive(&mut self, batch: &mut Vec<R>, round: &mut Round<'_>) -> Result<(), WriteError> {
        if !batch.is_empty() {
            self.first_row.get_or_insert(round.now());
        }
        self.current.log.receive(batch, round)
    }

    fn observe(&mut self, intake: &BufferStats) {
        self.current.log.observe(intake);
    }

    fn tick(&mut self, now: Instant) -> Result<Progress<WriteError>, WriteError> {
        if let Progress::Work(work) = self.current.log.tick(now)? {
            return Ok(Progress::Work(work));
        }
        if self.is_due(now) {
            self.begin_next()?;
        }
        self.serve(now, false)
    }

    fn flush(&mut self) -> Result<Progress<WriteError>, WriteError> {
        // Its rows were received before.
        for part in self.retired.iter_mut().filter(|part| part.is_closing()) {
            if let Progress::Work(work) = part.step(Instant::now(), Some(Duration::MAX))? {
                return Ok(Progress::Work(work));
            }
        }
        Sink::flush(&mut self.current.log)
    }

    fn close(&mut self) -> Result<Progress<WriteError>, WriteError> {
        // A part that never had a row has no file, unless it is the first.
        if self.current.log.is_published() || self.current.log.pending() > 0 {
            self.current.retire();
        }
        self.serve(Instant::now(), true)
    }

    fn is_final(&self, error: &WriteError) -> bool {
        self.current.log.is_final(error)
    }

    fn release(&mut self) {
        self.retired.iter_mut().for_each(|part| part.log.release());
        self.current.log.release();
        self.lock = None;
    }

    fn stats(&self) -> WriterStats {
        self.logs().fold(self.earlier.clone(), |all, log| sum(&all, &Sink::stats(log)))
    }
}

impl<R> fmt::Debug for RankLog<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RankLog")
            .field("part", &self.current.number)
            .field("log", &self.current.log)
            .finish_non_exhaustive()
    }
}

/// The counters of both, the state of the later one.
fn sum(earlier: &WriterStats, later: &WriterStats) -> WriterStats {
    WriterStats {
        rows_written: earlier.rows_written + later.rows_written,
        file_rows: earlier.file_rows + later.file_rows,
        flushes: earlier.flushes + later.flushes,
        errors: earlier.errors + later.errors,
        pending_rows: earlier.pending_rows + later.pending_rows,
        rejected_rows: earlier.rejected_rows + later.rejected_rows,
        omitted_values: earlier.omitted_values + later.omitted_values,
        bytes_written: earlier.bytes_written + later.bytes_written,
        last_rejection: later.last_rejection.clone().or_else(|| earlier.last_rejection.clone()),
        ..later.clone()
    }
}
