//! What the parts of a run share: the parts of a checkpoint until all are there, and what was measured.

use crate::error::{BurnError, OnError};
use crate::history::History;
use crate::progress::Counters;
use qstore_checkpoint::Snapshot;
use qstore_run::Run;
use qstore_schema::{Row, StateDict, Value};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long a save waits for the row of its epoch, in the thread that burn has for it.
const PATIENCE: Duration = Duration::from_mins(1);

/// One of the three that make a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Model,
    Optimizer,
    Scheduler,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Model => Snapshot::MODEL,
            Self::Optimizer => Snapshot::OPTIMIZER,
            Self::Scheduler => "scheduler",
        }
    }
}

/// What the training thread has spent in saving: burn's own copy of the tensors, and the handing over. What is written
/// is written by other threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Blocked {
    /// Saves so far.
    pub saves: u64,
    /// All of them together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

pub(crate) struct Joint {
    pub(crate) run: RwLock<Run>,
    pub(crate) on_error: OnError,
    pub(crate) history: Mutex<History>,
    pub(crate) counters: Mutex<Counters>,
    /// Parts of checkpoints of which others are still to come, by epoch.
    pending: Mutex<BTreeMap<u64, [Option<StateDict>; 3]>>,
    /// What was loaded when the run was opened, until burn asks for it.
    loaded: Mutex<Option<(u64, BTreeMap<&'static str, StateDict>)>>,
    epochs: Mutex<Epochs>,
    has_changed: Condvar,
    saving_since: Mutex<Option<Instant>>,
    blocked: Mutex<Blocked>,
    /// The first failure that burn was not told of, or was told to ignore.
    unreported: Mutex<Option<String>>,
}

/// How far the rows are.
#[derive(Default)]
struct Epochs {
    /// Loggers that will say when an epoch's row is logged.
    loggers: usize,
    last_step: i64,
    /// The place in the run after the last row of an epoch.
    marks: BTreeMap<u64, Snapshot>,
}

impl Joint {
    pub(crate) fn new(run: Run, on_error: OnError, history: History, last_step: i64) -> Self {
        Self {
            run: RwLock::new(run),
            on_error,
            history: Mutex::new(history),
            counters: Mutex::default(),
            pending: Mutex::default(),
            loaded: Mutex::default(),
            epochs: Mutex::new(Epochs { last_step, ..Epochs::default() }),
            has_changed: Condvar::new(),
            saving_since: Mutex::default(),
            blocked: Mutex::default(),
            unreported: Mutex::default(),
        }
    }

    /// Keeps what was loaded for burn, which asks for it part by part.
    pub(crate) fn keep_loaded(&self, epoch: u64, parts: BTreeMap<&'static str, StateDict>) {
        *lock(&self.loaded) = Some((epoch, parts));
    }

    pub(crate) fn with_run<T>(&self, act: impl FnOnce(&Run) -> T) -> T {
        act(&self.run.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A part of an epoch's checkpoint. The last one saves it.
    pub(crate) fn deposit(
        &self,
        part: Part,
        epoch: u64,
        state: StateDict,
    ) -> Result<(), BurnError> {
        if part == Part::Scheduler {
            self.end_of_handover();
        }
        let whole = {
            let mut pending = lock(&self.pending);
            let parts = pending.entry(epoch).or_default();
            parts[part as usize] = Some(state);
            match parts {
                [Some(model), Some(optimizer), Some(scheduler)] => {
                    let whole = [model, optimizer, scheduler].map(std::mem::take);
                    // An earlier epoch of which a part could not be converted will never be whole.
                    pending.retain(|other, _| *other > epoch);
                    whole
                }
                _ => return Ok(()),
            }
        };
        let [model, optimizer, scheduler] = whole;
        let snapshot = self.mark_of(epoch).model(model).optimizer(optimizer);
        let snapshot = snapshot.part(Part::Scheduler.name(), scheduler);
        // Nobody waits for the ticket: what fails later is reported by the next save, or by the end of the run.
        let _ticket = self.with_run(|run| run.checkpoints().save(snapshot))?;
        Ok(())
    }

    /// The part of a checkpoint.
    pub(crate) fn restore(&self, part: Part, epoch: u64) -> Result<StateDict, BurnError> {
        let name = part.name();
        if let Some((loaded, parts)) = &mut *lock(&self.loaded)
            && *loaded == epoch
            && let Some(state) = parts.remove(name)
        {
            return Ok(state);
        }
        let checkpoint = self.with_run(|run| run.checkpoints().load(epoch))?;
        let missing = || BurnError::Foreign { epoch, missing: name.to_owned() };
        checkpoint.part(name).cloned().ok_or_else(missing)
    }

    pub(crate) fn logger_made(&self) {
        lock(&self.epochs).loggers += 1;
    }

    pub(crate) fn logger_gone(&self) {
        lock(&self.epochs).loggers -= 1;
        self.has_changed.notify_all();
    }

    /// The next step.
    pub(crate) fn next_step(&self) -> i64 {
        let mut epochs = lock(&self.epochs);
        epochs.last_step += 1;
        epochs.last_step
    }

    /// All rows of an epoch are logged. Its checkpoint has seen these and none of the next epoch, which may have begun
    /// when it is saved.
    pub(crate) fn epoch_logged(&self, epoch: u64, validation: &Row) {
        let mut epochs = lock(&self.epochs);
        let step = epochs.last_step;
        let mut mark = self.with_run(|run| run.marked(step, Snapshot::new(epoch)));
        for (name, value) in validation.iter() {
            if let Value::Float(value) = value {
                mark = mark.meta(format!("val_{name}"), *value);
            }
        }
        epochs.marks.insert(epoch, mark);
        self.has_changed.notify_all();
    }

    /// Where the checkpoint of an epoch belongs.
    fn mark_of(&self, epoch: u64) -> Snapshot {
        let epochs = lock(&self.epochs);
        let is_early =
            |epochs: &mut Epochs| epochs.loggers > 0 && !epochs.marks.contains_key(&epoch);
        let waited = self.has_changed.wait_timeout_while(epochs, PATIENCE, is_early);
        let (mut epochs, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mark = epochs.marks.remove(&epoch);
        epochs.marks.retain(|other, _| *other > epoch);
        let step = epochs.last_step;
        mark.unwrap_or_else(|| self.with_run(|run| run.marked(step, Snapshot::new(epoch))))
    }

    /// Burn is about to copy the tensors and to hand them over.
    pub(crate) fn begin_of_handover(&self) {
        *lock(&self.saving_since) = Some(Instant::now());
    }

    /// Burn's thread has the last part, so the training goes on.
    fn end_of_handover(&self) {
        let Some(since) = lock(&self.saving_since).take() else { return };
        let (took, mut blocked) = (since.elapsed(), lock(&self.blocked));
        blocked.saves += 1;
        blocked.total += took;
        blocked.longest = blocked.longest.max(took);
    }

    pub(crate) fn blocked(&self) -> Blocked {
        *lock(&self.blocked)
    }

    pub(crate) fn note(&self, error: impl FnOnce() -> String) {
        lock(&self.unreported).get_or_insert_with(error);
    }

    pub(crate) fn unreported(&self) -> Option<String> {
        lock(&self.unreported).clone()
    }
}

/// Nothing that is locked here is left half-changed by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
