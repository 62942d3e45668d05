//! A provider that is simulated, and outlives its clients: what it knows is in a file of its own.
//!
//! It accepts jobs, lets them wait, runs them, and bills for them, and it honors no tokens: the same
//! request twice is two jobs, and is paid twice. It writes down what it does, one JSON object a line,
//! in one system call, so a client that is killed takes nothing with it. That log is the judge of
//! what the ledger claims; nothing here knows of the ledger's file.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use qstore::StopSignal;
use qstore::ledger::{Found, JobKey, JobSpec, JobState, Provider, Seen, SubmitError};
use serde_json::{Value, json};

use crate::data::{self, Sample};
use crate::options::Simulated;
use crate::recorder::USD_PER_SHOT;
use crate::settings::Settings;
use crate::training::{Estimate, Request, Trainer};

/// How long a client pauses between two questions. A real provider is asked every few seconds.
pub const PAUSE: Duration = Duration::from_millis(2);

/// A client of the provider, which is in this process, too.
pub struct SimulatedProvider {
    world: RefCell<World>,
    stop: StopSignal,
}

struct World {
    log: File,
    jobs: Vec<Accepted>,
    /// Runs the circuits.
    device: Trainer,
    train: Vec<Sample>,
    hold: Option<usize>,
    hold_answer: Option<usize>,
}

struct Accepted {
    token: String,
    usd: f64,
    request: Request,
    /// How often it was asked for.
    asked: usize,
    result: Option<Estimate>,
}

impl SimulatedProvider {
    /// The provider, with everything it has accepted before.
    pub fn open(path: &Path, simulated: &Simulated, settings: Settings) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let mut jobs = Vec::new();
        // A kill can truncate only the last line: what it says did not happen.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            note(&mut jobs, &serde_json::from_str(line)?).ok_or_else(|| malformed(line))?;
        }
        let mut log = OpenOptions::new().create(true).append(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            log.set_len(text.rfind('\n').map_or(0, |end| end as u64 + 1))?;
            log.flush()?;
        }
        let world = World {
            log,
            jobs,
            device: Trainer::new(settings),
            train: data::split(settings.seed, settings.test_per_species).train,
            hold: simulated.hold,
            hold_answer: simulated.hold_answer,
        };
        Ok(Self { world: RefCell::new(world), stop: StopSignal::install()? })
    }

    /// The result of a job that is done. It can be asked for again; that costs nothing.
    pub fn result(&self, id: &str) -> io::Result<Estimate> {
        let world = self.world.borrow();
        let index = world.index(id)?;
        world.jobs[index]
            .result
            .clone()
            .ok_or_else(|| io::Error::other(format!("{id} is not done")))
    }

    /// Jobs accepted so far, and what all that are done cost together.
    pub fn bill(&self) -> (usize, f64) {
        let world = self.world.borrow();
        let is_done = |job: &&Accepted| job.result.is_some();
        (world.jobs.len(), world.jobs.iter().filter(is_done).map(|job| job.usd).sum())
    }
}

/// What a job of `n` shots costs.
pub fn price(shots: i64) -> f64 {
    // To the cent, as a bill is.
    (shots as f64 * USD_PER_SHOT * 100.0).round() / 100.0
}

impl World {
    fn write(&mut self, line: &Value) -> io::Result<()> {
        self.log.write_all(format!("{line}\n").as_bytes())?;
        note(&mut self.jobs, line).ok_or_else(|| malformed(&line.to_string()))
    }

    fn index(&self, id: &str) -> io::Result<usize> {
        let number = id.strip_prefix("sim-").and_then(|number| number.parse().ok());
        let known = number.filter(|number| *number < self.jobs.len());
        known.ok_or_else(|| io::Error::other(format!("the simulated provider has no job {id}")))
    }

    fn seen(&self, index: usize) -> Seen {
        let job = &self.jobs[index];
        let left = waits(index).saturating_sub(job.asked);
        let seen = match (&job.result, left) {
            (Some(result), _) => Seen::done().usd(job.usd).exec_ms(result.time.as_secs_f64() * 1e3),
            (None, 0) => Seen::state(JobState::Running),
            (None, left) => Seen::queued(left as i64),
        };
        seen.id(&identifier(index))
    }
}

