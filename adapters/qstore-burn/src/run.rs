//! The run, and the parts that burn takes of it.

use crate::checkpointer::{PartCheckpointer, SaveEachEpoch};
use crate::error::{BurnError, OnError};
use crate::history::History;
use crate::joint::{Blocked, Joint, Part, lock};
use crate::metrics::RunMetricLogger;
use crate::progress::{Progress, RunProgressLogger};
use qstore_run::{Run, RunReader, RunSettings, RunSummary};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// A run of burn. Its parts go to `SupervisedTraining`; the run itself stays with the caller, who ends it.
#[must_use = "dropping a run without `finish` records that it failed"]
pub struct BurnRun {
    joint: Arc<Joint>,
    resumed: Option<usize>,
}

impl BurnRun {
    /// Starts the run `dir`, or goes on with it from its newest checkpoint that is whole.
    ///
    /// # Errors
    /// As [`Run::resume_or_start`]; [`BurnError::Foreign`] if the checkpoint was saved by something else.
    pub fn resume_or_start(
        dir: impl AsRef<Path>,
        settings: RunSettings,
        on_error: OnError,
    ) -> Result<Self, BurnError> {
        let (run, resumed) = Run::resume_or_start(dir.as_ref(), settings)?;
        let Some(resumed) = resumed else {
            let joint = Joint::new(run, on_error, History::default(), -1);
            return Ok(Self { joint: Arc::new(joint), resumed: None });
        };
        let epoch = resumed.checkpoint.number();
        let history = History::read(&RunReader::open(dir.as_ref())?, epoch)?;
        let mut parts = BTreeMap::new();
        for part in [Part::Model, Part::Optimizer, Part::Scheduler] {
            let missing = || BurnError::Foreign { epoch, missing: part.name().to_owned() };
            let state = resumed.checkpoint.part(part.name()).cloned().ok_or_else(missing)?;
            parts.insert(part.name(), state);
        }
        let joint = Joint::new(run, on_error, history, resumed.step.unwrap_or(-1));
        joint.keep_loaded(epoch, parts);
        Ok(Self { joint: Arc::new(joint), resumed: usize::try_from(epoch).ok() })
    }

    /// The epoch whose checkpoint the run goes on from, for `SupervisedTraining::checkpoint`.
    #[must_use]
    pub fn resumed_epoch(&self) -> Option<usize> {
        self.resumed
    }

    /// For `with_metric_logger`. Make one for each training, and only if it is installed: a checkpoint waits for the
    /// rows of its epoch while there is one.
    #[must_use]
    pub fn metric_logger(&self) -> RunMetricLogger {
        RunMetricLogger::new(Arc::clone(&self.joint))
    }

    /// For `with_progress_logger`.
    #[must_use]
    pub fn progress_logger(&self) -> RunProgressLogger {
        RunProgressLogger { joint: Arc::clone(&self.joint) }
    }

    /// For `with_custom_checkpointers`, in this order: model, optimizer, scheduler.
    #[must_use]
    pub fn checkpointers(&self) -> (PartCheckpointer, PartCheckpointer, PartCheckpointer) {
        let of = |part| PartCheckpointer { joint: Arc::clone(&self.joint), part };
        (of(Part::Model), of(Part::Optimizer), of(Part::Scheduler))
    }

    /// For `with_checkpointing_strategy`.
    #[must_use]
    pub fn strategy(&self) -> SaveEachEpoch {
        SaveEachEpoch { joint: Arc::clone(&self.joint) }
    }

    /// How far the training is, if its progress logger is installed.
    #[must_use]
    pub fn progress(&self) -> Progress {
        lock(&self.joint.counters).progress.clone()
    }

    /// What saving has cost the training thread, if the [strategy](Self::strategy) is installed.
    #[must_use]
    pub fn blocked(&self) -> Blocked {
        self.joint.blocked()
    }

    /// The first error that burn was not told of: of logging, and with [`OnError::Warn`] of saving.
    #[must_use]
    pub fn unreported(&self) -> Option<String> {
        self.joint.unreported()
    }

    /// Looks at the run, to log or read something else.
    pub fn with<T>(&self, look: impl FnOnce(&Run) -> T) -> T {
        self.joint.with_run(look)
    }

    /// Ends the run well: every row and every checkpoint is written. Call it after the training.
    ///
    /// # Errors
    /// As [`Run::finish`].
    pub fn finish(self) -> Result<RunSummary, BurnError> {
        let mut run = self.joint.run.write().unwrap_or_else(PoisonError::into_inner);
        Ok(run.finish()?)
    }

    /// Ends the run with the error that burn's result has.
    ///
    /// # Errors
    /// As [`Run::fail`].
    pub fn fail(self, error: impl std::fmt::Display) -> Result<RunSummary, BurnError> {
        let mut run = self.joint.run.write().unwrap_or_else(PoisonError::into_inner);
        Ok(run.fail(error)?)
    }
}
