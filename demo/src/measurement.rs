//! Measuring ⟨Z⟩ of every qubit: estimated from a finite number of shots, or exactly.
//!
//! A shot reads all qubits at once, as hardware does, so one set of shots serves all of them. Each
//! estimate is the mean of values ±1: its standard error is at most 1/√shots. The exact value,
//! which only a simulator can give, serves as the reference in tests. Measuring does not change the
//! state.

use fastrand::Rng;

use crate::circuit::QUBITS;
use crate::simulator::StateVector;

const BASIS_STATES: usize = 1 << QUBITS;

/// ⟨Z⟩ of each qubit from the probabilities of the final state.
pub fn exact(state: &StateVector) -> [f64; QUBITS] {
    expectations(state.probabilities())
}

/// ⟨Z⟩ of each qubit, estimated from `shots` measurements of the final state.
pub fn sampled(state: &StateVector, shots: u32, rng: &mut Rng) -> [f64; QUBITS] {
    expectations(counts(state, shots, rng).iter().map(|&n| f64::from(n) / f64::from(shots)))
}

/// How often each basis state was seen in `shots` measurements.
fn counts(state: &StateVector, shots: u32, rng: &mut Rng) -> [u32; BASIS_STATES] {
    let mut total = 0.0;
    let mut cumulative = [0.0; BASIS_STATES];
    for (slot, probability) in cumulative.iter_mut().zip(state.probabilities()) {
        total += probability;
        *slot = total;
    }
    let mut counts = [0; BASIS_STATES];
    for _ in 0..shots {
        // Scaling by the total, which is one up to rounding, keeps a draw inside the table.
        let draw = rng.f64() * total;
        let outcome = cumulative.partition_point(|&edge| edge <= draw);
        counts[outcome.min(BASIS_STATES - 1)] += 1;
    }
    counts
}

/// Z is +1 for a qubit read as 0 and -1 for a qubit read as 1.
fn expectations(weights: impl Iterator<Item = f64>) -> [f64; QUBITS] {
    let mut z = [0.0; QUBITS];
    for (outcome, weight) in weights.enumerate() {
        for (qubit, sum) in z.iter_mut().enumerate() {
            *sum += if outcome >> qubit & 1 == 0 { weight } else { -weight };
        }
    }
    z
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "equal seeds give equal bits")]
mod tests {
    use super::*;
    use crate::gate::ry;

    /// Qubit `q` turned by `angles[q]`, so that its ⟨Z⟩ is the cosine of that angle.
    fn product_state(angles: [f64; QUBITS]) -> StateVector {
        let mut state = StateVector::new(QUBITS);
        for (qubit, angle) in angles.into_iter().enumerate() {
            state.apply(&ry(angle), qubit);
        }
        state
    }

    #[test]
    fn exact_z_of_a_rotated_qubit_is_the_cosine() {
        let angles = [0.0, 0.4, 1.5, 3.0];
        for (z, angle) in exact(&product_state(angles)).iter().zip(angles) {
            assert!((z - angle.cos()).abs() < 1e-12);
        }
    }

    #[test]
    fn frequencies_lie_within_five_standard_errors() {
        let state = product_state([0.3, 1.1, 1.9, 2.6]);
        let shots = 100_000;
        let counts = counts(&state, shots, &mut Rng::with_seed(1));
        assert_eq!(counts.iter().sum::<u32>(), shots);
        for (count, p) in counts.into_iter().zip(state.probabilities()) {
            let standard_error = (p * (1.0 - p) / f64::from(shots)).sqrt();
            let frequency = f64::from(count) / f64::from(shots);
            assert!((frequency - p).abs() <= 5.0 * standard_error, "{frequency} against {p}");
        }
    }

    #[test]
    fn shots_of_a_bell_pair_agree() {
        let mut state = product_state([std::f64::consts::FRAC_PI_2, 0.0, 0.0, 0.0]);
        state.cnot(0, 1);
        let counts = counts(&state, 1_000, &mut Rng::with_seed(2));
        assert_eq!(counts[0b00] + counts[0b11], 1_000);
        assert!(counts[0b00].abs_diff(500) <= 80, "more than five standard errors off");
    }

    #[test]
    fn a_seed_fixes_the_outcomes() {
        let state = product_state([0.3, 1.1, 1.9, 2.6]);
        let run = |seed| sampled(&state, 256, &mut Rng::with_seed(seed));
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }
}
