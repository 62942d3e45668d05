//! What one simulated run tells at its end.

use serde::{Deserialize, Serialize};

/// Filled in by `training.rs` and by `python/end_to_end.py` alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) steps: u64,
    pub(super) seconds: f64,
    /// Of single log calls: median, 99th and 99.9th percentile, and the longest.
    pub(super) log_us: [f64; 4],
    pub(super) checkpoints: usize,
    /// Until the call to save returned: median and longest.
    pub(super) checkpoint_ms: [f64; 2],
    /// All log calls and saves.
    pub(super) storage_seconds: f64,
    /// Processor time of everything but the training thread, until all was stored.
    pub(super) background_seconds: f64,
    /// From the last step until all was stored.
    pub(super) finish_seconds: f64,
}
