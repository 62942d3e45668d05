//! Decides whether a target returned in time, within its memory, and without a panic.

use super::Target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The resources that a target may use for one input.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum time.
    pub time: Duration,
    /// The maximum bytes of memory at a time for an empty input.
    pub memory: u64,
    /// Additional bytes per byte of input: a JSON document of seven bytes takes hundreds of bytes in memory.
    pub memory_per_byte: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(1), memory: 160 << 20, memory_per_byte: 512 }
    }
}

/// Passes these bytes to the target.
///
/// # Errors
/// A panic, too much memory, or too much time.
pub fn judge(target: Target, bytes: &[u8], limits: Limits) -> Result<(), String> {
    let (mut panicked, mut took) = (None, Duration::ZERO);
    let spent = allocation_counter::measure(|| {
        let started = Instant::now();
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(bytes)));
        took = started.elapsed();
        panicked = read.err();
    });
    if let Some(panic) = panicked {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        return Err(format!("a panic: {}", text.unwrap_or_default()));
    }
    let memory = limits.memory + limits.memory_per_byte * bytes.len() as u64;
    if spent.bytes_max > memory {
        return Err(format!("{} bytes of memory for {} of input", spent.bytes_max, bytes.len()));
    }
    if took > limits.time {
        return Err(format!("{took:?} for {} bytes of input", bytes.len()));
    }
    Ok(())
}

/// As [`judge`], but a target that was too slow gets two more chances: other processes may have used the
/// processor.
///
/// # Errors
/// As [`judge`].
pub fn judge_again(target: Target, bytes: &[u8], limits: Limits) -> Result<(), String> {
    let mut verdict = judge(target, bytes, limits);
    for _ in 0..2 {
        if !verdict.as_ref().is_err_and(|error| error.contains("bytes of input")) {
            break;
        }
        verdict = judge(target, bytes, limits);
    }
    verdict
}
