//! Random streams that are addressed instead of stored.
//!
//! A caller that needs random numbers names what they are for, the epoch and the step, and gets a
//! generator that depends on nothing else. So a run that resumes at an epoch boundary draws exactly
//! the numbers the uninterrupted run would have drawn, and a checkpoint holds no generator state.
//!
//! This file does not implement a generator (`fastrand` does) and is not for cryptography.

use fastrand::Rng;

/// What a stream is for. Two uses never share numbers, even in the same epoch and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which rows are held back for testing.
    Split = 1,
    /// The starting values of the circuit's parameters.
    Initial = 2,
    /// The order in which an epoch visits the training rows.
    Shuffle = 3,
    /// The measurement outcomes of one optimization step.
    TrainStep = 4,
    /// The measurement outcomes of an evaluation.
    Evaluate = 5,
}

/// The generator for `purpose` at (`epoch`, `step`) of the run with this `seed`.
///
/// Pass zero for whatever does not apply.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, step: u64) -> Rng {
    // Each part is mixed before the next is added, so (1, 2) and (2, 1) lead to different seeds.
    let parts = [purpose as u64, epoch, step];
    Rng::with_seed(parts.iter().fold(mix(seed), |state, part| mix(state ^ part)))
}

/// One output of `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
/// generators"): neighboring inputs give outputs that look unrelated.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_matches_the_published_generator() {
        // The first output of SplitMix64 seeded with zero.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn an_address_always_gives_the_same_numbers() {
        let first = |mut rng: Rng| rng.u64(..);
        let numbers = |seed, epoch, step| first(stream(seed, Purpose::TrainStep, epoch, step));
        assert_eq!(numbers(7, 3, 2), numbers(7, 3, 2));
        assert_ne!(numbers(7, 3, 2), numbers(7, 2, 3));
        assert_ne!(numbers(7, 3, 2), numbers(8, 3, 2));
        assert_ne!(numbers(7, 3, 2), first(stream(7, Purpose::Evaluate, 3, 2)));
    }
}
