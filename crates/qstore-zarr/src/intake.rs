//! Between the training loop and the background thread: the ring, the policy when it is busy, and
//! the sink that saves.
//!
//! The ring holds one job and the sink works on another: that is all there ever is. No method here
//! waits for a disk, but a push under [`Busy::Wait`], which waits for room.

use crate::directory::CheckpointDir;
use crate::save::{Snapshot, save_checkpoint};
use crate::ticket::{Completion, Failure, Outcome, SaveTicket, ticket};
use crate::{Busy, CheckpointSettings, Error};
use qstore_buffer::{AsyncBuffer, Progress, PushError, Round, Sink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A save that is asked for.
pub(crate) struct Job {
    snapshot: Snapshot,
    completion: Completion,
}

/// What became of a push.
pub(crate) enum Pushed {
    Taken(SaveTicket),
    Closed,
    /// It would have had to wait.
    Full(Box<Snapshot>),
}

/// Where jobs come in.
#[derive(Clone)]
pub(crate) struct Intake {
    ring: AsyncBuffer<Job>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    /// The lock also keeps pushes apart from each other.
    failures: Mutex<Failures>,
    /// The sink has taken a job out of the ring, or is gone.
    room: Condvar,
    /// Saves whose tickets are not resolved.
    open: Arc<AtomicUsize>,
}

/// What went wrong in the background. Known here before the ticket says it.
#[derive(Default)]
struct Failures {
    /// The first one, for ever.
    first: Option<Arc<Error>>,
    /// The latest one, until a save or its own ticket has reported it.
    unreported: Option<(Arc<Error>, Failure)>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self) {
        // Under the lock, so that it cannot fall between a waiting push's look and its sleep.
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

    /// Saves whose tickets are not resolved.
    pub(crate) fn open(&self) -> usize {
        self.gate.open.load(Ordering::SeqCst)
    }

    /// The first failure in the background.
    pub(crate) fn first_failure(&self) -> Option<Arc<Error>> {
        self.gate.lock().first.clone()
    }

    /// Takes a job, as the policy has it. `None` when nothing is taken any more.
    pub(crate) fn push(&self, snapshot: Snapshot, busy: Busy) -> Result<Option<SaveTicket>, Error> {
        match self.push_or_wait(snapshot, busy, true)? {
            Pushed::Taken(ticket) => Ok(Some(ticket)),
            Pushed::Closed | Pushed::Full(_) => Ok(None),
        }
    }

    /// As [`push`](Self::push), but gives the snapshot back where that would wait.
    pub(crate) fn try_push(&self, snapshot: Snapshot, busy: Busy) -> Result<Pushed, Error> {
        self.push_or_wait(snapshot, busy, false)
    }

    fn push_or_wait(
        &self,
        snapshot: Snapshot,
        busy: Busy,
        may_wait: bool,
    ) -> Result<Pushed, Error> {
        let epoch = snapshot.epoch;
        let mut superseded = Vec::new();
        let pushed = self.push_under_lock(snapshot, busy, may_wait, &mut superseded);
        // Outside the lock: whoever awaits these tickets is woken, and may save again at once.
        for job in superseded {
            job.completion.resolve(Outcome::Superseded { by: epoch });
        }
        pushed
    }

    fn push_under_lock(
        &self,
        snapshot: Snapshot,
        busy: Busy,
        may_wait: bool,
        superseded: &mut Vec<Job>,
    ) -> Result<Pushed, Error> {
        let mut failures = self.gate.lock();
        match failures.unreported.take() {
            // Whoever has looked at the ticket knows, and this save is his answer to it.
            Some((source, failure)) if !failure.is_told() => {
                return Err(Error::EarlierSaveFailed { source });
            }
            _ => {}
        }
        let is_busy = self.open() > 0;
        let (ticket, completion) = ticket(snapshot.epoch, &self.gate.open);
        if busy == Busy::Skip && is_busy {
            completion.resolve(Outcome::Skipped);
            return Ok(Pushed::Taken(ticket));
        }
        let mut job = Job { snapshot, completion };
        loop {
            job = match self.ring.push(job) {
                Ok(()) => return Ok(Pushed::Taken(ticket)),
                Err(PushError::Closed(_)) => return Ok(Pushed::Closed),
                Err(PushError::Full(job)) => job,
            };
            if busy == Busy::CoalesceLatest {
                // Nothing if the background thread was quicker; then there is room as well.
                superseded.extend(self.ring.try_pop());
            } else if !may_wait {
                return Ok(Pushed::Full(Box::new(job.snapshot)));
            } else {
                failures = self.gate.room.wait(failures).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Saves jobs one after the other.
pub(crate) struct SaveSink {
    dir: CheckpointDir,
    settings: CheckpointSettings,
    intake: Intake,
}

impl SaveSink {
    pub(crate) fn new(dir: CheckpointDir, settings: CheckpointSettings, intake: Intake) -> Self {
        Self { dir, settings, intake }
    }

    fn save(&self, job: Job) -> Result<(), Error> {
        let Job { snapshot, completion } = job;
        let epoch = snapshot.epoch;
        let saved = catch_unwind(AssertUnwindSafe(|| {
            save_checkpoint(&self.dir, &self.settings, &snapshot)
        }));
        // The memory goes before the news: whoever hears it may need the room.
        drop(snapshot);
        match saved {
            Ok(Ok((saved, leftovers))) => {
                completion.resolve(Outcome::Saved(saved));
                drop(leftovers);
                Ok(())
            }
            Ok(Err(error)) => {
                let source = Arc::new(error);
                let failed = || Error::SaveFailed { epoch, source: Arc::clone(&source) };
                let latched = Arc::new(failed());
                let failure = Failure::new(Arc::clone(&source));
                let mut failures = self.intake.gate.lock();
                // mutant: failed_save_kept_from_health
                failures.first.get_or_insert_with(|| Arc::clone(&latched));
                // After a failed retention the checkpoint is durable and the next save may go on.
                if !matches!(*source, Error::Retention { .. }) {
                    // mutant: failed_save_kept_from_the_next
                    failures.unreported = Some((latched, failure.clone()));
                }
                drop(failures);
                completion.resolve(Outcome::Failed(failure));
                Err(failed())
            }
            Err(panic) => {
                let lost = || Arc::new(Error::Lost { epoch });
                self.intake.gate.lock().first.get_or_insert_with(lost);
                self.intake.ring.close();
                drop(completion);
                resume_unwind(panic) // the drain keeps what it says
            }
        }
    }
}

impl Sink<Job> for SaveSink {
    type Error = Error;
    type Stats = ();

    fn capacity(&self) -> usize {
        1
    }

    fn receive(&mut self, batch: &mut Vec<Job>, _: &mut Round<'_>) -> Result<(), Error> {
        self.intake.gate.make_room();
        let mut outcome = Ok(());
        for job in batch.drain(..) {
            outcome = outcome.and(self.save(job));
        }
        outcome
    }

    fn flush(&mut self) -> Result<Progress<Error>, Error> {
        Ok(Progress::Idle) // what was received is durable already
    }
}

impl Drop for SaveSink {
    fn drop(&mut self) {
        // Only after a panic is anything left: its tickets must not stay open, and whoever waits for
        // room must find the ring closed.
        self.intake.ring.close();
        self.intake.ring.clear();
        self.intake.gate.make_room();
    }
}
