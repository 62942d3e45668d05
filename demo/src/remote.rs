//! Steps whose circuits are jobs at a provider: sent once, waited for, and never paid for twice.
//!
//! The ledger of the run decides what is sent. A step that is repeated after a kill finds the job that
//! was paid for, or the one that still waits; only what was never sent is sent.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use qstore::StopSignal;
use qstore::ledger::{Batch, Job, JobSpec, JobState, Ledger, Provider as _};

use crate::options::Options;
use crate::provider::{PAUSE, SimulatedProvider, price};
use crate::recorder::{BACKEND, Recorder};
use crate::settings::Settings;
use crate::training::{Request, StepMetrics, Trainer};

/// The name of the provider in the ledger.
const PROVIDER: &str = "simulated";

/// A client that keeps its jobs in the ledger of the run.
pub struct Remote {
    provider: SimulatedProvider,
    log: PathBuf,
    ledger: Ledger,
    attempt: i64,
    sent: usize,
    found: usize,
    waited_on: usize,
}

impl Remote {
    /// The client, if the options ask for one, with everything up to date that a killed process left behind.
    pub fn open(
        options: &Options,
        recorder: &Recorder,
        settings: Settings,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let Some(simulated) = &options.provider else { return Ok(None) };
        let Some((attempt, ledger)) = recorder.ledger() else { return Ok(None) };
        let ledger = ledger.clone();
        let beside = || {
            let mut name = recorder.path().file_name().unwrap_or_default().to_owned();
            name.push(".provider.jsonl");
            recorder.path().with_file_name(name)
        };
        let log = simulated.log.clone().unwrap_or_else(beside);
        let provider = SimulatedProvider::open(&log, simulated, settings)?;
        let outcome = ledger.reconcile(PROVIDER, &provider)?;
        let open = ledger.unfinished();
        if !open.is_empty() || !outcome.given_up.is_empty() {
            println!(
                "jobs of an earlier attempt: {} at the provider, {} never sent",
                open.len(),
                outcome.given_up.len()
            );
        }
        let attempt = i64::try_from(attempt)?;
        Ok(Some(Self { provider, log, ledger, attempt, sent: 0, found: 0, waited_on: 0 }))
    }

    /// One update of the parameters by a job; `None` if the program was asked to stop while it waits.
    pub fn step(
        &mut self,
        trainer: &mut Trainer,
        batch: &[usize],
        epoch: u64,
        step: u64,
        end: &StopSignal,
    ) -> Result<Option<StepMetrics>, Box<dyn Error>> {
        let start = Instant::now();
        let request = trainer.request(batch, epoch, step);
        let spec = self.spec(trainer, &request)?;
        let digest = batch_of(trainer, &request).digest();
        let job = if let Some(job) = self.ledger.finished(&digest) {
            self.found += 1;
            job
        } else {
            let open = self.ledger.unfinished();
            let known = open.into_iter().find(|job| job.known.batch == digest.as_str());
            let job = if let Some(job) = known {
                self.waited_on += 1;
                job
            } else {
                self.sent += 1;
                self.ledger.send(&self.provider, &spec, &request)?
            };
            match self.wait(job, end)? {
                Some(job) => job,
                None => return Ok(None),
            }
        };
        if job.state != JobState::Done {
            return Err(format!("job {} is {}", job.key, job.state.as_str()).into());
        }
        let estimate = self.provider.result(job.provider_job().unwrap_or_default())?;
        let mut metrics = trainer.apply(&estimate, batch.len(), start);
        let waited = start.elapsed().saturating_sub(estimate.time);
        metrics.queue_time_ms = waited.as_secs_f64() * 1e3;
        Ok(Some(metrics))
    }

    fn spec(&self, trainer: &Trainer, request: &Request) -> Result<JobSpec, Box<dyn Error>> {
        let (epoch, step) = request.place;
        let spec = JobSpec::new(PROVIDER, batch_of(trainer, request))
            .attempt(self.attempt)
            .at(i64::try_from(epoch)?, i64::try_from(step)?)
            .estimate_usd(price(trainer.shots_of(request)));
        Ok(spec)
    }

    /// Asks for the job until it has ended.
    fn wait(&self, mut job: Job, stop: &StopSignal) -> Result<Option<Job>, Box<dyn Error>> {
        loop {
            let id =
                job.provider_job().ok_or("a job without an identifier cannot be waited for")?;
            let seen = self.provider.status(id)?;
            job = self.ledger.observe(&job.key, &seen)?;
            if job.state.is_final() {
                return Ok(Some(job));
            }
            if stop.is_set() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// What makes a request the same as an earlier one.
fn batch_of(trainer: &Trainer, request: &Request) -> Batch {
    let (epoch, step) = request.place;
    // Each row is a circuit and two more for each parameter.
    let shifts = 1 + 2 * request.parameters.len();
    let circuits = request.batch.iter().flat_map(|row| {
        (0..shifts).map(move |shift| format!("layers of the demo, flower {row}, shift {shift}"))
    });
    Batch::new(BACKEND, trainer.shots())
        .circuits(circuits)
        .parameters(&request.parameters)
        // The same circuits are measured again in each step.
        .salt(format!("epoch {epoch}, step {step}"))
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, found, waited_on, .. } = self;
        let spent = self.ledger.spending().total_usd();
        let (accepted, billed) = self.provider.bill();
        writeln!(
            f,
            "\njobs               {sent} sent, {found} found paid for, {waited_on} found waiting\n\
             the ledger says    {spent:.2} USD for {} jobs\n\
             the provider says  {billed:.2} USD for {accepted} jobs ({})",
            self.ledger.jobs().iter().filter(|job| job.provider_job().is_some()).count(),
            self.log.display()
        )
    }
}
