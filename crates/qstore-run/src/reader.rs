//! Everything that can be learned of a run, while it is written or later. Takes no lock and writes nothing.

mod values;

pub use values::{Best, Last, Progress};

use crate::error::{Result, RunError};
use crate::json_file;
use crate::layout::{CHECKPOINTS, JOBS, METRICS, RUN_JSON, SYSTEM_METRICS, is_run};
use crate::run_file::RunFile;
use crate::session;
use crate::status::{Reason, RunState, Status};
use crate::surroundings::RunPlace;
use crate::utc_time::UtcTime;
use qstore_ledger::{Job, read_jobs_in};
use qstore_parquet::MetricsFile;
use qstore_storage::{EntryKind, FileSystem};
use qstore_zarr::Checkpoints;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// A run, open for reading.
///
/// Opening reads `run.json` only. The metrics file is opened when it is first asked for, and stays open as one
/// version of it, until [`refresh`](Self::refresh): a writer must then copy the file once, so a program that looks
/// at a running run from time to time should drop its reader in between.
///
/// ```
/// use qstore_run::{Direction, Run, RunReader, RunSettings, RunState};
///
/// # let runs = tempfile::tempdir()?;
/// let mut run = Run::create(runs.path(), RunSettings::default())?;
/// for step in 0..100 {
///     run.log_step((0, step, f64::abs(step as f64 - 70.0)))?; // epoch, step, loss
/// }
/// assert_eq!(RunReader::open(run.path())?.status()?.state, RunState::Running);
/// run.finish()?;
///
/// let reader = RunReader::open(run.path())?;
/// assert_eq!(reader.status()?.state, RunState::Finished);
/// let best = reader.best("train_loss", Direction::Min)?.expect("it has a loss");
/// assert_eq!((best.value, best.step), (0.0, Some(70)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunReader {
    place: RunPlace,
    dir: PathBuf,
    run: RunFile,
    has_run_json: bool,
    metrics: OnceLock<Option<MetricsFile>>,
}

/// Consecutive rows that count, of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentRows {
    /// The attempt that logged them; `None` if they were logged without a run.
    pub attempt: Option<u64>,
    /// Their numbers in the file.
    pub rows: Range<u64>,
}

/// What became of rows and values that are not in the metrics file, over all attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunLosses {
    /// Rows that found the ring full.
    pub dropped: u64,
    /// Rows that were discarded for newer ones.
    pub evicted: u64,
    /// Rows that were cleared from the ring on request.
    pub cleared: u64,
    /// Rows that were logged after the end.
    pub refused: u64,
    /// Rows that did not fit the columns.
    pub rejected: u64,
    /// Values that could not be stored, although their rows were.
    pub omitted_values: u64,
}

impl RunLosses {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RunReader {
    /// Opens a run on the local file system. A directory without a `run.json` counts as one if it has a
    /// `metrics.parquet` or checkpoints.
    ///
    /// # Errors
    /// [`RunError::NotARun`]; [`RunError::Malformed`] and [`RunError::UnsupportedVersion`] for its `run.json`;
    /// [`RunError::Storage`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_in(RunPlace::default(), dir)
    }

    /// Opens a run in another place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(place: RunPlace, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_path_buf();
        let run = json_file::read(&*place.files, &dir)?;
        let has_run_json = run.is_some();
        if !has_run_json && !is_run(&*place.files, &dir)? {
            return Err(RunError::NotARun { path: dir });
        }
        let run = run.unwrap_or_else(|| bare(&place, &dir));
        Ok(Self { place, dir, run, has_run_json, metrics: OnceLock::new() })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The name of the directory.
    #[must_use]
    pub fn name(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or(&self.run.name)
    }

    /// What `run.json` says. Without one it is a file without an ID and attempts.
    #[must_use]
    pub fn run_json(&self) -> &RunFile {
        &self.run
    }

