//! What makes two requests the same.

use qstore_schema::SmolStr;
use std::fmt;
use twox_hash::XxHash3_128;

/// The digest of a request: circuits, parameters, shots, device, and whatever else the caller names.
///
/// A batch that was paid for is found again by it. If a loop asks for the same circuits with the same parameters
/// on purpose, as for a fresh sample, give each request a [`salt`](Self::salt) of its own, such as the step.
///
/// It is `XXH3-128` over the parts with their lengths: enough to tell apart what one training asks for, not a
/// protection against someone who looks for a collision.
///
/// ```
/// use qstore_ledger::Batch;
///
/// let circuits = ["OPENQASM 3.0; qubit q; h q;"];
/// let batch = || Batch::new("device", 1024).circuits(circuits).parameters(&[0.25, 0.5]);
/// assert_eq!(batch().digest(), batch().digest());
/// assert_ne!(batch().digest(), batch().salt("step 7").digest());
/// assert_ne!(batch().digest(), Batch::new("device", 1024).circuits(circuits).digest());
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    bytes: Vec<u8>,
    circuits: i64,
    shots: i64,
    device: SmolStr,
}

impl Batch {
    /// A request to that device with this number of shots for each circuit.
    #[must_use]
    pub fn new(device: &str, shots: u32) -> Self {
        let shots = i64::from(shots);
        let batch = Self { bytes: Vec::new(), circuits: 0, shots, device: device.into() };
        batch.part(b'd', device.as_bytes()).part(b's', &shots.to_le_bytes())
    }

    /// Adds circuits, in any form that is the same for the same circuit: `OpenQASM`, QPY, JSON.
    #[must_use]
    pub fn circuits<C: AsRef<[u8]>>(mut self, circuits: impl IntoIterator<Item = C>) -> Self {
        for circuit in circuits {
            self.circuits += 1;
            self = self.part(b'c', circuit.as_ref());
        }
        self
    }

    /// Adds the values of parameters. Values differ if their bits differ.
    #[must_use]
    pub fn parameters(self, values: &[f64]) -> Self {
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
        self.part(b'p', &bytes)
    }

    /// Adds anything else that makes it another request.
    #[must_use]
    pub fn salt(self, salt: impl AsRef<[u8]>) -> Self {
        self.part(b'x', salt.as_ref())
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> BatchDigest {
        BatchDigest(format!("{:032x}", XxHash3_128::oneshot(&self.bytes)).into())
    }

    pub(crate) fn counts(&self) -> (i64, i64) {
        (self.circuits, self.shots)
    }

    pub(crate) fn device(&self) -> &SmolStr {
        &self.device
    }

    /// A kind, a length and the bytes: no two lists of parts have the same encoding.
    fn part(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.bytes.push(kind);
        self.bytes.extend((bytes.len() as u64).to_le_bytes());
        self.bytes.extend(bytes);
        self
    }
}

/// The digest of a [`Batch`]: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchDigest(SmolStr);

impl BatchDigest {
    /// The digest as text, as in the column `batch`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn text(&self) -> SmolStr {
        self.0.clone()
    }
}

impl fmt::Display for BatchDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn moving_bytes_between_circuits_makes_another_batch(
            circuits in prop::collection::vec("[a-c]{0,4}", 1..4),
            others in prop::collection::vec("[a-c]{0,4}", 1..4),
        ) {
            let digest = |list: &[String]| Batch::new("d", 8).circuits(list).digest();
            prop_assert_eq!(digest(&circuits) == digest(&others), circuits == others);
        }
    }

    #[test]
    fn a_parameter_and_a_circuit_of_its_bytes_differ() {
        let bytes = 0.5_f64.to_bits().to_le_bytes();
        let (a, b) = (Batch::new("d", 8).parameters(&[0.5]), Batch::new("d", 8).circuits([bytes]));
        assert_ne!(a.digest(), b.digest());
        assert_ne!(Batch::new("d", 8).digest(), Batch::new("d", 9).digest());
        assert_ne!(Batch::new("d", 8).digest(), Batch::new("e", 8).digest());
    }
}
