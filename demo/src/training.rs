//! Training: optimization steps on mini-batches, their measured figures, and evaluation.
//!
//! All that a run needs to continue is in `State`; everything else is derived from the settings,
//! the epoch and the step. A run restored from the state at an epoch boundary therefore continues
//! bit for bit like one that was never stopped (the last test here), on one machine: sine and
//! exponential come from its mathematical library, whose last bits may differ elsewhere. Nothing in
//! this file stores anything: the driver of the loop logs the figures and saves the state.

use std::fmt;
use std::time::{Duration, Instant};

use crate::adam::Adam;
use crate::circuit::{Circuit, QUBITS};
use crate::classifier::Classifier;
use crate::data::Sample;
use crate::random::{Purpose, stream};
use crate::settings::Settings;

/// What a checkpoint has to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The circuit's angles in radians, ordered as `[layer][qubit][RZ, RY]`.
    pub parameters: Vec<f64>,
    /// The optimizer.
    pub adam: Adam,
}

/// What a step asks of a device: the loss of a batch and its gradient, at these parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The circuit's angles.
    pub parameters: Vec<f64>,
    /// The rows of the training data.
    pub batch: Vec<usize>,
    /// The epoch and the step in it, which decide the random choices.
    pub place: (u64, u64),
}

/// A device's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Mean loss over the batch, in nats.
    pub loss: f64,
    /// The batch's mean gradient.
    pub gradient: Vec<f64>,
    /// Circuits it took.
    pub circuits: i64,
    /// Measurements of all of them together.
    pub shots: i64,
    /// Time the device spent on them.
    pub time: Duration,
}

/// The figures of one step. All of them are measured; none is estimated.
#[derive(Clone, Copy, Debug)]
pub struct StepMetrics {
    /// Mean loss over the batch, before the update, in nats.
    pub train_loss: f64,
    /// Euclidean norm of the batch's mean gradient.
    pub gradient_norm: f64,
    /// The largest absolute value among the gradient's components.
    pub gradient_max_abs: f64,
    /// The smallest absolute value among the gradient's components.
    pub gradient_min_abs: f64,
    /// Circuits the step ran.
    pub circuits_executed: i64,
    /// Qubits of each circuit.
    pub qubits_used: i64,
    /// Measurements of each circuit; zero where expectations are exact.
    pub shots_per_circuit: i64,
    /// Measurements of all circuits together.
    pub total_shots: i64,
    /// Time the circuits have waited for their device; zero for the simulator of this process.
    pub queue_time_ms: f64,
    /// Time spent in simulating and measuring circuits.
    pub circuit_execution_time_ms: f64,
    /// Time of the whole step.
    pub batch_time_ms: f64,
    /// Rows of the batch divided by the time of the whole step.
    pub throughput_samples_per_sec: f64,
}

/// How well the classifier does on a set of flowers.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Share of flowers whose true species has the highest score, 0 to 1.
    pub accuracy: f64,
}

/// A state does not belong to the circuit of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// Parameters of the circuit.
    pub expected: usize,
    /// Values the state holds, in the first of its vectors that does not fit.
    pub found: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the circuit has {expected} parameters, the restored state has {found} values")
    }
}

impl std::error::Error for WrongLength {}

/// A run in progress.
#[derive(Debug)]
pub struct Trainer {
    settings: Settings,
    state: State,
    classifier: Classifier,
}

impl Trainer {
    /// A new run, from small random parameters: near zero the layers do not yet scramble the data.
    pub fn new(settings: Settings) -> Self {
        let mut rng = stream(settings.seed, Purpose::Initial, 0, 0);
        let count = Circuit::new(settings.layers).parameter_count();
        let parameters = (0..count).map(|_| rng.f64() - 0.5).collect();
        Self::with_state(settings, State { parameters, adam: Adam::new(count) })
    }

