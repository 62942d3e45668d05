//! Opening a run: in which order the lock, the files and the record come.
//!
//! The lock is first, so that only one process does the rest. What is recorded is last: if something cannot be
//! opened, `run.json` says nothing of it.

use super::{Resumed, Run};
use crate::environment::Capture;
use crate::error::{Result, RunError};
use crate::json_file;
use crate::layout::{CHECKPOINTS, JOBS, METRICS, SYSTEM_METRICS, is_run};
use crate::lineage::{self, Cut};
use crate::metrics_first::{LoggerSlot, MetricsFirst};
use crate::run_file::{RunAttempt, RunFile, RunOrigin};
use crate::run_id::new_run_id;
use crate::session::{Hold, Session};
use crate::settings::RunSettings;
use crate::surroundings::RunPlace;
use crate::system::SystemMetrics;
use crate::utc_time::UtcTime;
use qstore_checkpoint::{Attempt, CheckpointInfo, Counter, Latest, LoadError, LocalRepository};
use qstore_ledger::Ledger;
use qstore_logger::ParquetMetricsLogger;
use qstore_parquet::{MetricsFile, MetricsLog, ReadError, WriterSettings};
use qstore_schema::Row;
use qstore_zarr::{CheckpointManager, Checkpoints};
use std::cmp::Reverse;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A new run in an existing directory.
pub(super) fn start(place: &RunPlace, dir: &Path, settings: RunSettings) -> Result<Run> {
    let hold = Hold::take(place, dir, settings.writer.locking)?;
    if is_run(&*place.files, dir)? {
        return Err(RunError::Exists { path: dir.to_path_buf() });
    }
    let capture = Captured::begin(&settings);
    let mut run = new_file(place, dir, &settings);
    let parts = Parts::open(place, dir, &settings, &run.id, 1, None)?;
    let mut attempt = hold.attempt(1);
    capture.fill(&mut attempt);
    run.attempts.push(attempt);
    let session = hold.create(&run)?;
    parts.into_run(session, run.id, settings)
}

/// Another attempt of a run.
pub(super) fn resume(
    place: &RunPlace,
    dir: &Path,
    settings: RunSettings,
) -> Result<(Run, Option<Resumed>)> {
    if !is_run(&*place.files, dir)? {
        return Err(RunError::NotARun { path: dir.to_path_buf() });
    }
    let hold = Hold::take(place, dir, settings.writer.locking)?;
    let capture = Captured::begin(&settings);
    let known = json_file::read(&*place.files, dir)?;
    let is_adopted = known.is_none();
    let run = known.unwrap_or_else(|| new_file(place, dir, &settings));
    let number = run.next_attempt();

    let found = find(place, dir, &run, settings.resume_from)?;
    let origin = found
        .as_ref()
        .map(|(resumed, counter)| (lineage::origin(&run, &resumed.checkpoint.info), *counter));
    let cut = cut(place, dir, &settings.writer, &run, origin.as_ref())?;
    let origin = origin.map(|(origin, _)| origin);
    let parts = Parts::open(place, dir, &settings, &run.id, number, Some((origin.as_ref(), cut)))?;

    let mut attempt = hold.attempt(number);
    capture.fill(&mut attempt);
    attempt.from.clone_from(&origin);
    attempt.cut_row = Some(cut.row);
    let run_id = run.id.clone();
    let session = if is_adopted {
        let run = RunFile { attempts: vec![attempt], ..run };
        hold.create(&run)?
    } else {
        hold.add(|run| {
            merge(run, &settings, &mut attempt);
            attempt
        })?
    };
    let resumed = found.map(|(resumed, _)| Resumed {
        step: origin.and_then(|origin| origin.step),
        rows_missing: cut.rows_missing,
        ..resumed
    });
    Ok((parts.into_run(session, run_id, settings)?, resumed))
}

/// What git is asked while files are opened.
struct Captured {
    capture: Option<Capture>,
    /// `None`: without a limit.
    git_until: Option<Instant>,
}

