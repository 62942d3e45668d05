//! The ledger: what is intended, sent, seen and paid, durable before anybody relies on it.

use crate::batch::BatchDigest;
use crate::budget::{Budget, Spending};
use crate::error::LedgerError;
use crate::event::JobEvent;
use crate::job::{Job, Jobs};
use crate::key::JobKey;
use crate::log;
use crate::rules;
use crate::seen::Seen;
use crate::spec::JobSpec;
use crate::state::JobState;
use qstore_os::ForkCheck;
use qstore_parquet::{Appended, MetricsLog, WriteError};
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
/// * The disk fails: what became known is kept in memory, the call says so, and the next one that records something,
///   or [`close`](Self::close), tries again first.
/// * A forked child: every call that records something is [`LedgerError::Forked`]. The file is the parent's.
/// * Two processes: the second one cannot open the file for writing. Readers use [`read_jobs`](crate::read_jobs).
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    budget: Budget,
    /// Asked before the lock, which another thread of the parent may have held at the fork.
    home: ForkCheck,
}

struct Inner {
    log: MetricsLog<JobEvent>,
    jobs: Jobs,
    /// Whether events were appended that no flush has made durable.
    is_behind: bool,
    is_closed: bool,
}

impl Ledger {
    /// Opens or creates the ledger at `path`, by convention `jobs.parquet` beside the metrics of the run. What it has is
    /// durable when this returns.
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
        let inner = Mutex::new(Inner { log, jobs, is_behind: false, is_closed: false });
        Ok(Self { shared: Arc::new(Shared { inner, budget, home: ForkCheck::new() }) })
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
        self.record(|inner, budget| {
            let key = inner.intend(spec, budget)?;
            Ok(Intent { ledger: self.clone(), key, is_retry: false })
        })
    }

    /// The intent of a job in doubt again, with the same token: for a provider that answers the same token with the
    /// same job.
    ///
    /// If the provider [refuses](Intent::refused) this request, the job stays in doubt: that says nothing of the first one.
    ///
    /// # Errors
    /// If the job is not in doubt.
    pub fn retry(&self, job: &JobKey) -> Result<Intent, LedgerError> {
        self.record(|inner, _| {
            inner.in_doubt(job)?;
            inner.jobs.hold(job, true);
            Ok(Intent { ledger: self.clone(), key: job.clone(), is_retry: true })
        })
    }

    /// Records what was seen of a job, and returns what is known now. What is known already is not recorded again.
    ///
    /// A job that has ended at the provider stays as it ended: a state that contradicts it becomes a note. A price may
    /// come at any time. A job that was given up, and is seen after all, is open again.
    ///
    /// # Errors
    /// If the job is unknown, if the identifier is not its own, if an amount is not possible, or if it could not be
    /// made durable yet.
    pub fn observe(&self, job: &JobKey, seen: &Seen) -> Result<Job, LedgerError> {
        for (name, amount) in seen.amounts() {
            rules::check(name, amount)?;
        }
        self.record(|inner, _| inner.observe(job, seen))
    }

    /// Records that the provider does not know a job that was in doubt: what was reserved for it is free again.
    ///
    /// Be sure of it. A provider that lists jobs with a delay may know it a moment later, and the batch is paid twice.
    ///
    /// # Errors
    /// If the job is not in doubt, or if it could not be made durable yet.
    pub fn give_up(&self, job: &JobKey) -> Result<Job, LedgerError> {
        self.record(|inner, _| {
            inner.in_doubt(job)?;
            inner.observe(job, &Seen::cancelled().error("the provider does not know it"))
        })
    }

    /// The jobs to which something may still happen, in the order in which they were intended.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Job> {
        self.look(|jobs| jobs.list().iter().filter(|job| job.is_open()).cloned().collect())
    }

    /// The last job that is done for this batch: it was paid for.
    #[must_use]
    pub fn finished(&self, batch: &BatchDigest) -> Option<Job> {
        let is_done = |job: &&Job| job.state == JobState::Done;
        self.look(|jobs| jobs.of_batch(batch.as_str()).rfind(is_done).cloned())
    }

    /// All jobs, in the order in which they were intended.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.look(|jobs| jobs.list().to_vec())
    }

    /// The number of events so far.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.look(Jobs::next_seq)
    }

    /// What is spent, and what is reserved for jobs whose price is not known yet.
    #[must_use]
    pub fn spending(&self) -> Spending {
        self.look(|jobs| self.shared.budget.spending(jobs.list()))
    }

    /// Makes everything durable, and marks the file as closed. Nothing can be recorded afterwards.
    ///
    /// # Errors
    /// If that failed. It can be called again.
    pub fn close(&self) -> Result<(), LedgerError> {
        let mut inner = self.inner()?;
        inner.log.close().map_err(|source| LedgerError::NotClosed { source })?;
        (inner.is_behind, inner.is_closed) = (false, true);
        Ok(())
    }

    /// Does something under the lock, and raises the alarms that it is a reason for.
    fn record<T>(
        &self,
        act: impl FnOnce(&mut Inner, &Budget) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let budget = &self.shared.budget;
        let mut inner = self.inner()?;
        if inner.is_closed {
            return Err(LedgerError::Closed);
        }
        let before = budget.spending(inner.jobs.list());
        let done = act(&mut inner, budget);
        let after = budget.spending(inner.jobs.list());
        drop(inner);
        budget.raise(before, after);
        done
    }

    /// Looks at what is known. In a forked child that is what was known at the fork, or nothing if another thread was
    /// recording something then.
    fn look<T>(&self, look: impl FnOnce(&Jobs) -> T) -> T {
        if self.shared.home.is_forked() {
            return match self.shared.inner.try_lock() {
                Ok(inner) => look(&inner.jobs),
                Err(_) => look(&Jobs::default()),
            };
        }
        look(&self.locked().jobs)
    }

    fn inner(&self) -> Result<MutexGuard<'_, Inner>, LedgerError> {
        // mutant: ledger_in_a_forked_child
        if self.shared.home.is_forked() {
            return Err(LedgerError::Forked);
        }
        Ok(self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn intend(&mut self, spec: JobSpec, budget: &Budget) -> Result<JobKey, LedgerError> {
        let batch = spec.batch.digest();
        let time = now();
        let key = JobKey::at(time);
        let not_intended = |source| LedgerError::NotIntended { job: key.to_string(), source };
        self.catch_up().map_err(not_intended)?;
        if !spec.is_repeated {
            rules::refuse_twice(&self.jobs, &batch)?;
        }
        // mutant: budget_not_asked
        budget.admit(budget.spending(self.jobs.list()), spec.est_usd)?;
        let (circuits, shots) = spec.batch.counts();
        let event = JobEvent {
            time,
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
        self.append(event.clone())?;
        // mutant: intent_not_durable
        if let Err(source) = self.flush() {
            // The row may become durable with a later flush, so it is followed by one that withdraws it.
            let error = "withdrawn: the intent could not be made durable, so nothing was sent";
            // mutant: intent_not_withdrawn
            self.append(JobEvent {
                event: JobState::Cancelled.as_str().into(),
                error: Some(error.into()),
                ..event
            })?;
            return Err(not_intended(source));
        }
        self.jobs.hold(&key, true);
        Ok(key)
    }

    fn observe(&mut self, job: &JobKey, seen: &Seen) -> Result<Job, LedgerError> {
        let not_durable = |source| LedgerError::NotDurable { job: job.to_string(), source };
        let known = self.get(job)?.clone();
        let event = rules::next(&self.jobs, &known, seen)?;
        if let Some(event) = event {
            self.append(JobEvent { time: now(), ..event })?;
        }
        // Also what an earlier call could not make durable.
        // mutant: identifier_not_durable
        self.catch_up().map_err(not_durable)?;
        self.get(job).cloned()
    }

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

    /// Appends an event under the next number.
    fn append(&mut self, event: JobEvent) -> Result<(), LedgerError> {
        let event = JobEvent { seq: self.jobs.next_seq(), ..event };
        match self.log.append(&event, Instant::now()) {
            Appended::Rejected(reason) | Appended::Incomplete(reason) => {
                return Err(LedgerError::Rejected { job: event.job.to_string(), reason });
            }
            _ => {}
        }
        self.is_behind = true;
        self.jobs.apply(event);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.log.flush()?;
        self.is_behind = false;
        Ok(())
    }

    /// Makes durable what is not yet.
    fn catch_up(&mut self) -> Result<(), WriteError> {
        if self.is_behind { self.flush() } else { Ok(()) }
    }
}

/// Seconds since the Unix epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = self.look(|jobs| jobs.list().len());
        f.debug_struct("Ledger").field("jobs", &jobs).finish_non_exhaustive()
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
    /// Whether an earlier request with the token may have arrived.
    is_retry: bool,
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
    /// next call that records something tries again first.
    pub fn submitted(self, provider_job: &str) -> Result<Job, LedgerError> {
        self.ledger.observe(&self.key, &Seen::state(JobState::Submitted).id(provider_job))
    }

    /// The provider refused the request, and certainly did not accept it. The job has failed, unless this was a
    /// [retry](Ledger::retry): then an earlier request may have arrived, and it stays in doubt.
    ///
    /// # Errors
    /// If that could not be made durable yet.
    pub fn refused(self, reason: &str) -> Result<Job, LedgerError> {
        // mutant: refused_retry_ends_the_job
        let seen = if self.is_retry { Seen::default().error(reason) } else { Seen::failed(reason) };
        self.ledger.observe(&self.key, &seen)
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.ledger.inner() {
            inner.jobs.hold(&self.key, false);
        }
    }
}
