//! The ledger: what is intended, sent, seen and paid, durable before anybody relies on it.

use crate::batch::BatchDigest;
use crate::budget::{Budget, Spending};
use crate::error::LedgerError;
use crate::event::JobEvent;
use crate::job::{Job, Jobs};
use crate::key::JobKey;
use crate::log::{self, EventLog};
use crate::rules;
use crate::seen::Seen;
use crate::spec::JobSpec;
use crate::state::JobState;
use qstore_parquet::WriteError;
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Jobs of one run, in one file that a single process writes and anybody reads.
///
/// An intent with a token of ours is durable before the request leaves; the provider's identifier is durable before
/// anybody waits; the price is a row when it is learned, by whichever process learns it. Clones share the ledger.
///
/// ```
/// use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
///
/// # let dir = tempfile::tempdir()?;
/// let ledger = Ledger::open(dir.path().join("jobs.parquet"), Budget::usd(50.0))?;
/// let batch = Batch::new("device", 1024).circuits(["OPENQASM 3.0; …"]);
/// if ledger.finished(&batch.digest()).is_none() {
///     let spec = JobSpec::new("provider", batch.clone()).at(0, 17).estimate_usd(0.67);
///     let intent = ledger.intend(spec)?; // durable
///     let identifier = format!("job-for-{}", intent.token()); // the only network call in between
///     let job = intent.submitted(&identifier)?; // durable: now wait
///     ledger.observe(&job.key, &Seen::queued(17))?;
///     ledger.observe(&job.key, &Seen::done().usd(0.65).exec_ms(840.0))?;
/// }
/// let paid = ledger.finished(&batch.digest()).expect("it is found again, in any later process");
/// assert_eq!(paid.known.cost_usd, Some(0.65));
/// assert_eq!(ledger.spending().total_usd(), 0.65);
/// ledger.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What happens in each case:
/// * The process dies between the intent and the answer: the job is in [`unfinished`](Self::unfinished) of the next
///   one, and [`in_doubt`](Job::in_doubt). [`reconcile`](Self::reconcile) looks for it at the provider.
/// * The answer of the provider is lost: the same, in this process, once the [`Intent`] is dropped.
/// * A batch that is under way or was paid for is asked for again: an error, unless the
///   [`JobSpec`] says [`repeated`](JobSpec::repeated).
/// * The disk fails: what became known is kept in memory, the call says so, and the next one tries again.
/// * Two processes: the second one cannot open the file for writing. Readers use [`read_jobs`](crate::read_jobs).
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    budget: Budget,
    clock: Clock,
}

/// Seconds since the Unix epoch.
type Clock = Box<dyn Fn() -> f64 + Send + Sync>;

struct Inner {
    log: Box<dyn EventLog>,
    jobs: Jobs,
    /// Whether events were appended that no flush has made durable.
    is_behind: bool,
}

impl Ledger {
    /// Opens or creates the ledger at `path`, by convention `jobs.parquet` beside the metrics of the run.
    ///
    /// # Errors
    /// If the file cannot be opened, has another writer, or is not a ledger, and if the budget is not possible.
    pub fn open(path: impl AsRef<Path>, budget: Budget) -> Result<Self, LedgerError> {
        Self::open_in(Arc::new(LocalFs::new()), path, budget)
    }

