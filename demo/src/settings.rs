//! The settings of a run, with the defaults of the demonstration.
//!
//! They are plain data: the same settings give the same run, bit for bit. Nothing here checks that
//! they make sense, and the fixed parts of the model (four qubits, how sharp the scores are) are
//! constants where they are used, not settings.

/// How to train. With the defaults 97 of the seeds 0 to 99 end at a test accuracy of 90 % or
/// more; their mean is 95.7 %.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Decides every random choice of the run. Default 7.
    pub seed: u64,
    /// Layers of the circuit, each with eight parameters. Default 3.
    pub layers: usize,
    /// Measurements of each circuit; `None` computes exact expectations. Default 1024.
    pub shots: Option<u32>,
    /// Passes over the training rows. Default 25.
    pub epochs: u64,
    /// Training rows in one step. Default 15.
    pub batch_size: usize,
    /// Adam's step size, in radians. Default 0.1.
    pub learning_rate: f64,
    /// Flowers of each species, of 50, that are held back for testing. Default 15.
    pub test_per_species: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 7,
            layers: 3,
            shots: Some(1024),
            epochs: 25,
            batch_size: 15,
            learning_rate: 0.1,
            test_per_species: 15,
        }
    }
}
