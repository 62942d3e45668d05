//! An attack of our own: the system starves the process.
//!
//! A child can have at most *n* open files, for every *n* from too few to plenty; or no file longer than *n* bytes,
//! in steps of 512. A write beyond that limit is cut short in the middle, and retrying it ends the process with
//! a signal: a torn write and a kill in one, made by the kernel. Either way, what the child had been promised
//! must be there, and everything must work again once the limit is gone.

use crate::child;
use crate::trial::Trial;
use qstore_tests::promises::Promises;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A process needs three for itself, and no run needs more than these. As many as there are blocks, and a
/// multiple of the step, so that every seed gives as many cases.
const FILES: std::ops::Range<usize> = 3..43;
/// In blocks of 512 bytes.
const BLOCKS: std::ops::Range<usize> = 0..40;

pub(crate) fn run(trial: &Arc<Trial>) {
    let mut cases = Vec::new();
    for scenario in child::scenarios() {
        let step = if trial.full || trial.is_replay() { 1 } else { 4 };
        let from = if step == 1 { 0 } else { trial.seed as usize % step };
        cases.extend(FILES.skip(from).step_by(step).map(|files| (scenario.clone(), "-n", files)));
        cases
            .extend(BLOCKS.skip(from).step_by(step).map(|blocks| (scenario.clone(), "-f", blocks)));
    }
    trial.plan(cases.len());
    trial.side_by_side(&cases, |(scenario, limit, number)| {
        let kind = if *limit == "-n" { "files" } else { "blocks" };
        trial.case(&format!("{scenario}/{kind}-{number}"), || starve(scenario, limit, *number));
    });
}

fn starve(scenario: &str, limit: &str, number: usize) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    fs::create_dir(child::work(dir.path())).expect("the directory is empty");
    // The file of promises is open from the start, and short.
    let shell = format!("ulimit {limit} {number} && exec \"$0\" \"$@\"");
    let child = child::command(scenario, dir.path(), None);
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(child.get_program()).args(child.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may end in any way: refuse to start, fail, or be killed.
    command.status().expect("a shell can be started");
    let acknowledged = Promises::last_logged(&child::promised(dir.path()));
    child::check(scenario, dir.path(), acknowledged);
}