    /// As [`open`](Self::open), on any file system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        storage: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
        budget: Budget,
    ) -> Result<Self, LedgerError> {
        budget.validate()?;
        let (log, jobs) = log::open(storage, path.as_ref())?;
        let clock = Box::new(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
        });
        Ok(Self::over(log, jobs, budget, clock))
    }

    pub(crate) fn over(log: Box<dyn EventLog>, jobs: Jobs, budget: Budget, clock: Clock) -> Self {
        let inner = Mutex::new(Inner { log, jobs, is_behind: false });
        Self { shared: Arc::new(Shared { inner, budget, clock }) }
    }

    /// Makes a job durable before its request leaves.
    ///
    /// # Errors
    /// If the batch was paid for or is under way, if it does not fit the budget, or if the intent could not be made
    /// durable. Nothing may be sent then.
    pub fn intend(&self, spec: JobSpec) -> Result<Intent, LedgerError> {
        for (name, amount) in [("est_usd", spec.est_usd), ("est_seconds", spec.est_seconds)] {
            rules::check(name, amount)?;
        }
        let batch = spec.batch.digest();
        let now = (self.shared.clock)();
        let key = JobKey::at(now);
        let mut inner = self.inner();
        inner.catch_up(&key)?;
        if !spec.is_repeated {
            rules::refuse_twice(&inner.jobs, &batch)?;
        }
        let before = self.shared.budget.spending(inner.jobs.list());
        // mutant: budget_not_asked
        self.shared.budget.admit(before, spec.est_usd)?;
        let (circuits, shots) = spec.batch.counts();
        let event = JobEvent {
            seq: inner.jobs.next_seq(),
            time: now,
            job: key.as_str().into(),
            event: JobState::Intended.as_str().into(),
            provider: spec.provider,
            device: spec.batch.device().clone(),
            session: spec.session,
            attempt: spec.attempt,
            epoch: spec.epoch,
            step: spec.step,
            batch: batch.text(),
            circuits,
            shots,
            est_usd: spec.est_usd,
            est_seconds: spec.est_seconds,
            extra: spec.extra,
            ..JobEvent::default()
        };
        inner.append(event.clone())?;
        // mutant: intent_not_durable
        if let Err(source) = inner.flush() {
            // The row may become durable with a later flush, so it is followed by one that withdraws it.
            let seq = inner.jobs.next_seq();
            inner.append(JobEvent {
                seq,
                event: JobState::Cancelled.as_str().into(),
                error: Some(
                    "withdrawn: the intent could not be made durable, so nothing was sent".into(),
                ),
                ..event
            })?;
            return Err(LedgerError::NotIntended { job: key.to_string(), source });
        }
        inner.jobs.hold(&key, true);
        let after = self.shared.budget.spending(inner.jobs.list());
        drop(inner);
        self.shared.budget.raise(before, after);
        Ok(Intent { ledger: self.clone(), key })
    }

    /// The intent of a job in doubt again, with the same token: for a provider that answers the same token with the
    /// same job.
    ///
    /// # Errors
    /// If the job is not in doubt.
    pub fn retry(&self, job: &JobKey) -> Result<Intent, LedgerError> {
        let mut inner = self.inner();
        inner.in_doubt(job)?;
        inner.jobs.hold(job, true);
        drop(inner);
        Ok(Intent { ledger: self.clone(), key: job.clone() })
    }

    /// Records what was seen of a job, and returns what is known now. What is known already is not recorded again.
    ///
    /// A job that has ended stays as it ended: a state that contradicts it becomes a note. A price may come at any time.
    ///
    /// # Errors
    /// If the job is unknown, if the identifier is not its own, if an amount is not possible, or if it could not be
    /// made durable yet.
    pub fn observe(&self, job: &JobKey, seen: &Seen) -> Result<Job, LedgerError> {
        for (name, amount) in seen.amounts() {
            rules::check(name, amount)?;
        }
        let mut inner = self.inner();
        inner.catch_up(job)?;
        let known = inner.get(job)?.clone();
        let Some(event) = rules::next(&inner.jobs, &known, seen)? else { return Ok(known) };
        let before = self.shared.budget.spending(inner.jobs.list());
        let time = (self.shared.clock)();
        let event = JobEvent { seq: inner.jobs.next_seq(), time, ..event };
        inner.append(event)?;
        // mutant: identifier_not_durable
        let flushed = inner.flush();
        let after = self.shared.budget.spending(inner.jobs.list());
        let known = inner.get(job)?.clone();
        drop(inner);
        self.shared.budget.raise(before, after);
        match flushed {
            Ok(()) => Ok(known),
            Err(source) => Err(LedgerError::NotDurable { job: job.to_string(), source }),
        }
    }

    /// Records that the provider does not know a job that was in doubt: what was reserved for it is free again.
    ///
    /// Be sure of it. A provider that lists jobs with a delay may know it a moment later, and the batch is paid twice.
    ///
    /// # Errors
    /// If the job is not in doubt, or if it could not be made durable yet.
    pub fn give_up(&self, job: &JobKey) -> Result<Job, LedgerError> {
        self.inner().in_doubt(job)?;
        self.observe(job, &Seen::cancelled().error("the provider does not know it"))
    }

    /// The jobs to which something may still happen, in the order in which they were intended.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Job> {
        self.inner().jobs.list().iter().filter(|job| job.is_open()).cloned().collect()
    }

    /// The last job that is done for this batch: it was paid for.
    #[must_use]
    pub fn finished(&self, batch: &BatchDigest) -> Option<Job> {
        let inner = self.inner();
        inner.jobs.of_batch(batch.as_str()).rfind(|job| job.state == JobState::Done).cloned()
    }

    /// All jobs, in the order in which they were intended.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.inner().jobs.list().to_vec()
    }

    /// The number of events so far: what a checkpoint notes as `jobs_seq`.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.inner().jobs.next_seq()
    }

    /// What is spent, and what is reserved for jobs whose price is not known yet.
    #[must_use]
    pub fn spending(&self) -> Spending {
        self.shared.budget.spending(self.inner().jobs.list())
    }

    /// Makes everything durable, and marks the file as closed. Nothing can be recorded afterwards.
    ///
    /// # Errors
    /// If that failed. It can be called again.
    pub fn close(&self) -> Result<(), LedgerError> {
        let closed = self.inner().log.close();
        closed.map_err(|source| LedgerError::NotDurable { job: "of the last call".into(), source })
    }

    /// The intent was dropped, with an answer or without.
    fn let_go(&self, job: &JobKey) {
        self.inner().jobs.hold(job, false);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&self, job: &JobKey) -> Result<&Job, LedgerError> {
        self.jobs.get(job).ok_or_else(|| LedgerError::UnknownJob { job: job.to_string() })
    }

    fn in_doubt(&self, job: &JobKey) -> Result<(), LedgerError> {
        let known = self.get(job)?;
        if known.in_doubt {
            return Ok(());
        }
        Err(LedgerError::NotInDoubt { job: job.to_string(), state: known.state })
    }

    fn append(&mut self, event: JobEvent) -> Result<(), LedgerError> {
        self.log
            .append(&event)
            .map_err(|reason| LedgerError::Rejected { job: event.job.to_string(), reason })?;
        self.is_behind = true;
        self.jobs.apply(event);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.log.flush()?;
        self.is_behind = false;
        Ok(())
    }

    /// Makes durable what an earlier flush could not.
    fn catch_up(&mut self, job: &JobKey) -> Result<(), LedgerError> {
        if !self.is_behind {
            return Ok(());
        }
        self.flush().map_err(|source| LedgerError::NotDurable { job: job.to_string(), source })
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("jobs", &self.inner().jobs.list().len())
            .finish_non_exhaustive()
    }
}

