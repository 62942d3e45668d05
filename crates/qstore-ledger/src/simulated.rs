//! A provider that loses answers, duplicates, delays and prices: for tests, and to try a loop without paying.
//!
//! Time does not pass by itself: a job advances by one tick whenever its status is asked for.

use crate::job::Job;
use crate::key::JobKey;
use crate::provider::{Found, Provider, SubmitError};
use crate::seen::Seen;
use crate::spec::JobSpec;
use crate::state::JobState;
use fastrand::Rng;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a [`SimulatedProvider`] behaves. The default answers at once, honors tokens and never fails.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Decides everything that is random.
    pub seed: u64,
    /// Whether the same token gets the same job.
    pub honors_tokens: bool,
    /// Whether jobs can be found by their token.
    pub can_search: bool,
    /// How often it does not answer a request, and did nothing.
    pub unreachable: f64,
    /// How often it accepts a job and the answer is lost.
    pub loses_answers: f64,
    /// How often a job fails.
    pub fails: f64,
    /// The largest number of ticks that a job waits.
    pub queue_max: u32,
    /// The price of a shot of a circuit in US dollars.
    pub usd_per_shot: f64,
    /// How far the price may be from the estimate, as a share of it.
    pub price_error: f64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: 0,
            honors_tokens: true,
            can_search: true,
            unreachable: 0.0,
            loses_answers: 0.0,
            fails: 0.0,
            queue_max: 3,
            usd_per_shot: 0.000_35,
            price_error: 0.0,
        }
    }
}

/// A job that the provider accepted: the judge of what a client believes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// Its identifier.
    pub id: String,
    /// The token that its request carried.
    pub token: JobKey,
    /// The digest of what was asked for.
    pub batch: String,
    /// How far it is.
    pub state: JobState,
    /// What it costs, which is billed if it is done.
    pub usd: f64,
    ticks: u32,
    will_fail: bool,
}

/// Why the simulated provider did not do what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatedError {
    /// The request did not arrive.
    #[error("the simulated provider cannot be reached")]
    Unreachable,
    /// The request arrived, and its answer did not.
    #[error("the answer of the simulated provider was lost")]
    AnswerLost,
    /// There is no job with this identifier.
    #[error("the simulated provider has no job {0}")]
    NoSuchJob(String),
}

/// A provider in memory. Clones are the same provider, which outlives its clients, as a real one does.
#[derive(Debug, Clone)]
pub struct SimulatedProvider {
    world: Arc<Mutex<World>>,
}

#[derive(Debug, Clone)]
struct World {
    settings: Simulation,
    random: Rng,
    jobs: Vec<Accepted>,
    requests: usize,
}

impl SimulatedProvider {
    /// A provider without jobs.
    #[must_use]
    pub fn new(settings: Simulation) -> Self {
        let random = Rng::with_seed(settings.seed);
        let world = World { settings, random, jobs: Vec::new(), requests: 0 };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Another provider that is as this one is now.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { world: Arc::new(Mutex::new(self.world().clone())) }
    }

