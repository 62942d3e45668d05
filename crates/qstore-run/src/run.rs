//! A run: one value that logs, saves, resumes and ends well.

mod open;

use crate::directory::RunDirectory;
use crate::error::{Result, RunError};
use crate::layout::is_run;
use crate::lineage::{META, meta};
use crate::run_file::AttemptOutcome;
use crate::session::Session;
use crate::settings::RunSettings;
use crate::surroundings::RunPlace;
use crate::system::SystemMetrics;
use qstore_checkpoint::{Attempt, Checkpoint, LoadError, SaveError, Snapshot};
use qstore_logger::{LogError, Logged, LoggerStats, MetricsRow, ParquetMetricsLogger};
use qstore_parquet::WriterStats;
use qstore_schema::Row;
use qstore_zarr::{CheckpointManager, SaveTicket};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Beyond the time for the checkpoints, what the rows of a dropped run may take.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// A run that is being written.
///
/// ```text
/// run_001/
/// ├── run.json            what it is, and what became of each attempt
/// ├── metrics.parquet     one file over all attempts
/// ├── system.parquet      if system metrics are on
/// └── checkpoints/
/// ```
///
/// How it ends decides its [status](crate::RunReader::status):
///
/// | the run | is |
/// |---|---|
/// | [`finish`](Self::finish) returned | finished |
/// | [`fail`](Self::fail) returned | failed, with that error |
/// | was dropped without either: an error passed up by `?`, a panic | failed; what was logged and saved is written, for 5 s and the `drop_timeout` of the checkpoints at most |
/// | was killed, or the machine stopped | crashed, or unknown from where that cannot be known |
///
/// In a forked child every call reports [`LogError::Forked`], [`SaveError::Forked`] or [`RunError::Forked`], and
/// dropping the run does nothing. A run whose writer was killed while its forked children live (data loaders) is
/// crashed; it can be resumed when they have ended, too.
///
/// ```
/// use qstore_checkpoint::Snapshot;
/// use qstore_run::{Run, RunSettings};
/// use qstore_schema::{StateDict, Tensor};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("run");
/// // The same program for the start, and for every restart by a scheduler.
/// let settings = RunSettings::default().param("lr", 0.01);
/// let (mut run, resumed) = Run::resume_or_start(&path, settings)?;
/// let first = resumed.map_or(0, |resumed| resumed.checkpoint.number() + 1);
/// for epoch in first..3 {
///     let loss = 1.0 / (1 + epoch) as f64; // your training
///     run.log_step((epoch as i64, epoch as i64, loss))?;
///     let model = StateDict::from_iter([("w", Tensor::scalar(loss))]);
///     let _ticket = run.save(epoch as i64, Snapshot::new(epoch).model(model))?;
/// }
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a run without `finish` records that it failed"]
pub struct Run {
    id: String,
    attempt: Attempt,
    system: Option<SystemMetrics>,
    // Before the logger: what is saved last waits for the rows.
    checkpoints: CheckpointManager,
    /// Shared with the checkpoints; `None` only while it is being stopped.
    logger: Option<Arc<ParquetMetricsLogger>>,
    /// Holds the lock; released last.
    session: Session,
    settings: RunSettings,
}

/// What a resumed run goes on from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The step after which it was saved, if that is known.
    pub step: Option<i64>,
    /// Newer checkpoints that could not be loaded, each with its number and error, newest first.
    pub skipped: Vec<(u64, LoadError)>,
    /// Rows that the checkpoint has seen and the metrics file does not have: they could not be written before the
    /// process ended. 0 unless its disk was full or failed.
    pub rows_missing: u64,
}

/// What a run that has ended has written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunSummary {
    /// The rows of this attempt.
    pub metrics: LoggerStats<WriterStats>,
    /// The first error of the system metrics, if they are on and had one.
    pub system_error: Option<String>,
}

impl Run {
    /// Creates a run in a directory of runs, which is created if it does not exist: `run_001`, or the next free
    /// number, or the [name](RunSettings::name) of the settings.
    ///
    /// # Errors
    /// [`RunError::Exists`] if the name is taken; [`RunError::Setting`]; errors of the storage. A directory that
    /// was created is left behind then.
    pub fn create(runs: impl AsRef<Path>, settings: RunSettings) -> Result<Self> {
        Self::create_in(&RunPlace::default(), runs, settings)
    }

