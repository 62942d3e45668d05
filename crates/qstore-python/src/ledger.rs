//! The ledger of jobs on quantum computers. Each call that records something returns when it is durable.
//!
//! Alarms of the budget are kept until the package asks for them: nothing here calls Python from within a call.

use crate::errors::of_ledger;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use qstore_ledger::{Budget, Job, JobKey, JobSpec, JobState, LedgerError, Seen, Spending};
use qstore_os::ForkCheck;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// A request to a provider, as far as it makes two requests the same.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Batch {
    batch: qstore_ledger::Batch,
}

#[pymethods]
impl Batch {
    #[new]
    #[pyo3(signature = (device, shots, circuits, parameters, salts))]
    #[expect(clippy::needless_pass_by_value, reason = "what Python passes is converted")]
    fn new(
        device: &str,
        shots: u32,
        circuits: Vec<Bound<'_, PyAny>>,
        parameters: Option<Vec<f64>>,
        salts: Vec<String>,
    ) -> PyResult<Self> {
        let mut batch = qstore_ledger::Batch::new(device, shots);
        for circuit in &circuits {
            batch = if let Ok(bytes) = circuit.cast::<PyBytes>() {
                batch.circuits([bytes.as_bytes()])
            } else {
                batch.circuits([&*circuit.cast::<PyString>()?.to_cow()?])
            };
        }
        if let Some(values) = parameters {
            batch = batch.parameters(&values);
        }
        let batch = salts.iter().fold(batch, qstore_ledger::Batch::salt);
        Ok(Self { batch })
    }

    /// 32 hexadecimal digits, which are the same for the same request.
    #[getter]
    fn digest(&self) -> String {
        self.batch.digest().to_string()
    }
}

/// What is asked for besides the batch, in a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Request {
    provider: String,
    session: Option<String>,
    attempt: i64,
    epoch: Option<i64>,
    step: Option<i64>,
    estimate_usd: Option<f64>,
    estimate_seconds: Option<f64>,
    extra: Option<String>,
    repeated: bool,
}

impl Request {
    fn spec(self, batch: qstore_ledger::Batch) -> PyResult<JobSpec> {
        let mut spec = JobSpec::new(&self.provider, batch).attempt(self.attempt);
        spec = match (self.epoch, self.step) {
            (Some(epoch), Some(step)) => spec.at(epoch, step),
            (None, None) => spec,
            _ => return Err(PyValueError::new_err("pass both epoch and step, or neither")),
        };
        if let Some(session) = self.session {
            spec = spec.session(&session);
        }
        if let Some(usd) = self.estimate_usd {
            spec = spec.estimate_usd(usd);
        }
        if let Some(seconds) = self.estimate_seconds {
            spec = spec.estimate_seconds(seconds);
        }
        if let Some(extra) = self.extra {
            spec = spec.extra(&extra);
        }
        Ok(if self.repeated { spec.repeated() } else { spec })
    }
}

/// What was seen of a job, in a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Look {
    state: Option<String>,
    id: Option<String>,
    session: Option<String>,
    cost_usd: Option<f64>,
    billed_seconds: Option<f64>,
    credits: Option<f64>,
    queue_position: Option<i64>,
    queue_ms: Option<f64>,
    exec_ms: Option<f64>,
    /// A file, and its crc32c.
    result: Option<(String, u32)>,
    error: Option<String>,
    extra: Option<String>,
}

impl Look {
    fn seen(self) -> PyResult<Seen> {
        let state = self.state.as_deref().map(state_of).transpose()?;
        let mut seen = match (state, self.queue_position) {
            (None | Some(JobState::Queued), Some(position)) => Seen::queued(position),
            (Some(state), None) => Seen::state(state),
            (None, None) => Seen::default(),
            (Some(state), Some(_)) => {
                let text = format!("a job that is {state} has no position in the queue");
                return Err(PyValueError::new_err(text));
            }
        };
        macro_rules! set {
            ($($setter:ident $value:expr;)*) => {
                $(if let Some(value) = $value { seen = seen.$setter(value); })*
            };
        }
        set! {
            id self.id.as_deref();
            session self.session.as_deref();
            usd self.cost_usd;
            billed_seconds self.billed_seconds;
            credits self.credits;
            queue_ms self.queue_ms;
            exec_ms self.exec_ms;
            error self.error.as_deref();
            extra self.extra.as_deref();
        }
        Ok(match self.result {
            Some((file, sum)) => seen.result(&file, sum),
            None => seen,
        })
    }
}

fn state_of(word: &str) -> PyResult<JobState> {
    JobState::parse(word).ok_or_else(|| {
        PyValueError::new_err(format!(
            "state is {word:?}; choose submitted, queued, running, done, failed or {}",
            JobState::Cancelled
        ))
    })
}