    /// Whether the run has a `run.json`.
    #[must_use]
    pub fn has_run_json(&self) -> bool {
        self.has_run_json
    }

    /// Reads `run.json` again, and moves on to the newest version of the metrics file. Returns whether anything
    /// has changed, also if there was no metrics file before and there is one now.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`MetricsFile::refresh`].
    pub fn refresh(&mut self) -> Result<bool> {
        let mut has_changed = false;
        if let Some(run) = json_file::read(&*self.place.files, &self.dir)? {
            has_changed = run != self.run;
            (self.run, self.has_run_json) = (run, true);
        }
        match self.metrics.get_mut() {
            Some(Some(file)) => has_changed |= file.refresh()?.is_some(),
            Some(None) => {
                drop(self.metrics.take());
                has_changed |= self.metrics()?.is_some();
            }
            None => {}
        }
        Ok(has_changed)
    }

    /// What has become of the run at this moment, whatever this reader has read before.
    ///
    /// # Errors
    /// If `run.json` cannot be read.
    pub fn status(&self) -> Result<Status> {
        let now = self.place.surroundings.now();
        if !self.has_run_json {
            let is_closed = self.metrics()?.is_some_and(MetricsFile::is_closed);
            let (state, reason) = if is_closed {
                (RunState::Finished, Reason::Closed)
            } else {
                (RunState::Unknown, Reason::NoRunFile)
            };
            return Ok(Status { state, age: self.age(now), reason });
        }
        let (run, state, reason) = session::status_of(&self.place, &self.dir)?;
        let ended = run.last_attempt().and_then(|last| last.ended);
        let age = match (state, ended) {
            (RunState::Finished | RunState::Failed, Some(ended)) => Some(ended.age_at(now)),
            _ => self.age(now),
        };
        Ok(Status { state, age, reason })
    }

    fn age(&self, now: SystemTime) -> Option<std::time::Duration> {
        self.changed().map(|changed| now.duration_since(changed).unwrap_or_default())
    }

    /// When the metrics file or `run.json` changed last.
    #[must_use]
    pub fn changed(&self) -> Option<SystemTime> {
        let stamps = [METRICS, RUN_JSON]
            .map(|name| self.place.files.stamp(&self.dir.join(name)).ok().flatten());
        stamps.into_iter().flatten().map(|stamp| stamp.modified()).max()
    }

    /// The metrics file; `None` if there is none yet.
    ///
    /// # Errors
    /// As [`MetricsFile::open`].
    pub fn metrics(&self) -> Result<Option<&MetricsFile>> {
        if let Some(known) = self.metrics.get() {
            return Ok(known.as_ref());
        }
        let opened = self.open_file(METRICS)?;
        Ok(self.metrics.get_or_init(|| opened).as_ref())
    }

    /// The system metrics; `None` if there are none.
    ///
    /// # Errors
    /// As [`MetricsFile::open`].
    pub fn system_metrics(&self) -> Result<Option<MetricsFile>> {
        self.open_file(SYSTEM_METRICS)
    }

    fn open_file(&self, name: &str) -> Result<Option<MetricsFile>> {
        match MetricsFile::open_in(Arc::clone(&self.place.files), self.dir.join(name)) {
            Err(qstore_parquet::ReadError::Storage(error)) if error.is_not_found() => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }

    /// The checkpoints; `None` if there is no directory of them.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn checkpoints(&self) -> Result<Option<Checkpoints>> {
        let dir = self.dir.join(CHECKPOINTS);
        match self.place.files.metadata(&dir)? {
            None => Ok(None),
            Some(_) => Ok(Some(Checkpoints::open_in(Arc::clone(&self.place.files), dir)?)),
        }
    }

    /// The jobs that the run has sent to quantum computers, in the order in which they were intended; none without a
    /// ledger.
    ///
    /// # Errors
    /// As [`read_jobs`](qstore_ledger::read_jobs).
    pub fn jobs(&self) -> Result<Vec<Job>> {
        let path = self.dir.join(JOBS);
        if self.place.files.metadata(&path)?.is_none() {
            return Ok(Vec::new());
        }
        Ok(read_jobs_in(Arc::clone(&self.place.files), path)?)
    }

