//! A run: one value that logs, saves, resumes, and records how it ended.

mod open;

use crate::directory::RunDirectory;
use crate::error::{Result, RunError};
use crate::layout::is_run;
use crate::lineage::{META, meta};
use crate::run_file::AttemptOutcome;
use crate::secrets::without_secrets;
use crate::session::Session;
use crate::settings::RunSettings;
use crate::surroundings::RunPlace;
use crate::system::SystemMetrics;
use qstore_checkpoint::{Attempt, Checkpoint, LoadError, SaveError, Snapshot};
use qstore_ledger::Ledger;
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
/// ├── jobs.parquet        if the run has a ledger
/// └── checkpoints/
/// ```
///
/// How it ends decides its [status](crate::RunReader::status):
///
/// | the run | is |
/// |---|---|
/// | [`finish`](Self::finish) returned | finished |
/// | [`fail`](Self::fail) returned | failed, with that error |
/// | [`finish`](Self::finish) found a save that had failed unreported | failed, with that error |
/// | was dropped without either: an error passed up by `?`, a panic | failed; what was logged and saved is written if that takes no longer than the `drop_timeout` of the checkpoints and 5 s, or the `finish_timeout` if that is shorter |
/// | was killed, or the machine stopped | crashed, or unknown from where that cannot be known |
///
/// Dropping may take longer than that: 5 s more for rows that a disk does not take, and 10 s if another program holds
/// the lock of `run.json`.
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
    ledger: Option<Ledger>,
    // Before the logger: what is saved last waits for the rows.
    checkpoints: CheckpointManager,
    /// Shared with the checkpoints; `None` only while it is being stopped.
    logger: Option<Arc<ParquetMetricsLogger>>,
    /// Holds the lock; released last.
    session: Session,
    settings: RunSettings,
    /// Why it has failed, if its end could not be recorded yet.
    failure: Option<String>,
}

/// What a resumed run goes on from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resumed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The step after which it was saved, if that is known.
    pub step: Option<i64>,
    /// Newer checkpoints that could not be loaded, and files that have the name of a checkpoint but are not valid, each
    /// with its number and error, the largest number first.
    pub skipped: Vec<(u64, LoadError)>,
    /// Rows that the checkpoint has seen and the metrics file does not have: they could not be written before the
    /// process ended. 0 unless the disk was full, failed, or took more than 60 s for them, or the power was cut under
    /// [`Durability::Flush`](qstore_parquet::Durability::Flush).
    pub rows_missing: u64,
}

