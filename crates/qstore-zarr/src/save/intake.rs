//! Between the training loop and the background thread: the ring, the policy when a save is already
//! running, and the sink that saves.
//!
//! The ring holds one job and the sink works on another; there are never more. Only a push under
//! [`Busy::Wait`] waits, until there is room.

use super::save_checkpoint;
use super::settings::{Busy, CheckpointSettings};
use super::ticket::{Completion, Failure, Resolution, SaveTicket, ticket};
use crate::catalog::Catalog;
use qstore_buffer::{AsyncBuffer, Health, Loss, Losses, Lost, Progress, PushError, Round, Sink};
use qstore_checkpoint::{Outcome, SaveError, Saved, Snapshot};
use qstore_os::ForkCheck;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A requested save.
pub(crate) struct Job {
    snapshot: Snapshot,
    completion: Completion,
}

/// The result of a push.
pub(crate) enum Pushed {
    Taken(SaveTicket),
    Closed,
    /// The push would have had to wait; here is the snapshot back.
    Full(Box<Snapshot>),
}

/// The queue for jobs.
#[derive(Clone)]
pub(crate) struct Intake {
    ring: AsyncBuffer<Job>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// The lock also serializes pushes.
    failures: Mutex<Failures>,
    /// Notified when the sink has taken a job out of the ring, or is gone.
    room: Condvar,
    /// The number of saves whose tickets are not resolved.
    open: Arc<AtomicUsize>,
    /// The process that saves. In a child of it the lock may be held by a thread that only the parent has.
    home: ForkCheck,
}

/// Failures in the background. Recorded here before the ticket resolves.
#[derive(Default)]
struct Failures {
    /// The first one, for as long as the manager lives.
    first: Option<Arc<SaveError>>,
    /// The latest one, until a save or its own ticket has reported it.
    unreported: Option<(Arc<SaveError>, Failure)>,
    count: u64,
    /// The saves that were skipped or superseded.
    losses: Losses,
}

/// What a push did to other saves, for what must happen outside the lock.
#[derive(Default)]
struct Effects {
    superseded: Vec<Job>,
    /// The first loss of its kind.
    first_loss: Option<Lost>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self) {
        // Taking the lock ensures that this cannot happen between a push's check and its wait.
        drop(self.lock());
        self.room.notify_all();
    }
}

impl Intake {
    pub(crate) fn new() -> Self {
        let ring = AsyncBuffer::with_name(1, "checkpoints").expect("one is more than none");
        Self { ring, gate: Arc::default() }
    }

    pub(crate) fn ring(&self) -> &AsyncBuffer<Job> {
        &self.ring
    }

    /// The number of saves whose tickets are not resolved; none in a forked child.
    pub(crate) fn open(&self) -> usize {
        if self.gate.home.is_forked() {
            return 0;
        }
        self.gate.open.load(Ordering::SeqCst)
    }

    /// The first failure in the background. In a forked child, that it is one.
    pub(crate) fn first_failure(&self) -> Option<Arc<SaveError>> {
        if self.gate.home.is_forked() {
            return Some(Arc::new(SaveError::Forked));
        }
        self.gate.lock().first.clone()
    }

    /// The latest failure, if nothing has reported it. None in a forked child.
    pub(crate) fn unreported_failure(&self) -> Option<SaveError> {
        if self.gate.home.is_forked() {
            return None;
        }
        let failures = self.gate.lock();
        let (source, _) = failures.unreported.as_ref().filter(|(_, own)| !own.is_reported())?;
        Some(source.again())
    }

    /// The first failure, and the saves that were skipped or superseded.
    pub(crate) fn health(&self) -> Health<SaveError> {
        if self.gate.home.is_forked() {
            return Health::new(Some(SaveError::Forked), 0, Losses::default());
        }
        let failures = self.gate.lock();
        let first_error = failures.first.as_ref().map(SaveError::again);
        Health::new(first_error, failures.count, failures.losses.clone())
    }

