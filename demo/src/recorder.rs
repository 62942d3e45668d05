//! Everything the demo asks of Q-Store: a run, and a stopwatch on it.
//!
//! Nothing here knows how the model is trained, and nothing in the training knows of this file.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use qstore::ledger::{Budget, Ledger};
use qstore::{
    CheckpointSettings, Direction, MetricsRow, Resumed, Row, Run, RunError, RunSettings,
    SaveTicket, Snapshot, TrainingMetrics, WriterSettings,
};

use crate::journal::Journal;
use crate::options::Place;
use crate::settings::Settings;
use crate::snapshot;
use crate::summary::Summary;
use crate::training::{Evaluation, State, StepMetrics};

/// What a shot would cost on a device; the simulator's are free, the column shows what they stand
/// for. Trapped-ion machines are offered at prices of this order.
pub const USD_PER_SHOT: f64 = 0.000_3;
pub const BACKEND: &str = "state_vector";
const PATIENCE: Duration = Duration::from_secs(60);

/// A run being recorded.
pub struct Recorder {
    run: Run,
    /// The last step that was logged.
    last_step: i64,
    /// Saves that are not known to be durable yet.
    tickets: Vec<(u64, SaveTicket)>,
    journal: Option<Journal>,
    /// What the epoch's steps add up to.
    epoch: Totals,
    in_storage_calls: Duration,
}

/// Where to go on.
pub struct Restored {
    /// The first epoch that is not in the checkpoint.
    pub next_epoch: u64,
    /// The seed of the run.
    pub seed: u64,
    /// The training state after the epoch before.
    pub state: State,
}

#[derive(Default)]
struct Totals {
    steps: u32,
    circuits: i64,
    circuit_time_ms: f64,
    batch_time_ms: f64,
    samples: f64,
    cost_usd: f64,
    gradient_norm: f64,
}

impl Recorder {
    /// Begins a run, or goes on with it, and returns where.
    pub fn open(
        place: &Place,
        is_resumed: bool,
        settings: &Settings,
        journal: Option<&Path>,
        budget: Option<Budget>,
    ) -> Result<(Self, Option<Restored>), Box<dyn Error>> {
        let mut described = RunSettings::default()
            .tag("demo")
            .seed(settings.seed)
            .goal("val_loss", Direction::Min)
            .param("layers", settings.layers)
            .param("shots", settings.shots)
            .param("epochs", settings.epochs)
            .param("batch_size", settings.batch_size)
            .param("learning_rate", settings.learning_rate)
            // A short run: publish often, so that there is something to look at while it goes on.
            .writer(WriterSettings::default().flush_interval(20))
            .checkpoints(CheckpointSettings::default().keep_last(3))
            .finish_timeout(PATIENCE);
        described.ledger = budget;
        let (run, resumed) = match place {
            Place::NewIn(runs) => (Run::create(runs, described)?, None),
            Place::At(out) if is_resumed => Run::resume_or_start(out, described)?,
            Place::At(out) => match Run::create_at(out, described) {
                Err(RunError::Exists { path }) => {
                    let path = path.display();
                    let what_to_do = "add --resume, or choose another";
                    return Err(format!("{path} already holds a run: {what_to_do}").into());
                }
                created => (created?, None),
            },
        };
        let restored = resumed.map(|resumed| restore(&resumed)).transpose()?;
        let recorder = Self {
            run,
            last_step: -1,
            tickets: Vec::new(),
            journal: journal.map(Journal::open).transpose()?,
            epoch: Totals::default(),
            in_storage_calls: Duration::ZERO,
        };
        Ok((recorder, restored))
    }

    /// The directory of the run.
    pub fn path(&self) -> &Path {
        self.run.path()
    }

    /// The attempt and the ledger of its jobs, if the run sends any.
    pub fn ledger(&self) -> Option<(u64, &Ledger)> {
        Some((self.run.attempt(), self.run.ledger()?))
    }

    /// Logs one step.
    pub fn step(&mut self, epoch: u64, step: u64, m: &StepMetrics) -> Result<(), Box<dyn Error>> {
        let cost_usd = m.total_shots as f64 * USD_PER_SHOT;
        self.epoch.add(m, cost_usd);
        self.last_step = i64::try_from(step)?;
        self.log(MetricsRow::from(TrainingMetrics {
            epoch: i64::try_from(epoch)?,
            step: self.last_step,
            timestamp: 0.0, // stamped by the logger
            train_loss: Some(m.train_loss),
            val_loss: None,
            grad_norm: Some(m.gradient_norm),
            grad_max: Some(m.gradient_max_abs),
            grad_min: Some(m.gradient_min_abs),
            circuit_execution_time_ms: Some(m.circuit_execution_time_ms),
            circuits_executed: Some(m.circuits_executed),
            qubits_used: Some(m.qubits_used),
            shots_per_circuit: Some(m.shots_per_circuit),
            backend: Some(BACKEND.into()),
            queue_time_ms: Some(m.queue_time_ms),
            cost_usd: Some(cost_usd),
            credits_used: Some(0.0), // and asks for no credits
            batch_time_ms: Some(m.batch_time_ms),
            throughput_samples_per_sec: Some(m.throughput_samples_per_sec),
        }))
    }