impl Captured {
    fn begin(settings: &RunSettings) -> Self {
        let is_git_wanted = !settings.git_timeout.is_zero();
        let capture = settings.is_environment_recorded.then(|| Capture::begin(is_git_wanted));
        Self { capture, git_until: Instant::now().checked_add(settings.git_timeout) }
    }

    fn fill(self, attempt: &mut RunAttempt) {
        if let Some(capture) = self.capture {
            capture.fill(attempt, self.git_until);
        }
    }
}

fn new_file(place: &RunPlace, dir: &Path, settings: &RunSettings) -> RunFile {
    let now = place.surroundings.now();
    // `.` has no name of its own.
    let resolved = place.files.resolve(dir).unwrap_or_else(|_| dir.to_path_buf());
    let name = resolved.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut run = RunFile::new(new_run_id(now), name, UtcTime::from(now));
    run.group.clone_from(&settings.group);
    run.tags.clone_from(&settings.tags);
    run.notes.clone_from(&settings.notes);
    run.params = settings.recorded_params();
    run.seed = settings.seed;
    run.goal.clone_from(&settings.goal);
    run
}

/// Adds what the settings of a later attempt say. What the run has stays.
fn merge(run: &mut RunFile, settings: &RunSettings, attempt: &mut RunAttempt) {
    for tag in &settings.tags {
        if !run.tags.contains(tag) {
            run.tags.push(tag.clone());
        }
    }
    run.group = run.group.take().or_else(|| settings.group.clone());
    if run.notes.is_empty() {
        run.notes.clone_from(&settings.notes);
    }
    run.seed = run.seed.or(settings.seed);
    run.goal = run.goal.take().or_else(|| settings.goal.clone());
    let params = settings.recorded_params();
    let changed = params.into_iter().filter(|(name, value)| run.params.get(name) != Some(value));
    attempt.params = changed.collect();
}