/// The state for a status of `ibm_runtime`, `braket` or `ionq`; None for a status that is not known.
#[pyfunction]
pub(crate) fn job_state(provider: &str, status: &str) -> PyResult<Option<&'static str>> {
    let state = match provider {
        "ibm_runtime" => JobState::of_ibm_runtime(status),
        "braket" => JobState::of_braket(status),
        "ionq" => JobState::of_ionq(status),
        other => {
            let text = format!("provider is {other:?}; choose ibm_runtime, braket or ionq");
            return Err(PyValueError::new_err(text));
        }
    };
    Ok(state.map(JobState::as_str))
}

/// An alarm: the share of the budget that was passed, and what is settled and reserved then.
type Alarm = (f64, f64, f64);

/// Jobs in one file that a single process writes and anybody reads.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Ledger {
    /// For writing only to close it.
    state: RwLock<State>,
    alarms: Arc<Mutex<Vec<Alarm>>>,
    home: ForkCheck,
}

/// A ledger keeps its file locked as long as it lives, so a closed one is replaced by what it knew.
enum State {
    Open(qstore_ledger::Ledger),
    Closed { jobs: Vec<Job>, spending: Spending },
}

impl Ledger {
    fn do_with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&qstore_ledger::Ledger) -> Result<T, LedgerError> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| match &*self.state()? {
            State::Open(ledger) => act(ledger),
            State::Closed { .. } => Err(LedgerError::Closed),
        });
        done.map_err(|error| of_ledger(&error))
    }

    /// What is known, or was when it was closed.
    fn look<T: Send>(
        &self,
        py: Python<'_>,
        look: impl FnOnce(Vec<Job>, Spending) -> T + Send,
    ) -> PyResult<T> {
        let known = py.detach(|| {
            Ok(match &*self.state()? {
                State::Open(ledger) => look(ledger.jobs(), ledger.spending()),
                State::Closed { jobs, spending } => look(jobs.clone(), *spending),
            })
        });
        known.map_err(|error| of_ledger(&error))
    }

    /// In a forked child the lock may be held by a thread that does not exist.
    fn state(&self) -> Result<RwLockReadGuard<'_, State>, LedgerError> {
        if self.home.is_forked() {
            return self.state.try_read().map_err(|_| LedgerError::Forked);
        }
        Ok(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The key of a job by its text.
fn key_of(ledger: &qstore_ledger::Ledger, job: &str) -> Result<JobKey, LedgerError> {
    let mut jobs = ledger.jobs().into_iter();
    let found = jobs.find(|known| known.key.as_str() == job);
    found.map(|known| known.key).ok_or_else(|| LedgerError::UnknownJob { job: job.into() })
}

#[pymethods]
impl Ledger {
    #[new]
    #[pyo3(signature = (path, budget_usd, alarm_at))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        budget_usd: Option<f64>,
        alarm_at: Vec<f64>,
    ) -> PyResult<Self> {
        let alarms = Arc::new(Mutex::new(Vec::new()));
        let raised = Arc::clone(&alarms);
        let budget = budget_usd.map_or_else(Budget::unlimited, Budget::usd).alarm_at(alarm_at);
        let budget = budget.on_alarm(move |alarm| {
            let Spending { settled_usd, reserved_usd, .. } = alarm.spending;
            let mut raised = raised.lock().unwrap_or_else(PoisonError::into_inner);
            raised.push((alarm.share, settled_usd, reserved_usd));
        });
        let opened = py.detach(|| qstore_ledger::Ledger::open(path, budget));
        let ledger = opened.map_err(|error| of_ledger(&error))?;
        Ok(Self { state: RwLock::new(State::Open(ledger)), alarms, home: ForkCheck::new() })
    }

    /// Makes a job durable before its request leaves.
    fn intend(&self, py: Python<'_>, batch: &Batch, request: Request) -> PyResult<Intent> {
        let spec = request.spec(batch.batch.clone())?;
        self.do_with(py, |ledger| ledger.intend(spec)).map(Intent::of)
    }

    /// The intent of a job in doubt again, with the same token.
    fn retry(&self, py: Python<'_>, job: &str) -> PyResult<Intent> {
        self.do_with(py, |ledger| ledger.retry(&key_of(ledger, job)?)).map(Intent::of)
    }

    /// Records what was seen of a job, and returns what is known now.
    fn observe<'py>(&self, py: Python<'py>, job: &str, look: Look) -> PyResult<Bound<'py, PyDict>> {
        let seen = look.seen()?;
        let known = self.do_with(py, |ledger| ledger.observe(&key_of(ledger, job)?, &seen))?;
        of_job(py, &known)
    }

    /// Records that the provider does not know a job that was in doubt.
    fn give_up<'py>(&self, py: Python<'py>, job: &str) -> PyResult<Bound<'py, PyDict>> {
        let known = self.do_with(py, |ledger| ledger.give_up(&key_of(ledger, job)?))?;
        of_job(py, &known)
    }

    /// The last job that is done for this batch.
    fn finished<'py>(
        &self,
        py: Python<'py>,
        batch: &Batch,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let digest = batch.batch.digest();
        let done = self.look(py, |jobs, _| {
            let is_paid =
                |job: &Job| job.state == JobState::Done && job.known.batch == digest.as_str();
            jobs.into_iter().rfind(is_paid)
        })?;
        done.map(|job| of_job(py, &job)).transpose()
    }

    /// The jobs to which something may still happen, in the order of their intents.
    fn unfinished<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let jobs = self.look(py, |jobs, _| jobs)?;
        jobs.iter().filter(|job| job.is_open()).map(|job| of_job(py, job)).collect()
    }

    /// All jobs, in the order of their intents.
    fn jobs<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let jobs = self.look(py, |jobs, _| jobs)?;
        jobs.iter().map(|job| of_job(py, job)).collect()
    }

    /// The limit, what is settled, and what is reserved, in US dollars.
    fn spending(&self, py: Python<'_>) -> PyResult<(Option<f64>, f64, f64)> {
        let now = self.look(py, |_, spending| spending)?;
        Ok((now.limit_usd, now.settled_usd, now.reserved_usd))
    }

    /// The alarms since this was last called.
    fn take_alarms(&self) -> Vec<Alarm> {
        std::mem::take(&mut *self.alarms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes everything durable, marks the file as closed, and lets others write it. Again, it does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = py.detach(|| {
            if self.home.is_forked() {
                return Err(LedgerError::Forked);
            }
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if let State::Open(ledger) = &*state {
                ledger.close()?;
                let (jobs, spending) = (ledger.jobs(), ledger.spending());
                *state = State::Closed { jobs, spending };
            }
            Ok(())
        });
        closed.map_err(|error| of_ledger(&error))
    }
}