/// A job that is durable, and whose request may leave.
///
/// Dropping it without an answer records nothing and leaves the job in doubt, on purpose: the request may have
/// arrived. Look for it at the provider, or send it again with the same token ([`Ledger::retry`]) if the provider
/// answers the same token with the same job.
#[derive(Debug)]
#[must_use = "the request may leave now; call `submitted` or `refused` with the provider's answer"]
pub struct Intent {
    ledger: Ledger,
    key: JobKey,
}

impl Intent {
    /// The token that the request shall carry: `clientToken`, a tag, or a name, as the provider has it.
    #[must_use]
    pub fn token(&self) -> &JobKey {
        &self.key
    }

    /// The provider has it, under this identifier, which is durable when this returns.
    ///
    /// # Errors
    /// If the identifier is empty or another job's, or could not be made durable yet: then it is kept in memory, and the
    /// next call on the ledger tries again.
    pub fn submitted(self, provider_job: &str) -> Result<Job, LedgerError> {
        self.ledger.observe(&self.key, &Seen::state(JobState::Submitted).id(provider_job))
    }

    /// The provider refused it, and certainly did not accept it.
    ///
    /// # Errors
    /// If that could not be made durable yet.
    pub fn refused(self, reason: &str) -> Result<Job, LedgerError> {
        self.ledger.observe(&self.key, &Seen::failed(reason))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        self.ledger.let_go(&self.key);
    }
}