/// What a run that has ended has written.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunSummary {
    /// The rows of this attempt.
    pub metrics: LoggerStats<WriterStats>,
    /// The first error of the system metrics, if they are on and had one.
    pub system_error: Option<String>,
    /// The first error of a save in the background, or of removing old checkpoints, if there was one. Saves after it
    /// may have succeeded.
    pub save_error: Option<SaveError>,
    /// Jobs in the ledger to which something may still happen. 0 without a ledger.
    pub open_jobs: usize,
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

    /// Continues the run in `dir` as a new attempt, from its newest checkpoint that can be loaded or from the one
    /// that [`resume_from`](RunSettings::resume_from) names. `None` if it has no checkpoint: it starts from scratch.
    /// Rows that will be repeated stay in the file and do not count anymore.
    ///
    /// It may have been copied, moved, or written on another machine; nobody may be writing it. A directory with a
    /// `metrics.parquet` or checkpoints and no `run.json` becomes a run.
    ///
    /// # Errors
    /// [`RunError::Running`], [`RunError::NotARun`], [`RunError::NoneValid`]; [`RunError::Load`] if the checkpoint
    /// that was named cannot be loaded, or if none was named and one of them cannot be read at the moment. Nothing
    /// was recorded then.
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
        if is_run(&*place.files, dir)? {
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

    /// The ledger of the jobs that the run sends to quantum computers, in its `jobs.parquet`; `None` unless the
    /// settings [ask for it](RunSettings::ledger). It is one file over all attempts, so a resumed run finds the jobs
    /// that a killed one left behind, and the batches that were paid for. Ending the run closes it, also for its
    /// clones; a job that is under way then stays open in it.
    ///
    /// ```
    /// use qstore_ledger::simulated::{SimulatedProvider, Simulation};
    /// use qstore_ledger::{Batch, Budget, JobSpec};
    /// use qstore_run::{Run, RunReader, RunSettings};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("run");
    /// let provider = SimulatedProvider::new(Simulation::default()); // your client of a provider
    /// let settings = RunSettings::default().ledger(Budget::usd(50.0));
    /// let (mut run, _) = Run::resume_or_start(&path, settings)?;
    /// let ledger = run.ledger().expect("the settings ask for one");
    /// ledger.reconcile("simulated", &provider)?; // what an earlier attempt has left behind
    ///
    /// let batch = Batch::new("simulator", 1024).circuits(["ry(0.5) q;"]);
    /// if ledger.finished(&batch.digest()).is_none() {
    ///     let spec = JobSpec::new("simulated", batch).attempt(run.attempt() as i64).estimate_usd(0.4);
    ///     let job = ledger.send(&provider, &spec, &())?; // durable, under its identifier
    ///     ledger.observe(&job.key, &provider.wait(&job)?)?;
    /// }
    /// assert_eq!(run.finish()?.open_jobs, 0);
    /// assert_eq!(RunReader::open(&path)?.jobs()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// The checkpoints. What is saved here directly has no place in the run: use [`save`](Self::save).
    pub fn checkpoints(&self) -> &CheckpointManager {
        &self.checkpoints
    }

    /// Ends the run well: waits until every save and every row is written, up to
    /// [`finish_timeout`](RunSettings::finish_timeout), and records it.
    ///
    /// A save that failed is in the [summary](RunSummary::save_error) if its ticket or a later save has reported
    /// it. If nothing has, the run is recorded as failed, and the error is returned.
    ///
    /// # Errors
    /// [`RunError::Save`] for a save that failed, as above: the run has ended then. Any other error says that
    /// something is not written yet or that the end could not be recorded: the run has not ended, and `finish` can be
    /// called again. [`RunError::Ended`] if it has.
    pub fn finish(&mut self) -> Result<RunSummary> {
        let ended = self.try_finish();
        if let Err(error) = &ended {
            self.failure = Some(without_secrets(&format!("it could not be finished: {error}")));
        }
        ended
    }

    fn try_finish(&mut self) -> Result<RunSummary> {
        let Settled { summary, unreported } = self.settle(self.settings.finish_timeout)?;
        let Some(error) = unreported else {
            self.session.end(AttemptOutcome::Finished, None)?;
            return Ok(summary);
        };
        self.session.end(AttemptOutcome::Failed, Some(without_secrets(&error.to_string())))?;
        Err(error.into())
    }

    /// Ends the run with an error, which becomes part of `run.json`, without passwords in URLs. Everything is written
    /// as by [`finish`](Self::finish); a save that failed is in the [summary](RunSummary::save_error).
    ///
    /// # Errors
    /// If something is not written yet, or the end could not be recorded. The run has not ended then; `fail` can be
    /// called again, and dropping the run records the error, too.
    pub fn fail(&mut self, error: impl fmt::Display) -> Result<RunSummary> {
        let error = without_secrets(&error.to_string());
        self.failure = Some(error.clone());
        let settled = self.settle(self.settings.finish_timeout)?;
        self.session.end(AttemptOutcome::Failed, Some(error))?;
        Ok(settled.summary)
    }

    /// Waits until everything that was accepted is written, or has failed for good. Records nothing.
    fn settle(&mut self, timeout: Duration) -> Result<Settled> {
        if self.session.is_forked() {
            return Err(RunError::Forked);
        }
        if self.session.has_ended() {
            return Err(RunError::Ended);
        }
        // Without a limit, if the time is beyond what can be counted.
        let until = Instant::now().checked_add(timeout);
        let left = || {
            let left = |until: Instant| until.saturating_duration_since(Instant::now());
            until.map_or(Duration::MAX, left)
        };
        if let Some(system) = &self.system {
            system.request_end();
        }
        let save_error = match self.checkpoints.close(left()) {
            Err(error @ (SaveError::CloseTimedOut { .. } | SaveError::Forked)) => {
                return Err(error.into());
            }
            closed => closed.err(),
        };
        let metrics = self.stop_logger(left())?;
        let system_error = match &mut self.system {
            Some(system) => system.stop(left())?,
            None => None,
        };
        let mut open_jobs = 0;
        if let Some(ledger) = &self.ledger {
            ledger.close()?;
            open_jobs = ledger.unfinished().len();
        }
        let unreported = self.checkpoints.unreported_failure().or_else(|| match &save_error {
            // The thread that saves has panicked.
            Some(SaveError::Closed { reason }) => {
                Some(SaveError::Closed { reason: reason.clone() })
            }
            _ => None,
        });
        let summary = RunSummary { metrics, system_error, save_error, open_jobs };
        Ok(Settled { summary, unreported })
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

/// What has become of everything that was accepted.
struct Settled {
    summary: RunSummary,
    /// A save that failed, if neither its ticket nor a later save has reported it.
    unreported: Option<SaveError>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.session.is_forked() || self.session.has_ended() {
            return;
        }
        let error = self.failure.take().unwrap_or_else(|| {
            let error = if std::thread::panicking() {
                "it panicked"
            } else {
                "it ended without `finish`: an error was passed up, or the call is missing"
            };
            error.into()
        });
        // There is nobody to report an error to, except those who read `run.json`.
        let limit = self.settings.checkpoints.drop_timeout.saturating_add(DROP_TIMEOUT);
        let _ = match self.settle(limit.min(self.settings.finish_timeout)) {
            Ok(Settled { unreported, .. }) => {
                self.session.end(AttemptOutcome::Failed, Some(with(error, unreported)))
            }
            // Threads that still write have the files open: the lock is released behind them.
            Err(unsettled) => {
                self.session.record_end(AttemptOutcome::Failed, Some(with(error, Some(unsettled))))
            }
        };
    }
}

/// An error, and another one unless it says the same.
fn with(error: String, other: Option<impl fmt::Display>) -> String {
    let other = other.map(|other| without_secrets(&other.to_string()));
    match other.filter(|other| !error.contains(other.as_str())) {
        Some(other) => format!("{error}; {other}"),
        None => error,
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