    /// As [`create`](Self::create), in another place.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_in(
        place: &RunPlace,
        runs: impl AsRef<Path>,
        settings: RunSettings,
    ) -> Result<Self> {
        settings.validate()?;
        let runs = RunDirectory::new_in(place.clone(), runs);
        let dir = runs.create(settings.name.as_deref())?;
        open::start(place, &dir, settings)
    }

    /// Creates the run `dir`, which may exist as a directory, but not as a run.
    ///
    /// # Errors
    /// [`RunError::Exists`] if it is a run; otherwise as [`create`](Self::create).
    pub fn create_at(dir: impl AsRef<Path>, settings: RunSettings) -> Result<Self> {
        Self::create_at_in(&RunPlace::default(), dir, settings)
    }

    /// As [`create_at`](Self::create_at), in another place.
    ///
    /// # Errors
    /// As [`create_at`](Self::create_at).
    pub fn create_at_in(
        place: &RunPlace,
        dir: impl AsRef<Path>,
        settings: RunSettings,
    ) -> Result<Self> {
        settings.validate()?;
        qstore_storage::create_dir_all(&*place.files, dir.as_ref())?;
        open::start(place, dir.as_ref(), settings)
    }

    /// Goes on with the run in `dir`, as another attempt, from its newest checkpoint that can be loaded or from
    /// the one that [`resume_from`](RunSettings::resume_from) names. `None` if it has no checkpoint: it begins
    /// again. Rows that will be repeated stay in the file and do not count anymore.
    ///
    /// It may have been copied, moved, or written on another machine; nobody may be writing it. A directory with a
    /// `metrics.parquet` and no `run.json` becomes a run.
    ///
    /// # Errors
    /// [`RunError::Running`], [`RunError::NotARun`], [`RunError::NoneValid`]; [`RunError::Load`] if the checkpoint
    /// that was named cannot be loaded. Nothing was recorded then.
    pub fn resume(dir: impl AsRef<Path>, settings: RunSettings) -> Result<(Self, Option<Resumed>)> {
        Self::resume_in(&RunPlace::default(), dir, settings)
    }

    /// As [`resume`](Self::resume), in another place.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_in(
        place: &RunPlace,
        dir: impl AsRef<Path>,
        settings: RunSettings,
    ) -> Result<(Self, Option<Resumed>)> {
        settings.validate()?;
        open::resume(place, dir.as_ref(), settings)
    }

    /// [Resumes](Self::resume) the run `dir` if it is one, and [creates](Self::create_at) it otherwise.
    ///
    /// # Errors
    /// As these two.
    pub fn resume_or_start(
        dir: impl AsRef<Path>,
        settings: RunSettings,
    ) -> Result<(Self, Option<Resumed>)> {
        Self::resume_or_start_in(&RunPlace::default(), dir, settings)
    }

    /// As [`resume_or_start`](Self::resume_or_start), in another place.
    ///
    /// # Errors
    /// As [`resume_or_start`](Self::resume_or_start).
    pub fn resume_or_start_in(
        place: &RunPlace,
        dir: impl AsRef<Path>,
        settings: RunSettings,
    ) -> Result<(Self, Option<Resumed>)> {
        let dir = dir.as_ref();
        if is_run(&*place.files, dir) {
            return Self::resume_in(place, dir, settings);
        }
        Self::create_at_in(place, dir, settings).map(|run| (run, None))
    }

    /// The directory, under the name by which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.session.dir()
    }

    /// The ID of the run: a UUID of version 7.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of this attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.session.number()
    }

    /// Logs one step, as [`AsyncMetricsLogger::log_step`](qstore_logger::AsyncMetricsLogger::log_step).
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn log_step(&self, row: impl Into<MetricsRow>) -> Result<Logged, LogError> {
        self.logger().log_step(row)
    }

    /// Logs one row that sums up an epoch, as
    /// [`AsyncMetricsLogger::log_epoch`](qstore_logger::AsyncMetricsLogger::log_epoch).
    ///
    /// # Errors
    /// As there.
    pub fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: impl Into<Row>,
        val_metrics: impl Into<Row>,
    ) -> Result<Logged, LogError> {
        self.logger().log_epoch(epoch, train_metrics, val_metrics)
    }

    /// Saves a checkpoint in the background, as [`CheckpointManager::save`]. `step` is the last step that the
    /// state has seen. The checkpoint appears after the rows that were logged before this call; this call does not
    /// wait for them. In its metadata it has `qstore`: the run, the attempt, the step, and how many rows of the
    /// attempt were accepted until now.
    ///
    /// Rows that other threads log at the same time count as before or after it as it happens.
    ///
    /// # Errors
    /// As [`CheckpointManager::save`].
    pub fn save(&self, step: i64, snapshot: Snapshot) -> Result<SaveTicket, SaveError> {
        self.checkpoints.save(self.marked(step, snapshot))
    }

    /// The snapshot as [`save`](Self::save) saves it, for [`CheckpointManager::try_save`] and an arena.
    #[must_use]
    pub fn marked(&self, step: i64, snapshot: Snapshot) -> Snapshot {
        let rows_accepted = self.logger().stats().buffer.pushed;
        let meta = meta(&self.id, self.session.number(), step, rows_accepted);
        snapshot.attempt(self.attempt.clone()).meta(META, meta)
    }

    /// The logger, for handles, flushes and statistics.
    pub fn logger(&self) -> &ParquetMetricsLogger {
        self.logger.as_deref().expect("a run has a logger until it has ended, and afterwards")
    }

    /// The checkpoints. What is saved here directly has no place in the run: use [`save`](Self::save).
    pub fn checkpoints(&self) -> &CheckpointManager {
        &self.checkpoints
    }

    /// Ends the run well: waits until every save and every row is written, up to
    /// [`finish_timeout`](RunSettings::finish_timeout), and records it.
    ///
    /// # Errors
    /// If something could not be written, or the end not recorded. The run has not ended then, and `finish` can be
    /// called again. [`RunError::Ended`] if it has.
    pub fn finish(&mut self) -> Result<RunSummary> {
        self.end(AttemptOutcome::Finished, None, self.settings.finish_timeout)
    }

    /// Ends the run with an error, which becomes part of `run.json`. Everything is written as by
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn fail(&mut self, error: impl fmt::Display) -> Result<RunSummary> {
        self.end(AttemptOutcome::Failed, Some(error.to_string()), self.settings.finish_timeout)
    }

    fn end(
        &mut self,
        outcome: AttemptOutcome,
        error: Option<String>,
        timeout: Duration,
    ) -> Result<RunSummary> {
        if self.session.is_forked() {
            return Err(RunError::Forked);
        }
        if self.session.has_ended() {
            return Err(RunError::Ended);
        }
        let until = Instant::now() + timeout;
        let left = || until.saturating_duration_since(Instant::now());
        let system_error = self.system.as_mut().and_then(SystemMetrics::stop);
        let closed = match self.checkpoints.close(left()) {
            Err(error @ SaveError::CloseTimedOut { .. }) => return Err(error.into()),
            closed => closed,
        };
        let metrics = self.stop_logger(left())?;
        // A run that fails is recorded as failed, even if its last save was the reason.
        if outcome == AttemptOutcome::Finished {
            closed?;
        }
        self.session.end(outcome, error)?;
        Ok(RunSummary { metrics, system_error })
    }

    fn stop_logger(&mut self, timeout: Duration) -> Result<LoggerStats<WriterStats>> {
        let shared = self.logger.take().expect("it is put back below");
        // The thread that saves, which borrows it for a flush, has ended.
        let (stopped, logger) = match Arc::try_unwrap(shared) {
            Ok(mut logger) => (logger.stop(timeout), Arc::new(logger)),
            Err(shared) => (shared.flush(timeout).map(|()| shared.stats()), shared),
        };
        self.logger = Some(logger);
        Ok(stopped?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.session.is_forked() || self.session.has_ended() {
            return;
        }
        let error = if std::thread::panicking() {
            "it panicked"
        } else {
            "it ended without `finish`: an error was passed up, or the call is missing"
        };
        // There is nobody to report an error to.
        let limit = self.settings.checkpoints.drop_timeout + DROP_TIMEOUT;
        let ended = self.end(AttemptOutcome::Failed, Some(error.into()), limit);
        if ended.is_err() && !self.session.has_ended() {
            let _ = self.session.end(AttemptOutcome::Failed, Some(error.into()));
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("path", &self.path())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