/// How many questions later a job runs.
fn waits(index: usize) -> usize {
    1 + index % 2
}

fn identifier(index: usize) -> String {
    format!("sim-{index:06}")
}

impl Provider for SimulatedProvider {
    type Circuits = Request;
    type Error = io::Error;

    fn submit(
        &self,
        token: &JobKey,
        _: &JobSpec,
        request: &Request,
    ) -> Result<String, SubmitError<io::Error>> {
        let mut world = self.world.borrow_mut();
        let index = world.jobs.len();
        let shots = world.device.shots_of(request);
        let accepted = json!({ "accepted": {
            "id": identifier(index),
            "token": token.as_str(),
            "usd": price(shots),
            "parameters": request.parameters,
            "batch": request.batch,
            "place": [request.place.0, request.place.1],
        } });
        world.write(&accepted).map_err(SubmitError::Unknown)?;
        if world.hold_answer == Some(index) {
            while !self.stop.is_set() {
                std::thread::sleep(PAUSE);
            }
            return Err(SubmitError::Unknown(io::Error::other("the answer was lost")));
        }
        Ok(identifier(index))
    }

    fn find(&self, token: &JobKey) -> io::Result<Found> {
        let world = self.world.borrow();
        let found = world.jobs.iter().position(|job| job.token == token.as_str());
        Ok(found.map_or(Found::Nothing, |index| Found::Job(Box::new(world.seen(index)))))
    }

    fn status(&self, id: &str) -> io::Result<Seen> {
        let mut world = self.world.borrow_mut();
        let index = world.index(id)?;
        let seen = world.seen(index);
        if world.jobs[index].result.is_none() && world.hold != Some(index) {
            if world.jobs[index].asked > waits(index) {
                let request = world.jobs[index].request.clone();
                let World { device, train, .. } = &mut *world;
                let result = device.estimate(train, &request);
                world.write(&json!({ "done": { "id": id, "result": {
                    "loss": result.loss,
                    "gradient": result.gradient,
                    "circuits": result.circuits,
                    "shots": result.shots,
                    "seconds": result.time.as_secs_f64(),
                } } }))?;
            } else {
                world.write(&json!({ "asked": id }))?;
            }
        }
        Ok(seen)
    }

    fn cancel(&self, id: &str) -> io::Result<Seen> {
        Err(io::Error::other(format!("{id}: the simulated provider cancels no job")))
    }
}

/// Takes in what a line says; `None` if it says nothing that is known.
fn note(jobs: &mut Vec<Accepted>, line: &Value) -> Option<()> {
    let numbers = |value: &Value| -> Option<Vec<f64>> {
        value.as_array()?.iter().map(Value::as_f64).collect()
    };
    let index = |id: &Value| id.as_str()?.strip_prefix("sim-")?.parse::<usize>().ok();
    if let Some(accepted) = line.get("accepted") {
        let batch =
            accepted["batch"].as_array()?.iter().map(|row| row.as_u64().map(|r| r as usize));
        let request = Request {
            parameters: numbers(&accepted["parameters"])?,
            batch: batch.collect::<Option<_>>()?,
            place: (accepted["place"][0].as_u64()?, accepted["place"][1].as_u64()?),
        };
        let (token, usd) = (accepted["token"].as_str()?.to_owned(), accepted["usd"].as_f64()?);
        jobs.push(Accepted { token, usd, request, asked: 0, result: None });
    } else if let Some(id) = line.get("asked") {
        jobs.get_mut(index(id)?)?.asked += 1;
    } else {
        let done = line.get("done")?;
        let result = &done["result"];
        jobs.get_mut(index(&done["id"])?)?.result = Some(Estimate {
            loss: result["loss"].as_f64()?,
            gradient: numbers(&result["gradient"])?,
            circuits: result["circuits"].as_i64()?,
            shots: result["shots"].as_i64()?,
            time: Duration::try_from_secs_f64(result["seconds"].as_f64()?).ok()?,
        });
    }
    Some(())
}

fn malformed(line: &str) -> io::Error {
    io::Error::other(format!("the log of the simulated provider has a malformed line: {line}"))
}