/// A job that is durable, and whose request may leave.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct Intent {
    token: String,
    /// Until there is an answer.
    intent: Mutex<Option<qstore_ledger::Intent>>,
}

impl Intent {
    fn of(intent: qstore_ledger::Intent) -> Self {
        Self { token: intent.token().to_string(), intent: Mutex::new(Some(intent)) }
    }

    fn answer<'py>(
        &self,
        py: Python<'py>,
        answer: impl FnOnce(qstore_ledger::Intent) -> Result<Job, LedgerError> + Send,
    ) -> PyResult<Bound<'py, PyDict>> {
        let intent = self.intent.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(intent) = intent else {
            return Err(PyValueError::new_err("the answer of this intent was recorded already"));
        };
        let job = py.detach(|| answer(intent)).map_err(|error| of_ledger(&error))?;
        of_job(py, &job)
    }
}

#[pymethods]
impl Intent {
    /// What the request carries.
    #[getter]
    fn token(&self) -> &str {
        &self.token
    }

    /// The provider has it, under this identifier, which is durable when this returns.
    fn submitted<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyDict>> {
        self.answer(py, |intent| intent.submitted(id))
    }

    /// The provider refused it, and certainly did not accept it.
    fn refused<'py>(&self, py: Python<'py>, reason: &str) -> PyResult<Bound<'py, PyDict>> {
        self.answer(py, |intent| intent.refused(reason))
    }

    /// Gives the intent back without an answer: the job is in doubt.
    fn forget(&self, py: Python<'_>) {
        let intent = self.intent.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(intent));
    }
}

/// The jobs of a ledger, also while another process writes it.
#[pyfunction]
pub(crate) fn read_jobs(py: Python<'_>, path: PathBuf) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let jobs = py.detach(|| qstore_ledger::read_jobs(path)).map_err(|error| of_ledger(&error))?;
    jobs.iter().map(|job| of_job(py, job)).collect()
}

fn of_job<'py>(py: Python<'py>, job: &Job) -> PyResult<Bound<'py, PyDict>> {
    let known = &job.known;
    let dict = PyDict::new(py);
    macro_rules! set {
        ($($name:literal $value:expr;)*) => { $(dict.set_item($name, $value)?;)* };
    }
    set! {
        "token" job.key.as_str();
        "state" job.state.as_str();
        "in_doubt" job.in_doubt;
        "is_open" job.is_open();
        "intended_at" job.intended_at;
        "id" job.provider_job();
        "provider" known.provider.as_str();
        "device" known.device.as_str();
        "session" known.session.as_deref();
        "attempt" known.attempt;
        "epoch" known.epoch;
        "step" known.step;
        "batch" known.batch.as_str();
        "circuits" known.circuits;
        "shots" known.shots;
        "estimate_usd" known.est_usd;
        "cost_usd" known.cost_usd;
        "estimate_seconds" known.est_seconds;
        "billed_seconds" known.billed_seconds;
        "credits" known.credits;
        "queue_position" known.queue_position;
        "queue_ms" known.queue_ms;
        "exec_ms" known.exec_ms;
        "result" known.result.as_deref();
        "result_crc32c" known.result_crc32c;
        "error" known.error.as_deref();
        "extra" known.extra.as_deref();
    }
    Ok(dict)
}
