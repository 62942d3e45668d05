//! A run that is written: a logger, a manager of checkpoints, and how it ended. Its method `log_step` is in `step`.
//!
//! What ends a run takes a lock that calls which save and look share. Logging takes none.

use crate::checkpoints::{Checkpoints, of_checkpoint};
use crate::errors::{of_drain, of_run};
use crate::logged::Logged;
use crate::logging::{Logging, LogsSteps};
use crate::run_settings::Settings;
use crate::saver::{Draft, Saver, Saves};
use crate::ticket::Ticket;
use crate::waiting::{self, Deadline};
use crate::{stats, tree};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qstore_buffer::DrainError;
use qstore_checkpoint::Snapshot;
use qstore_logger::MetricsRow;
use qstore_run::{Resumed, RunError, RunSummary};
use qstore_zarr::{Busy, CheckpointManager};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A training run that is being written.
#[pyclass(module = "qstore._native", frozen, subclass, weakref)]
pub(crate) struct Run {
    logging: Logging,
    /// For writing only to end it.
    owner: Arc<RwLock<qstore_run::Run>>,
    saver: Saver,
    /// What it goes on from, until that is taken.
    resumed: Mutex<Option<Resumed>>,
    /// The last step that was logged; −1 before the first one.
    last_step: AtomicI64,
    path: PathBuf,
    id: String,
    attempt: u64,
}

impl LogsSteps for Run {
    #[inline]
    fn log_step(this: &Bound<'_, Self>, step: i64, row: MetricsRow) -> PyResult<Py<Logged>> {
        let run = this.get();
        let logged = run.logging.log_step(this.py(), step, row)?;
        run.last_step.store(step, Relaxed);
        Ok(logged)
    }
}

impl Saves for Run {
    fn with<T>(&self, run: impl FnOnce(&CheckpointManager) -> T) -> T {
        self.look(|each| run(each.checkpoints()))
    }
}

impl Run {
    /// Looks at it. Without the GIL, because an end that another thread waits for may hold the lock, and never in a forked
    /// child.
    fn look<T>(&self, look: impl FnOnce(&qstore_run::Run) -> T) -> T {
        look(&self.owner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the run in a thread, so that Ctrl-C arrives: then the thread goes on, and a later call waits for it.
    fn end<'py>(
        &self,
        py: Python<'py>,
        end: impl FnOnce(&mut qstore_run::Run) -> Result<RunSummary, RunError> + Send + 'static,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        let owner = Arc::clone(&self.owner);
        let end = move || end(&mut owner.write().unwrap_or_else(PoisonError::into_inner));
        let ended = waiting::elsewhere(py, "qstore-finish", end)?;
        let summary = ended.map_err(|error| of_run(&error))?;
        let dict = PyDict::new(py);
        dict.set_item("metrics", stats::of_logger(py, &summary.metrics)?)?;
        dict.set_item("system_error", summary.system_error)?;
        dict.set_item("save_error", summary.save_error.as_ref().map(ToString::to_string))?;
        Ok(dict)
    }
}

#[pymethods]
impl Run {
    /// `how` is `create`, `create_at`, `resume` or `resume_or_start`.
    #[new]
    #[pyo3(signature = (how, path, settings))]
    fn new(py: Python<'_>, how: &str, path: PathBuf, settings: Settings) -> PyResult<Self> {
        let settings = settings.parsed()?;
        let may_wait = settings.checkpoints.busy == Busy::Wait;
        let alone = |run| (run, None);
        let opened = match how {
            "create" => py.detach(|| qstore_run::Run::create(path, settings).map(alone)),
            "create_at" => py.detach(|| qstore_run::Run::create_at(path, settings).map(alone)),
            "resume" => py.detach(|| qstore_run::Run::resume(path, settings)),
            "resume_or_start" => py.detach(|| qstore_run::Run::resume_or_start(path, settings)),
            other => return Err(PyValueError::new_err(format!("a run cannot {other:?}"))),
        };
        let (run, resumed) = opened.map_err(|error| of_run(&error))?;
        let last_step = resumed.as_ref().and_then(|resumed| resumed.step).unwrap_or(-1);
        Ok(Self {
            logging: Logging::new(run.logger().handle()),
            saver: Saver::new(run.checkpoints().checkpoints().clone(), may_wait),
            resumed: Mutex::new(resumed),
            last_step: AtomicI64::new(last_step),
            path: run.path().to_path_buf(),
            id: run.id().to_owned(),
            attempt: run.attempt(),
            owner: Arc::new(RwLock::new(run)),
        })
    }

    /// The directory, under the name by which it was opened.
    #[getter]
    fn dir(&self) -> OsString {
        self.path.clone().into_os_string()
    }

