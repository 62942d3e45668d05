//! A training whose process can be killed after any request, and a judge of what it leaves; for tests.

use crate::batch::{Batch, BatchDigest};
use crate::budget::Budget;
use crate::error::LedgerError;
use crate::job::Job;
use crate::key::JobKey;
use crate::ledger::Ledger;
use crate::provider::{Found, Provider, SendError, SubmitError};
use crate::seen::Seen;
use crate::simulated::{Accepted, SimulatedError, SimulatedProvider, Simulation};
use crate::spec::JobSpec;
use crate::state::JobState;
use qstore_storage::{FileSystem, MemoryFs};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

/// Where the ledger of a training is.
const FILE: &str = "/run/jobs.parquet";

/// What is asked for as batch number `n` of a training.
#[must_use]
pub fn batch(n: i64) -> Batch {
    let circuits = ["OPENQASM 3.0; qubit q; ry(a) q;"];
    Batch::new("device", 100).circuits(circuits).parameters(&[n as f64])
}

/// The job for it.
#[must_use]
pub fn spec(n: i64) -> JobSpec {
    JobSpec::new("simulated", batch(n)).at(n / 10, n)
}

/// Its digest.
#[must_use]
pub fn digest(n: i64) -> BatchDigest {
    batch(n).digest()
}

/// A client whose process dies directly after a request, with the answer still unread.
pub struct Client {
    provider: SimulatedProvider,
    /// The number of requests until then.
    left: Cell<usize>,
}

/// The process was killed.
struct Killed;

impl Client {
    /// Dies after this number of requests; with `usize::MAX` it does not.
    #[must_use]
    pub fn new(provider: SimulatedProvider, requests: usize) -> Self {
        Self { provider, left: Cell::new(requests) }
    }

    /// The provider that it talks to.
    #[must_use]
    pub fn provider(&self) -> &SimulatedProvider {
        &self.provider
    }

    /// Runs what a process does; `None` if it was killed.
    pub fn run<T>(&self, process: impl FnOnce(&Self) -> T) -> Option<T> {
        match panic::catch_unwind(AssertUnwindSafe(|| process(self))) {
            Ok(done) => Some(done),
            Err(reason) if reason.is::<Killed>() => None,
            Err(reason) => panic::resume_unwind(reason),
        }
    }

    fn asked<T>(&self, answer: T) -> T {
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            // Without the message of a panic.
            panic::resume_unwind(Box::new(Killed));
        }
        answer
    }
}

impl Provider for Client {
    type Circuits = ();
    type Error = SimulatedError;

    fn submit(
        &self,
        token: &JobKey,
        spec: &JobSpec,
        (): &(),
    ) -> Result<String, SubmitError<SimulatedError>> {
        self.asked(self.provider.submit(token, spec, &()))
    }

    fn find(&self, token: &JobKey) -> Result<Found, SimulatedError> {
        self.asked(self.provider.find(token))
    }

    fn status(&self, provider_job: &str) -> Result<Seen, SimulatedError> {
        self.asked(self.provider.status(provider_job))
    }

    fn cancel(&self, provider_job: &str) -> Result<Seen, SimulatedError> {
        self.asked(self.provider.cancel(provider_job))
    }
}

/// What a loop does about a job in doubt that its provider cannot find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Sends it again with the same token.
    Retries,
    /// Leaves it alone, and goes on with the next batch.
    Skips,
}

/// A disk with the directory of a run, which survives a power cut.
///
/// # Panics
/// Never: the disk is new.
#[must_use]
pub fn disk() -> MemoryFs {
    let memory = MemoryFs::new();
    memory.create_dir(Path::new("/run")).expect("a new disk is empty");
    memory.sync_dir(Path::new("/")).expect("a directory can be synced");
    memory
}

/// How a process of a [`history`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// After how many requests.
    pub requests: usize,
    /// Whether the power is cut then.
    pub is_power_cut: bool,
}

/// Trains for four batches with processes that die, and one that does not. Returns the provider, and by how many US
/// dollars the ledger differs from its bill in the end.
///
/// # Panics
/// If the ledger cannot be opened or written.
#[must_use]
pub fn history(simulation: Simulation, deaths: &[Death], doubt: Doubt) -> (SimulatedProvider, f64) {
    let provider = SimulatedProvider::new(simulation);
    let mut memory = disk();
    let train_on = |memory: &MemoryFs, requests| {
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let client = Client::new(provider.clone(), requests);
        let trained = client.run(|client| train(&storage, client, 4, doubt));
        trained.map(|trained| trained.expect("nothing failed").spending().settled_usd)
    };
    for death in deaths {
        let _ = train_on(&memory, death.requests);
        memory = if death.is_power_cut { memory.power_cut() } else { memory.process_kill() };
    }
    let spent = train_on(&memory, usize::MAX).expect("it is not killed");
    let error = (spent - provider.bill_usd()).abs();
    (provider, error)
}