    /// Accepts a job according to the policy. `None` when the intake is closed.
    pub(crate) fn push(
        &self,
        snapshot: Snapshot,
        busy: Busy,
    ) -> Result<Option<SaveTicket>, SaveError> {
        match self.push_or_wait(snapshot, busy, true)? {
            Pushed::Taken(ticket) => Ok(Some(ticket)),
            Pushed::Closed | Pushed::Full(_) => Ok(None),
        }
    }

    /// Like [`push`](Self::push), but returns the snapshot instead of waiting.
    pub(crate) fn try_push(&self, snapshot: Snapshot, busy: Busy) -> Result<Pushed, SaveError> {
        self.push_or_wait(snapshot, busy, false)
    }

    /// Waits up to `timeout` until the ring has room; returns whether it has. A closed one never fills up.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        if self.gate.home.is_forked() {
            return true;
        }
        let is_full = |_: &mut Failures| self.ring.is_full();
        let waited = self.gate.room.wait_timeout_while(self.gate.lock(), timeout, is_full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn push_or_wait(
        &self,
        snapshot: Snapshot,
        busy: Busy,
        may_wait: bool,
    ) -> Result<Pushed, SaveError> {
        // mutant: save_in_a_forked_child
        if self.gate.home.is_forked() {
            return Err(SaveError::Forked);
        }
        let number = snapshot.number();
        let mut effects = Effects::default();
        let pushed = self.push_under_lock(snapshot, busy, may_wait, &mut effects);
        // Outside the lock: a task awaiting one of these tickets is woken and may save again immediately, and
        // a subscriber of `tracing` is the caller's code as well.
        for job in effects.superseded {
            job.completion.resolve(Resolution::Done(Outcome::Superseded { by: number }));
        }
        if let Some(Lost { first, reason, .. }) = effects.first_loss {
            tracing::warn!(number = first, "a checkpoint was not saved: {reason}");
        }
        pushed
    }

    fn push_under_lock(
        &self,
        snapshot: Snapshot,
        busy: Busy,
        may_wait: bool,
        effects: &mut Effects,
    ) -> Result<Pushed, SaveError> {
        let mut failures = self.gate.lock();
        match failures.unreported.take() {
            // A caller that polled the ticket already knows; this save may be the response to it.
            Some((source, failure)) if !failure.is_reported() => {
                return Err(SaveError::EarlierFailed { source });
            }
            _ => {}
        }
        let is_busy = self.open() > 0;
        let (ticket, completion) = ticket(snapshot.number(), &self.gate.open);
        if busy == Busy::Skip && is_busy {
            completion.resolve(Resolution::Done(Outcome::Skipped));
            let number = i64::try_from(ticket.number()).ok();
            let reason = "an earlier save was still running (`Busy::Skip`)";
            effects.first_loss = failures.losses.add(Loss::Dropped, number, &reason).cloned();
            return Ok(Pushed::Taken(ticket));
        }
        let mut job = Job { snapshot, completion };
        loop {
            job = match self.ring.push(job) {
                Ok(()) => return Ok(Pushed::Taken(ticket)),
                Err(PushError::Closed(_)) => return Ok(Pushed::Closed),
                Err(PushError::Forked(_)) => return Err(SaveError::Forked),
                Err(PushError::Full(job)) => job,
            };
            if busy == Busy::CoalesceLatest {
                // `None` if the background thread was faster; then there is room, too.
                if let Some(job) = self.ring.try_pop() {
                    let number = i64::try_from(job.snapshot.number()).ok();
                    let reason = "a newer snapshot replaced it (`Busy::CoalesceLatest`)";
                    let first = failures.losses.add(Loss::Evicted, number, &reason).cloned();
                    effects.first_loss = effects.first_loss.take().or(first);
                    effects.superseded.push(job);
                }
            } else if !may_wait {
                return Ok(Pushed::Full(Box::new(job.snapshot)));
            } else {
                failures = self.gate.room.wait(failures).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Saves jobs one at a time.
pub(crate) struct SaveSink {
    catalog: Catalog,
    settings: CheckpointSettings,
    intake: Intake,
    /// Whether a checkpoint that the policy could not rank has been traced.
    has_traced_unranked: bool,
}

impl SaveSink {
    pub(crate) fn new(catalog: Catalog, settings: CheckpointSettings, intake: Intake) -> Self {
        Self { catalog, settings, intake, has_traced_unranked: false }
    }

    fn save(&mut self, job: Job) -> Result<(), SaveError> {
        let Job { snapshot, completion } = job;
        let number = snapshot.number();
        let saved = catch_unwind(AssertUnwindSafe(|| {
            save_checkpoint(&self.catalog, &self.settings, &snapshot)
        }));
        // The memory is freed before the ticket resolves: the caller may need the room.
        drop(snapshot);
        match saved {
            Ok(Ok((saved, leftovers))) => {
                self.note_retention(&saved);
                self.note_unranked(&saved);
                completion.resolve(Resolution::Done(Outcome::Saved(saved)));
                drop(leftovers);
                Ok(())
            }
            Ok(Err(error)) => {
                let source = Arc::new(error);
                let failed = || SaveError::Failed { number, source: Arc::clone(&source) };
                let latched = Arc::new(failed());
                let failure = Failure::new(Arc::clone(&source));
                let mut failures = self.intake.gate.lock();
                failures.count += 1;
                // mutant: failed_save_kept_from_health
                failures.first.get_or_insert_with(|| Arc::clone(&latched));
                // mutant: failed_save_kept_from_the_next
                failures.unreported = Some((latched, failure.clone()));
                drop(failures);
                completion.resolve(Resolution::Failed(failure));
                Err(failed())
            }
            Err(panic) => {
                let lost = || Arc::new(SaveError::Lost { number });
                let mut failures = self.intake.gate.lock();
                failures.count += 1;
                failures.first.get_or_insert_with(lost);
                drop(failures);
                self.intake.ring.close();
                drop(completion);
                resume_unwind(panic) // the drain records its message
            }
        }
    }

    /// A save whose retention failed has still succeeded. `health` reports the failure, and the first one
    /// is traced.
    fn note_retention(&self, saved: &Saved) {
        let Some(source) = &saved.retention else { return };
        let number = saved.number;
        let mut failures = self.intake.gate.lock();
        failures.count += 1;
        if failures.first.is_none() {
            tracing::warn!(number, error = %source, "a checkpoint is saved, but retention failed");
            let source = source.clone();
            failures.first = Some(Arc::new(SaveError::Retention { number, source }));
        }
    }
}

impl SaveSink {
    /// A rule that finds nothing to rank by is traced once; every ticket reports it.
    fn note_unranked(&mut self, saved: &Saved) {
        let Some(unranked) = &saved.unranked else { return };
        if !std::mem::replace(&mut self.has_traced_unranked, true) {
            tracing::warn!(
                number = saved.number,
                metric = %unranked.metric,
                reason = %unranked,
                "keep_best cannot rank a checkpoint"
            );
        }
    }
}

impl Sink<Job> for SaveSink {
    type Error = SaveError;
    type Stats = ();

    fn capacity(&self) -> usize {
        1
    }

    fn receive(&mut self, batch: &mut Vec<Job>, _: &mut Round<'_>) -> Result<(), SaveError> {
        self.intake.gate.make_room();
        let mut outcome = Ok(());
        for job in batch.drain(..) {
            outcome = outcome.and(self.save(job));
        }
        outcome
    }

    fn flush(&mut self) -> Result<Progress<SaveError>, SaveError> {
        Ok(Progress::Idle) // every received job is already durable
    }
}

impl Drop for SaveSink {
    fn drop(&mut self) {
        // Jobs are left only after a panic: their tickets must resolve, and a push that waits for room must
        // find the ring closed.
        self.intake.ring.close();
        self.intake.ring.clear();
        self.intake.gate.make_room();
    }
}

#[cfg(test)]
mod tests;