    /// The jobs that were accepted, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.world().jobs.clone()
    }

    /// What is billed: the price of each job that is done.
    #[must_use]
    pub fn bill_usd(&self) -> f64 {
        let world = self.world();
        world.jobs.iter().filter(|job| job.state == JobState::Done).map(|job| job.usd).sum()
    }

    /// The number of requests so far, answered or not.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.world().requests
    }

    /// What a job of this batch may cost.
    #[must_use]
    pub fn estimate_usd(&self, spec: &JobSpec) -> f64 {
        let (circuits, shots) = spec.batch.counts();
        (circuits * shots) as f64 * self.world().settings.usd_per_shot
    }

    /// Asks for the status of a job until it has ended.
    ///
    /// # Errors
    /// If there is no such job. A provider that cannot be reached is asked again.
    pub fn wait(&self, job: &Job) -> Result<Seen, SimulatedError> {
        loop {
            match self.status(job.provider_job().unwrap_or_default()) {
                Ok(seen) if seen.state.is_some_and(JobState::is_final) => return Ok(seen),
                Ok(_) | Err(SimulatedError::Unreachable) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Whether the request arrives.
    fn arrive(&mut self) -> Result<(), SimulatedError> {
        self.requests += 1;
        if self.random.f64() < self.settings.unreachable {
            return Err(SimulatedError::Unreachable);
        }
        Ok(())
    }

    /// Takes a job on.
    fn accept(&mut self, token: &JobKey, spec: &JobSpec, estimate: f64) -> String {
        let Simulation { fails, queue_max, price_error, .. } = self.settings;
        let usd = estimate * (1.0 + price_error * (2.0 * self.random.f64() - 1.0));
        let id = format!("sim-{:06}", self.jobs.len());
        self.jobs.push(Accepted {
            id: id.clone(),
            token: token.clone(),
            batch: spec.batch.digest().to_string(),
            state: JobState::Submitted,
            usd,
            ticks: self.random.u32(..=queue_max),
            will_fail: self.random.f64() < fails,
        });
        id
    }

    fn get(&mut self, id: &str) -> Result<&mut Accepted, SimulatedError> {
        let job = self.jobs.iter_mut().find(|job| job.id == id);
        job.ok_or_else(|| SimulatedError::NoSuchJob(id.to_owned()))
    }
}

impl Accepted {
    fn tick(&mut self) {
        self.state = match (self.state, self.ticks) {
            (state, _) if state.is_final() => state,
            (JobState::Running, _) if self.will_fail => JobState::Failed,
            (JobState::Running, _) => JobState::Done,
            (_, 0) => JobState::Running,
            _ => JobState::Queued,
        };
        self.ticks = self.ticks.saturating_sub(1);
    }

    fn seen(&self) -> Seen {
        let seen = match self.state {
            JobState::Queued => Seen::queued(i64::from(self.ticks)),
            JobState::Done => Seen::done().usd(self.usd).exec_ms(840.0),
            JobState::Failed => Seen::failed("the simulated device lost its calibration"),
            state => Seen::state(state),
        };
        seen.id(&self.id)
    }
}

impl Provider for SimulatedProvider {
    type Circuits = ();
    type Error = SimulatedError;

    fn submit(
        &self,
        token: &JobKey,
        spec: &JobSpec,
        (): &(),
    ) -> Result<String, SubmitError<SimulatedError>> {
        let estimate = self.estimate_usd(spec);
        let mut world = self.world();
        world.arrive().map_err(SubmitError::Refused)?;
        let known = world.jobs.iter().find(|job| job.token == *token);
        let known = known.filter(|_| world.settings.honors_tokens).map(|job| job.id.clone());
        let id = known.unwrap_or_else(|| world.accept(token, spec, estimate));
        if world.random.f64() < world.settings.loses_answers {
            return Err(SubmitError::Unknown(SimulatedError::AnswerLost));
        }
        Ok(id)
    }

    fn find(&self, token: &JobKey) -> Result<Found, SimulatedError> {
        let mut world = self.world();
        world.arrive()?;
        if !world.settings.can_search {
            return Ok(Found::CannotSearch);
        }
        let found = world.jobs.iter().find(|job| job.token == *token);
        Ok(found.map_or(Found::Nothing, |job| Found::Job(Box::new(job.seen()))))
    }

    fn status(&self, provider_job: &str) -> Result<Seen, SimulatedError> {
        let mut world = self.world();
        world.arrive()?;
        let job = world.get(provider_job)?;
        job.tick();
        Ok(job.seen())
    }

    fn cancel(&self, provider_job: &str) -> Result<Seen, SimulatedError> {
        let mut world = self.world();
        world.arrive()?;
        let job = world.get(provider_job)?;
        if !job.state.is_final() {
            job.state = JobState::Cancelled;
        }
        Ok(job.seen())
    }
}
