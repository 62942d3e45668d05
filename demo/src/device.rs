//! The simulated quantum device: runs one circuit after another and keeps the bill.
//!
//! It owns the state vector, so a run of many circuits allocates once, and it counts and times
//! every circuit where it happens: the figures in the log are measured, not derived. It does not
//! know what a circuit's result means to the classifier.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::circuit::{Circuit, QUBITS};
use crate::measurement;
use crate::simulator::StateVector;

/// What the device has done since the bill was last taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Circuits simulated and measured.
    pub circuits: i64,
    /// Measurements of a final state, over all circuits. Zero where expectations were exact.
    pub shots: i64,
    /// Time spent on them.
    pub time: Duration,
}

/// A simulator that measures ⟨Z⟩ of every qubit.
#[derive(Debug)]
pub struct Device {
    circuit: Circuit,
    shots: Option<u32>,
    state: StateVector,
    usage: Usage,
}

impl Device {
    /// A device for this circuit. `shots` is per circuit; `None` gives exact expectations.
    pub fn new(circuit: Circuit, shots: Option<u32>) -> Self {
        Self { circuit, shots, state: StateVector::new(QUBITS), usage: Usage::default() }
    }

    /// Runs the circuit once and returns ⟨Z⟩ of every qubit. Exact expectations leave `rng` alone.
    pub fn execute(
        &mut self,
        angles: &[f64; QUBITS],
        parameters: &[f64],
        rng: &mut Rng,
    ) -> [f64; QUBITS] {
        let start = Instant::now();
        self.circuit.run(angles, parameters, &mut self.state);
        let z = match self.shots {
            Some(shots) => measurement::sampled(&self.state, shots, rng),
            None => measurement::exact(&self.state),
        };
        self.usage.circuits += 1;
        self.usage.shots += self.shots.map_or(0, i64::from);
        self.usage.time += start.elapsed();
        z
    }

    /// Returns the usage so far and starts again from zero.
    pub fn take_usage(&mut self) -> Usage {
        std::mem::take(&mut self.usage)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "all shots agree, so the mean is exact")]
mod tests {
    use super::*;

    #[test]
    fn every_circuit_is_counted_once() {
        let circuit = Circuit::new(1);
        let mut device = Device::new(circuit, Some(100));
        for _ in 0..3 {
            let z = device.execute(&[0.0; QUBITS], &[0.0; 8], &mut Rng::with_seed(0));
            assert_eq!(z, [1.0; QUBITS]);
        }
        let usage = device.take_usage();
        assert_eq!((usage.circuits, usage.shots), (3, 300));
        assert_eq!(device.take_usage().circuits, 0);
    }

    #[test]
    fn shots_approach_the_exact_expectations() {
        let circuit = Circuit::new(2);
        let (angles, parameters) = ([0.2, 0.9, 1.4, 2.2], [0.37; 16]);
        let mut rng = Rng::with_seed(3);
        let exact = Device::new(circuit, None).execute(&angles, &parameters, &mut rng);
        let shots = 40_000;
        let sampled = Device::new(circuit, Some(shots)).execute(&angles, &parameters, &mut rng);
        for (a, b) in exact.iter().zip(sampled) {
            assert!((a - b).abs() <= 5.0 / f64::from(shots).sqrt(), "{a} against {b}");
        }
    }
}
