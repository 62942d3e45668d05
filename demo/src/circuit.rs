//! The variational circuit: which gates a flower's four angles and the parameters turn into.
//!
//! Each layer writes the data into the qubits again ("data re-uploading", Pérez-Salinas et al.
//! 2020, Quantum 4, 226), entangles neighbors in a ring and rotates every qubit by two trainable
//! angles:
//!
//! ```text
//! q0: ─RY(x0)──●───────────X──RZ(θ0)─RY(θ1)─
//! q1: ─RY(x1)──X──●────────│──RZ(θ2)─RY(θ3)─
//! q2: ─RY(x2)─────X──●─────│──RZ(θ4)─RY(θ5)─
//! q3: ─RY(x3)────────X─────●──RZ(θ6)─RY(θ7)─
//! ```
//!
//! Only q0, q1 and q2 are read, one for each species, so q3's rotations in the last layer change
//! nothing: their gradient is shot noise around zero. They stay, because equal layers are easier to
//! read and to store. Nothing here measures or learns.

use crate::gate::{ry, rz};
use crate::simulator::StateVector;

/// One qubit for each of the four measurements of a flower.
pub const QUBITS: usize = 4;

/// RZ and RY.
const ROTATIONS: usize = 2;

/// A stack of equal layers.
#[derive(Clone, Copy, Debug)]
pub struct Circuit {
    layers: usize,
}

impl Circuit {
    pub fn new(layers: usize) -> Self {
        Self { layers }
    }

    /// How many trainable angles there are, ordered as `[layer][qubit][RZ, RY]`.
    pub fn parameter_count(self) -> usize {
        self.layers * QUBITS * ROTATIONS
    }

    /// Prepares the final state for one flower. `parameters` has `parameter_count` angles in
    /// radians.
    pub fn run(self, angles: &[f64; QUBITS], parameters: &[f64], state: &mut StateVector) {
        debug_assert_eq!(parameters.len(), self.parameter_count());
        state.reset();
        for layer in parameters.chunks_exact(QUBITS * ROTATIONS) {
            for (qubit, &angle) in angles.iter().enumerate() {
                state.apply(&ry(angle), qubit);
            }
            for qubit in 0..QUBITS {
                state.cnot(qubit, (qubit + 1) % QUBITS);
            }
            for (qubit, rotations) in layer.chunks_exact(ROTATIONS).enumerate() {
                state.apply(&rz(rotations[0]), qubit);
                state.apply(&ry(rotations[1]), qubit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn final_probabilities(layers: usize, angles: [f64; QUBITS], parameters: &[f64]) -> Vec<f64> {
        let mut state = StateVector::new(QUBITS);
        Circuit::new(layers).run(&angles, parameters, &mut state);
        state.probabilities().collect()
    }

    #[test]
    fn a_layer_has_two_parameters_for_each_qubit() {
        assert_eq!(Circuit::new(3).parameter_count(), 24);
    }

    #[test]
    fn zero_angles_leave_the_ground_state() {
        let probabilities = final_probabilities(2, [0.0; QUBITS], &[0.0; 16]);
        assert!((probabilities[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_flipped_qubit_travels_round_the_ring() {
        // q0 flips q1, which flips q2, which flips q3, which flips q0 back.
        let probabilities = final_probabilities(1, [PI, 0.0, 0.0, 0.0], &[0.0; 8]);
        assert!((probabilities[0b1110] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn data_enter_in_every_layer() {
        // Two half turns of q3 and the ring between them: 1000 → 1001 → 0001 → 1110.
        let probabilities = final_probabilities(2, [0.0, 0.0, 0.0, PI], &[0.0; 16]);
        assert!((probabilities[0b1110] - 1.0).abs() < 1e-12, "{probabilities:?}");
    }

    #[test]
    fn rotations_come_last() {
        // The ring has nothing to spread yet when q0 is turned.
        let mut parameters = [0.0; 8];
        parameters[1] = PI;
        let probabilities = final_probabilities(1, [0.0; QUBITS], &parameters);
        assert!((probabilities[0b0001] - 1.0).abs() < 1e-12);
    }
}