    /// Logs one row that sums up an epoch; the accuracies become columns of their own.
    pub fn epoch(
        &mut self,
        epoch: u64,
        train: &Evaluation,
        test: &Evaluation,
    ) -> Result<(), Box<dyn Error>> {
        let totals = std::mem::take(&mut self.epoch);
        let mut metrics = Row::from([("loss", train.loss), ("accuracy", train.accuracy)]);
        metrics
            .set("grad_norm", totals.gradient_norm / f64::from(totals.steps))
            .set("circuit_time_ms", totals.circuit_time_ms)
            .set("circuits_executed", totals.circuits)
            .set("qubits_used", crate::circuit::QUBITS as i64)
            .set("backend", BACKEND)
            .set("cost_usd", totals.cost_usd)
            .set("batch_time_ms", totals.batch_time_ms)
            .set("throughput_samples_per_sec", totals.samples / (totals.batch_time_ms / 1e3));
        let val = Row::from([("loss", test.loss), ("accuracy", test.accuracy)]);
        let epoch = i64::try_from(epoch)?;
        if let Some(journal) = &mut self.journal {
            journal.epoch(epoch, &metrics, &val)?;
        }
        let started = Instant::now();
        let logged = self.run.log_epoch(epoch, metrics, val);
        self.in_storage_calls += started.elapsed();
        logged?; // a dropped row is counted, and shown at the end
        self.note_progress()
    }

    /// Saves a checkpoint; returns as soon as the state is handed over.
    pub fn checkpoint(
        &mut self,
        epoch: u64,
        state: &State,
        learning_rate: f64,
        seed: u64,
        accuracy: f64,
    ) -> Result<(), Box<dyn Error>> {
        if let Some(journal) = &mut self.journal {
            journal.saving(epoch, state)?;
        }
        let started = Instant::now();
        let model = snapshot::model(state)?;
        let optimizer = snapshot::optimizer(&state.adam, learning_rate)?;
        let snapshot = Snapshot::new(epoch)
            .model(model)
            .optimizer(optimizer)
            .meta("seed", i64::try_from(seed)?)
            .meta("test_accuracy", accuracy);
        let ticket = self.run.save(self.last_step, snapshot)?;
        self.in_storage_calls += started.elapsed();
        self.tickets.push((epoch, ticket));
        Ok(())
    }

    /// Ends the recording and reports how it went.
    pub fn finish(mut self, is_complete: bool) -> Result<Summary, Box<dyn Error>> {
        for (epoch, ticket) in std::mem::take(&mut self.tickets) {
            ticket.wait(PATIENCE)?;
            if let Some(journal) = &mut self.journal {
                journal.durable(epoch)?;
            }
        }
        let ended = if is_complete {
            self.run.finish()?
        } else {
            self.run.fail("stopped by a signal before the last epoch")?
        };
        let logger = ended.metrics;
        if let Some(journal) = &mut self.journal {
            journal.written(logger.writer.rows_written)?;
        }
        Ok(Summary {
            rows_accepted: logger.buffer.pushed,
            rows_written: logger.writer.rows_written,
            rows_dropped: logger.buffer.dropped,
            rows_in_file: logger.writer.file_rows,
            checkpoints: self.run.checkpoints().list_checkpoints()?,
            in_storage_calls: self.in_storage_calls,
        })
    }

    fn log(&mut self, row: MetricsRow) -> Result<(), Box<dyn Error>> {
        if let Some(journal) = &mut self.journal {
            journal.row(&row)?;
        }
        let started = Instant::now();
        let logged = self.run.log_step(row);
        self.in_storage_calls += started.elapsed();
        logged?; // a dropped row is counted, and shown at the end
        self.note_progress()
    }

    /// Writes down what is safe by now.
    fn note_progress(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.written(self.run.logger().stats().writer.rows_written)?;
        while self.tickets.first().is_some_and(|(_, ticket)| ticket.is_done()) {
            let (epoch, ticket) = self.tickets.remove(0);
            ticket.wait(PATIENCE)?;
            journal.durable(epoch)?;
        }
        Ok(())
    }
}

/// What the checkpoint of a run that goes on holds.
fn restore(resumed: &Resumed) -> Result<Restored, Box<dyn Error>> {
    let checkpoint = &resumed.checkpoint;
    let model = checkpoint.model().ok_or("the checkpoint has no model")?;
    let optimizer = checkpoint.optimizer().ok_or("the checkpoint has no optimizer")?;
    let seed = checkpoint.metadata().int("seed").ok_or("the checkpoint has no seed")?;
    Ok(Restored {
        next_epoch: checkpoint.number() + 1,
        seed: u64::try_from(seed)?,
        state: snapshot::restore(model, optimizer)?,
    })
}

impl Totals {
    fn add(&mut self, step: &StepMetrics, cost_usd: f64) {
        self.steps += 1;
        self.circuits += step.circuits_executed;
        self.circuit_time_ms += step.circuit_execution_time_ms;
        self.batch_time_ms += step.batch_time_ms;
        self.samples += step.throughput_samples_per_sec * step.batch_time_ms / 1e3;
        self.cost_usd += cost_usd;
        self.gradient_norm += step.gradient_norm;
    }
}
