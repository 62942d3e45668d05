//! A simulated run as a process: in Rust this program once more, in Python the script beside it.

use super::CHILD;
use super::contenders::Contender;
use super::outcome::Outcome;
use super::plan::Plan;
use crate::Result;
use crate::harness::this_program;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/end_to_end.py");
/// How long somebody may take to end, beyond the time of the loop.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often one looks whether something has happened.
const LOOK: Duration = Duration::from_millis(5);

/// A process and all that it starts; ends with this value.
pub(super) struct Group {
    child: Child,
}

impl Group {
    /// Starts the plan.
    pub(super) fn start(contender: &Contender<'_>, plan: &Plan) -> Result<Self> {
        let path = plan.write()?;
        let mut command = match contender.python {
            Some(python) => {
                let mut command = Command::new(python);
                command.arg(SCRIPT);
                command
            }
            None => this_program::command(CHILD)?,
        };
        let said = File::create(plan.dir.join("said"))?;
        command.arg(path).stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        // In a group of its own, so that what it starts can be ended with it.
        let child = command.process_group(0).spawn()?;
        Ok(Self { child })
    }

    /// Ends it at once, without a word of warning.
    pub(super) fn kill(&mut self) -> Result {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.child.wait()?;
        Ok(())
    }

    /// Whether it runs.
    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Runs the plan to its good end.
pub(super) fn run_to_the_end(contender: &Contender<'_>, plan: &Plan) -> Result<Outcome> {
    let mut group = Group::start(contender, plan)?;
    let deadline = Instant::now() + Duration::from_secs_f64(plan.seconds) + PATIENCE;
    while group.is_running()? {
        if Instant::now() > deadline {
            return Err(format!("did not end within {PATIENCE:?} after its last step").into());
        }
        thread::sleep(LOOK);
    }
    match fs::read_to_string(&plan.outcome) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(_) => Err(last_words(plan).into()),
    }
}

/// What it said last before it failed.
pub(super) fn last_words(plan: &Plan) -> String {
    let said = fs::read_to_string(plan.dir.join("said")).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    format!("failed: {}", last.unwrap_or("without a word").trim())
}

/// The bytes of all files below a directory.
pub(super) fn bytes_in(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_in(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