    /// The rows that count, in ascending order: what an uninterrupted run would have logged.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub fn current_rows(&self) -> Result<Vec<CurrentRows>> {
        let Some(file) = self.metrics()? else { return Ok(Vec::new()) };
        let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
        let mut current = Vec::new();
        for range in self.current_ranges(file) {
            let mut start = range.start;
            while start < range.end {
                let owner = segments.iter().rposition(|segment| segment.first_row <= start);
                let next = segments.iter().map(|segment| segment.first_row);
                let end = next.filter(|first_row| *first_row > start).min().unwrap_or(u64::MAX);
                let rows = start..end.min(range.end);
                start = rows.end;
                let attempt = owner.and_then(|owner| segments[owner].attempt);
                current.push(CurrentRows { attempt, rows });
            }
        }
        Ok(current)
    }

    fn current_ranges(&self, file: &MetricsFile) -> Vec<Range<u64>> {
        file.current_after(self.cut_to_come(file))
    }

    /// The cut of the last attempt, if it has no row in the file yet.
    fn cut_to_come(&self, file: &MetricsFile) -> Option<u64> {
        let last = self.run.last_attempt()?;
        let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
        // The file may be newer than this `run.json`, and a session of the same number may be of a process that was
        // killed before it had recorded its run.
        let is_seen = segments
            .iter()
            .any(|segment| segment.run_id == self.run.id && segment.attempt >= Some(last.number));
        last.cut_row.filter(|_| !is_seen)
    }

    /// The rows that do not count anymore, in ascending order.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub fn superseded(&self) -> Result<Vec<Range<u64>>> {
        let Some(file) = self.metrics()? else { return Ok(Vec::new()) };
        Ok(file.superseded_after(self.cut_to_come(file)))
    }

    /// What was lost, over all attempts.
    ///
    /// # Errors
    /// As [`metrics`](Self::metrics).
    pub fn losses(&self) -> Result<RunLosses> {
        let mut losses = RunLosses::default();
        // What a damaged footer claims may be anything.
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        let audit = self.metrics()?.and_then(MetricsFile::audit);
        for segment in audit.iter().flat_map(|audit| &audit.segments) {
            add(&mut losses.dropped, segment.dropped);
            add(&mut losses.evicted, segment.evicted);
            add(&mut losses.cleared, segment.cleared);
            add(&mut losses.refused, segment.refused);
            add(&mut losses.rejected, segment.rejected);
            add(&mut losses.omitted_values, segment.omitted_values);
        }
        Ok(losses)
    }

    /// The lengths of all files of the run, in bytes. Files that disappear meanwhile do not count.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn size_on_disk(&self) -> Result<u64> {
        fn below(files: &dyn FileSystem, dir: &Path) -> qstore_storage::Result<u64> {
            let mut bytes = 0;
            for entry in files.list(dir)? {
                let path = dir.join(&entry.name);
                match entry.kind {
                    EntryKind::Dir => match below(files, &path) {
                        Err(error) if error.is_not_found() => {}
                        found => bytes += found?,
                    },
                    EntryKind::File | EntryKind::Other => {
                        bytes += files.metadata(&path)?.map_or(0, |found| found.len);
                    }
                }
            }
            Ok(bytes)
        }
        Ok(below(&*self.place.files, &self.dir)?)
    }
}

/// What is known of a run without a `run.json`.
fn bare(place: &RunPlace, dir: &Path) -> RunFile {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let stamp = place.files.stamp(&dir.join(METRICS)).ok().flatten();
    let created = stamp.map_or(SystemTime::UNIX_EPOCH, |stamp| stamp.modified());
    RunFile::new(String::new(), name.unwrap_or_default(), UtcTime::from(created))
}