    /// Continues a run from its state at an epoch boundary.
    ///
    /// # Errors
    /// When the state has another number of values than the circuit has parameters.
    pub fn resume(settings: Settings, state: State) -> Result<Self, WrongLength> {
        let expected = Circuit::new(settings.layers).parameter_count();
        let lengths = [state.parameters.len(), state.adam.m.len(), state.adam.v.len()];
        match lengths.into_iter().find(|&found| found != expected) {
            Some(found) => Err(WrongLength { expected, found }),
            None => Ok(Self::with_state(settings, state)),
        }
    }

    fn with_state(settings: Settings, state: State) -> Self {
        let circuit = Circuit::new(settings.layers);
        let classifier = Classifier::new(circuit, settings.shots);
        Self { settings, state, classifier }
    }

    /// Measurements of each circuit; 0 where expectations are exact.
    pub fn shots(&self) -> u32 {
        self.settings.shots.unwrap_or(0)
    }

    /// Measurements that a request asks for.
    pub fn shots_of(&self, request: &Request) -> i64 {
        let circuits = request.batch.len() * (1 + 2 * request.parameters.len());
        circuits as i64 * i64::from(self.shots())
    }

    /// What to save.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// One update of the parameters from the rows of `train` that `batch` lists; it may not be
    /// empty.
    pub fn step(
        &mut self,
        train: &[Sample],
        batch: &[usize],
        epoch: u64,
        step: u64,
    ) -> StepMetrics {
        let start = Instant::now();
        let estimate = self.estimate(train, &self.request(batch, epoch, step));
        self.apply(&estimate, batch.len(), start)
    }

    /// What the next step asks of a device.
    pub fn request(&self, batch: &[usize], epoch: u64, step: u64) -> Request {
        let parameters = self.state.parameters.clone();
        Request { parameters, batch: batch.to_vec(), place: (epoch, step) }
    }

    /// Runs a request on the simulator of this process. The state stays as it is: the parameters
    /// are those of the request.
    pub fn estimate(&mut self, train: &[Sample], request: &Request) -> Estimate {
        let Request { parameters, batch, place: (epoch, step) } = request;
        let mut rng = stream(self.settings.seed, Purpose::TrainStep, *epoch, *step);
        let rows = batch.len() as f64;

        // Evaluations have used the device since the last step; their circuits are not this step's.
        self.classifier.take_usage();
        let mut gradient = vec![0.0; parameters.len()];
        let mut loss = 0.0;
        for &row in batch {
            let sample = &train[row];
            loss += self.classifier.add_gradient(sample, parameters, &mut gradient, &mut rng);
        }
        for component in &mut gradient {
            *component /= rows;
        }
        let usage = self.classifier.take_usage();
        let (circuits, shots, time) = (usage.circuits, usage.shots, usage.time);
        Estimate { loss: loss / rows, gradient, circuits, shots, time }
    }

    /// Updates the parameters by a device's answer for `n` rows, which was asked for at `start`.
    pub fn apply(&mut self, estimate: &Estimate, rows: usize, start: Instant) -> StepMetrics {
        let State { parameters, adam } = &mut self.state;
        adam.update(parameters, &estimate.gradient, self.settings.learning_rate);

        let batch_time = start.elapsed().as_secs_f64();
        let magnitudes = || estimate.gradient.iter().map(|component| component.abs());
        StepMetrics {
            train_loss: estimate.loss,
            gradient_norm: magnitudes().map(|magnitude| magnitude * magnitude).sum::<f64>().sqrt(),
            gradient_max_abs: magnitudes().fold(0.0, f64::max),
            gradient_min_abs: magnitudes().fold(f64::INFINITY, f64::min),
            circuits_executed: estimate.circuits,
            qubits_used: QUBITS as i64,
            shots_per_circuit: self.settings.shots.map_or(0, i64::from),
            total_shots: estimate.shots,
            queue_time_ms: 0.0,
            circuit_execution_time_ms: estimate.time.as_secs_f64() * 1e3,
            batch_time_ms: batch_time * 1e3,
            throughput_samples_per_sec: rows as f64 / batch_time,
        }
    }