    /// A UUID, which no other run has.
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// The number of this attempt, counted from 1.
    #[getter]
    fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The last step that was logged, or that the checkpoint had seen; -1 if there is none.
    #[getter]
    fn last_step(&self) -> i64 {
        self.last_step.load(Relaxed)
    }

    /// What it goes on from, once: the checkpoint as by `load`, and `step`, `skipped` and `rows_missing`.
    fn take_resumed<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let taken = self.resumed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(resumed) = taken else { return Ok(None) };
        let dict = of_checkpoint(py, resumed.checkpoint, None, Arc::default())?;
        let skipped = resumed.skipped.iter();
        let skipped: Vec<_> = skipped.map(|(number, error)| (*number, error.to_string())).collect();
        dict.set_item("step", resumed.step)?;
        dict.set_item("skipped", skipped)?;
        dict.set_item("rows_missing", resumed.rows_missing)?;
        Ok(Some(dict))
    }

    /// Logs a whole row: any names, of which fixed columns are set by theirs.
    fn log_row(&self, row: &Bound<'_, PyDict>) -> PyResult<Py<Logged>> {
        self.logging.log_row(row)
    }

    /// Logs one row that sums up an epoch, with step -1.
    #[pyo3(signature = (epoch, train_metrics, val_metrics=None))]
    fn log_epoch(
        &self,
        epoch: i64,
        train_metrics: &Bound<'_, PyDict>,
        val_metrics: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<Logged>> {
        self.logging.log_epoch(epoch, train_metrics, val_metrics)
    }

    /// Waits until every row that was logged before is in the file.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.logging.check_process()?;
        let deadline = Deadline::after(timeout)?;
        let flush = |slice| self.look(|run| run.logger().flush(slice));
        let is_decided = |flushed: &Result<(), DrainError<_>>| {
            !matches!(flushed, Err(DrainError::TimedOut { .. }))
        };
        waiting::until(py, deadline, flush, is_decided)?.map_err(of_drain)
    }

    /// A checkpoint to be, after this step and the rows that were logged until now.
    fn draft(
        &self,
        py: Python<'_>,
        number: u64,
        step: i64,
        metadata: &Bound<'_, PyDict>,
    ) -> PyResult<Draft> {
        self.logging.check_process()?;
        let snapshot = Snapshot::new(number).metadata(tree::metadata(metadata)?);
        Ok(Draft::new(py.detach(|| self.look(|run| run.marked(step, snapshot)))))
    }

    /// Takes the state of a draft now and saves it in the background.
    fn save_draft(
        &self,
        py: Python<'_>,
        draft: &Draft,
        parts: &Bound<'_, PyDict>,
    ) -> PyResult<Ticket> {
        self.logging.check_process()?;
        self.saver.save(py, self, draft, parts)
    }

    /// Allocates the memory for a snapshot of such states.
    fn reserve_parts(&self, py: Python<'_>, parts: &Bound<'_, PyDict>, wait: bool) -> PyResult<()> {
        self.logging.check_process()?;
        self.saver.reserve(py, parts, wait)
    }

    /// The checkpoints, to be read.
    #[getter]
    fn saved(&self) -> Checkpoints {
        Checkpoints::over(self.saver.checkpoints().clone())
    }

    /// The number of saves that are running or waiting.
    #[getter]
    fn pending(&self, py: Python<'_>) -> usize {
        if self.logging.is_forked() {
            return 0;
        }
        py.detach(|| self.with(CheckpointManager::pending))
    }

    /// The counters of the logger, as `{"buffer": …, "writer": …}`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        stats::of_logger(py, &py.detach(|| self.look(|run| run.logger().stats())))
    }

    /// The first error and what was lost, of the `metrics` and of the `checkpoints`.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.logging.check_process()?;
        let look = |run: &qstore_run::Run| (run.logger().health(), run.checkpoints().health());
        let (metrics, checkpoints) = py.detach(|| self.look(look));
        let dict = PyDict::new(py);
        dict.set_item("metrics", stats::of_health(py, &metrics)?)?;
        dict.set_item("checkpoints", stats::of_health(py, &checkpoints)?)?;
        Ok(dict)
    }

    /// Ends it well, once everything is written.
    fn end_well<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.end(py, qstore_run::Run::finish)
    }

    /// Ends it with an error, once everything is written.
    fn end_with<'py>(&self, py: Python<'py>, error: String) -> PyResult<Bound<'py, PyDict>> {
        self.end(py, move |run| run.fail(error))
    }

    /// Whether this process was forked from the one that opened the run.
    #[getter]
    fn is_forked(&self) -> bool {
        self.logging.is_forked()
    }
}