/// The checkpoint to go on from, and what its directory counts.
fn find(
    place: &RunPlace,
    dir: &Path,
    run: &RunFile,
    wanted: Option<u64>,
) -> Result<Option<(Resumed, Counter)>> {
    let path = dir.join(CHECKPOINTS);
    let of = |checkpoint, skipped| Resumed { checkpoint, step: None, skipped, rows_missing: 0 };
    if place.files.metadata(&path)?.is_none() {
        return match wanted {
            Some(number) => {
                let location = path.display().to_string();
                Err(LoadError::NotFound { number, location, available: Vec::new() }.into())
            }
            None => Ok(None),
        };
    }
    let checkpoints = Checkpoints::open_in(Arc::clone(&place.files), path)?;
    let counter = checkpoints.counter()?;
    if let Some(number) = wanted {
        return Ok(Some((of(checkpoints.load(number)?, Vec::new()), counter)));
    }
    let is_current =
        |info: &CheckpointInfo| lineage::is_current(&run.attempts, &lineage::origin(run, info));
    match checkpoints.load_latest_where(is_current) {
        Ok(None) => Ok(None),
        Ok(Some(Latest { checkpoint, mut skipped, .. })) => {
            // A file that cannot be read now may be the newest, and whole.
            let is_unreadable = |error: &LoadError| matches!(error, LoadError::Repository(_));
            if let Some(at) = skipped.iter().position(|(_, error)| is_unreadable(error)) {
                return Err(skipped.swap_remove(at).1.into());
            }
            skipped.sort_by_key(|(number, _)| Reverse(*number));
            Ok(Some((of(checkpoint, skipped), counter)))
        }
        // Beginning again because of damage would be the caller's decision.
        Err(LoadError::NoneValid { skipped, location }) => {
            let count = skipped.len();
            let newest = skipped.into_iter().max_by_key(|(number, _)| *number);
            Err(match newest {
                Some((_, newest)) => RunError::NoneValid { path: dir.to_path_buf(), count, newest },
                None => LoadError::NoneValid { skipped: Vec::new(), location }.into(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Which rows count from now on.
fn cut(
    place: &RunPlace,
    dir: &Path,
    writer: &WriterSettings,
    run: &RunFile,
    origin: Option<&(RunOrigin, Counter)>,
) -> Result<Cut> {
    let none = Cut { row: 0, rows_missing: 0 };
    let Some((origin, counter)) = origin else { return Ok(none) };
    let path = dir.join(METRICS);
    let open = || MetricsFile::open_in(Arc::clone(&place.files), &path);
    let file = match open() {
        Err(ReadError::Storage(error)) if error.is_not_found() => {
            return Ok(Cut { rows_missing: origin.rows_accepted.unwrap_or(0), ..none });
        }
        // Opening it for writing finds the last version that is whole.
        Err(ReadError::Damaged { .. }) => {
            let files = Arc::clone(&place.files);
            MetricsLog::<Row>::open_in(files, &path, writer.clone())?.close()?;
            open()?
        }
        opened => opened?,
    };
    Ok(lineage::cut(&file, run, origin, *counter)?)
}

fn open_checkpoints(
    place: &RunPlace,
    dir: &Path,
    settings: &RunSettings,
    slot: &LoggerSlot,
) -> Result<CheckpointManager> {
    let (path, locking) = (dir.join(CHECKPOINTS), settings.checkpoints.locking);
    let files = Arc::clone(&place.files);
    let repository = LocalRepository::open_with_locking(files, path, locking)?;
    let repository = Arc::new(MetricsFirst::new(repository, Arc::clone(slot)));
    Ok(CheckpointManager::over(repository, settings.checkpoints.clone())?)
}

/// The files of a run, open for writing.
struct Parts {
    checkpoints: CheckpointManager,
    logger: Arc<ParquetMetricsLogger>,
    system: Option<SystemMetrics>,
    ledger: Option<Ledger>,
}

impl Parts {
    fn open(
        place: &RunPlace,
        dir: &Path,
        settings: &RunSettings,
        run_id: &str,
        attempt: u64,
        resumed: Option<(Option<&RunOrigin>, Cut)>,
    ) -> Result<Self> {
        let files = || Arc::clone(&place.files);
        let mut writer = settings.writer.clone().run_id(run_id).attempt(attempt);
        if let Some((origin, cut)) = resumed {
            writer = writer.cut_row(cut.row);
            writer.resumed_epoch = origin.and_then(|origin| i64::try_from(origin.number).ok());
        }
        let slot = LoggerSlot::default();
        // Most of the time is spent on syncs, which the disk can do together.
        let (checkpoints, logger) = thread::scope(|scope| {
            let checkpoints = scope.spawn(|| open_checkpoints(place, dir, settings, &slot));
            let path = dir.join(METRICS);
            let (logger, writer) = (settings.logger.clone(), writer.clone());
            let logger = ParquetMetricsLogger::open_in(files(), path, logger, writer);
            (checkpoints.join(), logger)
        });
        let checkpoints = checkpoints.unwrap_or_else(|panic| resume_unwind(panic))?;
        let logger = logger?;
        let logger = Arc::new(logger);
        let _ = slot.set(Arc::downgrade(&logger));

        let system = match settings.system_metrics {
            Some(interval) => {
                let path = dir.join(SYSTEM_METRICS);
                writer.cut_row = None;
                Some(SystemMetrics::start(files(), &path, dir, writer, interval)?)
            }
            None => None,
        };
        let open = |budget| Ledger::open_in(files(), dir.join(JOBS), budget);
        let ledger = settings.ledger.clone().map(open).transpose()?;
        Ok(Self { checkpoints, logger, system, ledger })
    }

    fn into_run(self, session: Session, id: String, settings: RunSettings) -> Result<Run> {
        let attempt = Attempt::new(session.number().to_string())?;
        let Self { checkpoints, logger, system, ledger } = self;
        let (logger, failure) = (Some(logger), None);
        Ok(Run { id, attempt, system, ledger, checkpoints, logger, session, settings, failure })
    }
}