/// The number of jobs that were accepted although an earlier one for the same batch had not failed.
#[must_use]
pub fn doubles(accepted: &[Accepted]) -> usize {
    let mut good: HashMap<&str, usize> = HashMap::new();
    for job in accepted {
        let is_wasted = matches!(job.state, JobState::Failed | JobState::Cancelled);
        *good.entry(&job.batch).or_default() += usize::from(!is_wasted);
    }
    good.values().map(|count| count.saturating_sub(1)).sum()
}

/// A training: sends batches `0..count`, each once, and looks at each until it has ended. It goes on with what an
/// earlier process left in `/run/jobs.parquet`.
///
/// # Errors
/// If the ledger cannot be opened or written.
///
/// # Panics
/// If the ledger lets a batch in doubt be sent again without a word.
pub fn train(
    storage: &Arc<dyn FileSystem>,
    client: &Client,
    count: i64,
    doubt: Doubt,
) -> Result<Ledger, LedgerError> {
    let ledger = Ledger::open_in(Arc::clone(storage), FILE, Budget::usd(1e3))?;
    for n in 0..count {
        while ledger.finished(&digest(n)).is_none() {
            let is_wanted = |job: &Job| job.is_open() && job.known.batch == digest(n).as_str();
            match ledger.unfinished().into_iter().find(is_wanted) {
                None => {
                    let spec = spec(n);
                    let spec = spec.clone().estimate_usd(client.provider().estimate_usd(&spec));
                    if let Err(SendError::Ledger(error)) = ledger.send(client, &spec, &()) {
                        return Err(error);
                    }
                }
                Some(job) => {
                    let outcome = ledger.reconcile("simulated", client)?;
                    if outcome.in_doubt.iter().all(|doubtful| doubtful.key != job.key) {
                        continue;
                    }
                    if doubt == Doubt::Skips {
                        // The ledger does not let it be sent again without a word.
                        let refusal = ledger.intend(spec(n).estimate_usd(0.0)).unwrap_err();
                        assert!(matches!(refusal, LedgerError::UnderWay { in_doubt: true, .. }));
                        break;
                    }
                    let intent = ledger.retry(&job.key)?;
                    match client.submit(intent.token(), &spec(n), &()) {
                        Ok(id) => drop(intent.submitted(&id)?),
                        Err(SubmitError::Refused(error)) => {
                            drop(intent.refused(&error.to_string())?);
                        }
                        Err(SubmitError::Unknown(_)) => {}
                    }
                }
            }
        }
    }
    Ok(ledger)
}

/// What the next process does first: it sends every job in doubt again, with its token. Then it dies, before it has
/// recorded an answer.
///
/// # Panics
/// If the ledger cannot be opened.
pub fn send_again(left: &Arc<dyn FileSystem>, provider: &SimulatedProvider) {
    let ledger = Ledger::open_in(Arc::clone(left), FILE, Budget::unlimited());
    let ledger = ledger.expect("what is left can be opened");
    for job in ledger.unfinished().into_iter().filter(|job| job.in_doubt) {
        let intent = ledger.retry(&job.key).expect("it is in doubt");
        let _ = provider.submit(intent.token(), &spec(0), &());
    }
}

/// Every job that the provider accepted has its identifier in what is left, or is in doubt under its token; and the
/// provider knows every identifier.
///
/// # Panics
/// If one of these does not hold.
pub fn judge(left: &Arc<dyn FileSystem>, provider: &SimulatedProvider, moment: &str) {
    let ledger = Ledger::open_in(Arc::clone(left), FILE, Budget::unlimited());
    let jobs = ledger.unwrap_or_else(|error| panic!("{moment}: {error}")).jobs();
    let accepted = provider.accepted();
    for known in &accepted {
        let job = jobs.iter().find(|job| job.key == known.token);
        let job = job.unwrap_or_else(|| panic!("{moment}: {known:?} is lost"));
        let is_known = job.provider_job() == Some(&known.id) || job.in_doubt;
        assert!(is_known, "{moment}: {known:?} is not {job:?}");
    }
    for job in jobs.iter().filter(|job| job.provider_job().is_some()) {
        let is_known = accepted
            .iter()
            .any(|known| known.token == job.key && job.provider_job() == Some(&known.id));
        assert!(is_known, "{moment}: {job:?} is invented");
    }
}