    /// Classifies every sample (at least one) with the present parameters, by shots as in training.
    pub fn evaluate(&mut self, samples: &[Sample], epoch: u64) -> Evaluation {
        let mut rng = stream(self.settings.seed, Purpose::Evaluate, epoch, 0);
        let (mut loss, mut correct) = (0.0, 0_usize);
        for sample in samples {
            let prediction = self.classifier.predict(sample, &self.state.parameters, &mut rng);
            loss += prediction.loss;
            correct += usize::from(prediction.correct);
        }
        let rows = samples.len() as f64;
        Evaluation { loss: loss / rows, accuracy: correct as f64 / rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Split, epoch_order, split};

    fn settings() -> Settings {
        Settings { layers: 1, shots: Some(64), ..Settings::default() }
    }

    /// Trains over these epochs and returns the bits of every loss on the way.
    fn train(trainer: &mut Trainer, data: &Split, epochs: std::ops::Range<u64>) -> Vec<u64> {
        let settings = trainer.settings;
        let mut losses = Vec::new();
        for epoch in epochs {
            let order = epoch_order(data.train.len(), settings.seed, epoch);
            for (step, batch) in order.chunks(settings.batch_size).enumerate() {
                let metrics = trainer.step(&data.train, batch, epoch, step as u64);
                losses.push(metrics.train_loss.to_bits());
            }
            losses.push(trainer.evaluate(&data.test, epoch).loss.to_bits());
        }
        losses
    }

    #[test]
    fn a_step_reports_what_it_did() {
        let data = split(1, 15);
        let metrics = Trainer::new(settings()).step(&data.train, &[0, 40, 80], 0, 0);
        assert_eq!(metrics.circuits_executed, 3 * (1 + 2 * 8));
        assert_eq!(metrics.total_shots, metrics.circuits_executed * metrics.shots_per_circuit);
        assert!(metrics.gradient_min_abs <= metrics.gradient_max_abs);
        assert!(metrics.gradient_max_abs <= metrics.gradient_norm);
        assert!(metrics.circuit_execution_time_ms <= metrics.batch_time_ms);
    }

    #[test]
    fn the_default_run_learns() {
        let settings = Settings::default();
        let data = split(settings.seed, settings.test_per_species);
        let mut trainer = Trainer::new(settings);
        train(&mut trainer, &data, 0..settings.epochs);
        let accuracy = trainer.evaluate(&data.test, settings.epochs - 1).accuracy;
        assert!(accuracy >= 0.93, "{accuracy}");
    }

    #[test]
    fn a_state_of_another_circuit_is_refused() {
        let state = Trainer::new(settings()).state().clone();
        let other = Settings { layers: 2, ..settings() };
        let error = Trainer::resume(other, state).err();
        assert_eq!(error, Some(WrongLength { expected: 16, found: 8 }));
    }

    #[test]
    fn a_resumed_run_equals_an_uninterrupted_one() {
        let data = split(settings().seed, 15);
        let mut straight = Trainer::new(settings());
        let expected = train(&mut straight, &data, 0..4);

        let mut first = Trainer::new(settings());
        let mut losses = train(&mut first, &data, 0..2);
        let state = first.state().clone();
        drop(first);
        let mut second = Trainer::resume(settings(), state).expect("the same circuit");
        losses.extend(train(&mut second, &data, 2..4));

        assert_eq!(losses, expected);
        let bits = |trainer: &Trainer| -> Vec<u64> {
            let State { parameters, adam } = trainer.state();
            [parameters, &adam.m, &adam.v].into_iter().flatten().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(&second), bits(&straight));
        assert_eq!(second.state().adam.step, straight.state().adam.step);
    }
}
