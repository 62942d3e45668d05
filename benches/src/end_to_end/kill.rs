//! `kill -9` of a run at a random moment, and how many of the logged rows can be read afterwards.

use super::contenders::Contender;
use super::plan::Plan;
use super::process::{Group, last_words};
use crate::Result;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long one may take to start.
const START: Duration = Duration::from_secs(60);

/// How often one looks whether it has started.
const LOOK: Duration = Duration::from_millis(5);

/// Runs the plan for `after` seconds, kills it, and returns how many of the rows that it had logged are
/// missing. Nothing but the process dies: what the system has, it keeps.
pub(super) fn rows_lost(contender: &Contender<'_>, plan: &Plan, after: f64) -> Result<f64> {
    // So long that it cannot end by itself, and without a checkpoint: rows are counted here.
    let plan = Plan { seconds: 600.0, checkpoints: 0, ..plan.clone() };
    let mut group = Group::start(contender, &plan)?;
    let deadline = Instant::now() + START;
    while logged(&plan.progress) == 0 {
        if !group.is_running()? || Instant::now() > deadline {
            return Err(last_words(&plan).into());
        }
        thread::sleep(LOOK);
    }
    thread::sleep(Duration::from_secs_f64(after));
    group.kill()?;
    let logged = logged(&plan.progress);
    let left = contender.rows_in(&plan.metrics())?;
    Ok(logged.saturating_sub(left) as f64)
}

/// The steps that were logged, as the run said behind each burst.
fn logged(progress: &Path) -> u64 {
    let bytes = fs::read(progress).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}
