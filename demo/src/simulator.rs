//! The state vector of a few qubits, changed in place by gates.
//!
//! Basis state `i` holds qubit `q` in bit `q` of `i`, so qubit 0 is the least significant bit. The
//! squared magnitudes sum to one, up to rounding, because every gate is unitary.
//!
//! There is no noise model and no measurement here (see `measurement.rs`), and memory doubles with
//! every qubit: this is for circuits one can think through, not for large ones.

use crate::gate::{Complex, Gate};

/// The amplitudes of all basis states.
#[derive(Clone, Debug)]
pub struct StateVector {
    amplitudes: Vec<Complex>,
}

impl StateVector {
    /// All qubits in |0⟩. The only allocation: `reset` makes the same memory fit for the next
    /// circuit.
    pub fn new(qubits: usize) -> Self {
        let mut state = Self { amplitudes: vec![Complex::ZERO; 1 << qubits] };
        state.reset();
        state
    }

    /// Returns every qubit to |0⟩.
    pub fn reset(&mut self) {
        self.amplitudes.fill(Complex::ZERO);
        self.amplitudes[0] = Complex::ONE;
    }

    /// Applies a one-qubit gate.
    pub fn apply(&mut self, gate: &Gate, qubit: usize) {
        let [[g00, g01], [g10, g11]] = *gate;
        let stride = 1 << qubit;
        // In each block the first half has the qubit in |0⟩ and the second half has it in |1⟩, with
        // all other qubits equal: those are the pairs the matrix acts on.
        for block in self.amplitudes.chunks_exact_mut(2 * stride) {
            let (zeros, ones) = block.split_at_mut(stride);
            for (zero, one) in zeros.iter_mut().zip(ones) {
                let (a, b) = (*zero, *one);
                *zero = g00 * a + g01 * b;
                *one = g10 * a + g11 * b;
            }
        }
    }

    /// Flips `target` where `control` is |1⟩.
    pub fn cnot(&mut self, control: usize, target: usize) {
        debug_assert_ne!(control, target, "a qubit cannot control itself");
        let (control, target) = (1 << control, 1 << target);
        for i in 0..self.amplitudes.len() {
            // Visiting only the half with the target at |0⟩ swaps each pair once.
            if i & control != 0 && i & target == 0 {
                self.amplitudes.swap(i, i | target);
            }
        }
    }

    /// The probability of each basis state, in order.
    pub fn probabilities(&self) -> impl Iterator<Item = f64> + '_ {
        self.amplitudes.iter().map(|amplitude| amplitude.norm_squared())
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI};

    use super::*;
    use crate::gate::{ry, rz};

    #[track_caller]
    fn check(state: &StateVector, expected: &[(f64, f64)]) {
        assert_eq!(state.amplitudes.len(), expected.len());
        for (a, (re, im)) in state.amplitudes.iter().zip(expected) {
            assert!((a.re - re).abs() < 1e-15 && (a.im - im).abs() < 1e-15, "{state:?}");
        }
    }

    #[test]
    fn a_gate_touches_only_its_qubit() {
        let mut state = StateVector::new(2);
        state.apply(&ry(PI), 1);
        check(&state, &[(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 0.0)]);
        state.apply(&rz(PI), 0);
        check(&state, &[(0.0, 0.0), (0.0, 0.0), (0.0, -1.0), (0.0, 0.0)]);
    }

    #[test]
    fn ry_and_cnot_make_a_bell_state() {
        let mut state = StateVector::new(2);
        state.apply(&ry(FRAC_PI_2), 0);
        state.cnot(0, 1);
        let h = FRAC_1_SQRT_2;
        check(&state, &[(h, 0.0), (0.0, 0.0), (0.0, 0.0), (h, 0.0)]);
    }

    #[test]
    fn cnot_is_the_known_permutation() {
        // |control, target⟩ as bits of the index: control is qubit 0, target is qubit 1.
        for (input, output) in [(0b00, 0b00), (0b01, 0b11), (0b10, 0b10), (0b11, 0b01)] {
            let mut state = StateVector::new(2);
            state.amplitudes.swap(0, input);
            state.cnot(0, 1);
            assert_eq!(state.amplitudes[output], Complex::ONE, "from {input:02b}");
        }
    }

    #[test]
    fn probabilities_still_sum_to_one_after_many_gates() {
        let mut state = StateVector::new(4);
        for i in 0..400_usize {
            state.apply(&ry(0.1 * i as f64), i % 4);
            state.apply(&rz(0.7 * i as f64), (i + 1) % 4);
            state.cnot(i % 4, (i + 1) % 4);
        }
        assert!((state.probabilities().sum::<f64>() - 1.0).abs() < 1e-12);
        state.reset();
        assert_eq!(state.amplitudes[0], Complex::ONE);
    }
}
