//! One attempt of a run: it holds the lock, and records its beginning and its end.
//!
//! It knows nothing of metrics and checkpoints. The order decides what others see: the lock is held before the
//! attempt is recorded, and until its end is.

use crate::error::{Result, RunError};
use crate::json_file;
use crate::layout::{RUN_JSON, RUN_LOCK};
use crate::run_file::{AttemptOutcome, RunAttempt, RunFile};
use crate::status::{self, Here, Reason, RunState, Sight};
use crate::surroundings::{RunPlace, Surroundings};
use crate::utc_time::UtcTime;
use qstore_os::{ForkCheck, ProcessMark};
use qstore_storage::{FileSystem, Lock, Locking, Probe, open_dir};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a note begins with.
const NOTE: &str = "qstore-run";

/// The lock of a run, held by this process, before anything is recorded.
#[derive(Debug)]
pub(crate) struct Hold {
    place: RunPlace,
    /// The directory of the run, whatever it is called by now.
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) dir: PathBuf,
    locking: Locking,
    /// Given back when the end is recorded, or with this value.
    lock: Option<Box<dyn Lock>>,
}

/// An attempt that is recorded and has not ended.
#[derive(Debug)]
pub(crate) struct Session {
    hold: Hold,
    number: u64,
    has_ended: bool,
    home: ForkCheck,
}

impl Hold {
    /// Takes the lock of the run in `dir`.
    pub(crate) fn take(place: &RunPlace, dir: &Path, locking: Locking) -> Result<Self> {
        let files = open_dir(&place.files, dir)?;
        let path = Path::new(RUN_LOCK);
        let lock = match files.try_lock_noted(path, note(&*place.surroundings).as_bytes()) {
            // The choice for file systems without locks; no probe sees such a lock.
            Err(error) if locking == Locking::IfSupported && error.is_unsupported() => {
                locking.try_lock(&*files, path)?
            }
            locked => locked?,
        };
        let Some(lock) = lock else {
            let holder = holder(&*files, &*place.surroundings);
            return Err(RunError::Running { path: dir.to_path_buf(), holder });
        };
        Ok(Self { place: place.clone(), files, dir: dir.to_path_buf(), locking, lock: Some(lock) })
    }

    /// The attempt of that number, on this machine and by this process.
    pub(crate) fn attempt(&self, number: u64) -> RunAttempt {
        let around = &*self.place.surroundings;
        let mut attempt =
            RunAttempt::new(number, UtcTime::from(around.now()), around.process().pid);
        attempt.host = around.host();
        attempt.boot_id = around.boot_id();
        attempt.lock = self
            .lock
            .as_ref()
            .and_then(|lock| lock.seen_as())
            .map(|file| [file.device, file.number]);
        attempt
    }

    /// Records a new run, whose last attempt is this one.
    pub(crate) fn create(self, run: &RunFile) -> Result<Session> {
        match json_file::create(&self.files, &self.dir, run) {
            Err(RunError::Storage(error)) if error.is_already_exists() => {
                Err(RunError::Exists { path: self.dir })
            }
            created => created.map(|()| self.begun(run.attempts.last().map_or(0, |a| a.number))),
        }
    }

    /// Records another attempt of a run.
    pub(crate) fn add(self, change: impl FnOnce(&mut RunFile) -> RunAttempt) -> Result<Session> {
        let mut number = 0;
        json_file::edit(&self.files, &self.dir, self.locking, |run| {
            let attempt = change(run);
            number = attempt.number;
            run.attempts.push(attempt);
            Ok(())
        })?;
        Ok(self.begun(number))
    }

    fn begun(self, number: u64) -> Session {
        Session { hold: self, number, has_ended: false, home: ForkCheck::new() }
    }
}

impl Session {
    /// The number of the attempt.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.hold.dir
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether this process is a child of the one that began it.
    pub(crate) fn is_forked(&self) -> bool {
        self.home.is_forked()
    }

    /// Records the end, then releases the lock. After an error the attempt goes on.
    pub(crate) fn end(&mut self, outcome: AttemptOutcome, error: Option<String>) -> Result<()> {
        self.record_end(outcome, error)?;
        self.hold.lock = None;
        Ok(())
    }

    /// Records the end, and holds the lock until this value is dropped: something may still be written.
    pub(crate) fn record_end(
        &mut self,
        outcome: AttemptOutcome,
        error: Option<String>,
    ) -> Result<()> {
        if self.is_forked() {
            return Err(RunError::Forked);
        }
        let (number, hold) = (self.number, &self.hold);
        let ended = UtcTime::from(hold.place.surroundings.now());
        json_file::edit(&hold.files, &hold.dir, hold.locking, |run| {
            let own = run.attempts.iter_mut().find(|attempt| attempt.number == number);
            let Some(own) = own else {
                let reason = format!("attempt {number} was removed from it");
                return Err(RunError::Malformed { path: hold.dir.join(RUN_JSON), reason });
            };
            (own.ended, own.outcome, own.error) = (Some(ended), Some(outcome), error);
            Ok(())
        })?;
        self.has_ended = true;
        Ok(())
    }
}

/// What others learn of the holder.
fn note(around: &dyn Surroundings) -> String {
    let boot_id = around.boot_id().unwrap_or_else(|| "-".into());
    format!("{NOTE} {boot_id} {}\n", around.process())
}

fn process_of(note: &[u8], around: &dyn Surroundings) -> Option<ProcessMark> {
    let note = std::str::from_utf8(note).ok()?.strip_prefix(NOTE)?;
    let (boot_id, process) = note.trim_start().split_once(' ')?;
    // Of another machine nothing is known.
    (around.boot_id().as_deref() == Some(boot_id)).then(|| process.trim().parse().ok())?
}

/// Who holds the lock and what to do, for a message.
fn holder(files: &dyn FileSystem, around: &dyn Surroundings) -> String {
    let process = match files.probe_lock(Path::new(RUN_LOCK)) {
        Ok(Probe::Held { note, .. }) => process_of(&note, around),
        _ => None,
    };
    let alive = process.as_ref().and_then(|process| around.is_alive(process));
    let holder = match (process.map(|process| process.pid), alive) {
        (Some(pid), Some(false)) => {
            return format!(
                "still locked: its writer (process {pid}) has ended, but processes that it forked are \
                 running; stop them first"
            );
        }
        (Some(pid), Some(true)) => format!("process {pid}"),
        (Some(pid), None) => format!("process {pid} in another container"),
        (None, _) => "another process".into(),
    };
    format!("being written by {holder}; wait for its end, or stop it first")
}

/// Looks at the lock of the run in `dir`. Takes nothing.
fn look(place: &RunPlace, dir: &Path) -> Sight {
    let around = &*place.surroundings;
    match place.files.probe_lock(&dir.join(RUN_LOCK)) {
        Ok(Probe::Missing) => Sight::Missing,
        Ok(Probe::Free { file }) => Sight::Free(file),
        Ok(Probe::Held { note, .. }) => match process_of(&note, around) {
            Some(process) => match around.is_alive(&process) {
                Some(true) => Sight::Held,
                // mutant: a_forked_child_keeps_a_run_alive
                Some(false) => Sight::OnlyChildren { pid: process.pid },
                None => Sight::HeldByStranger,
            },
            None => Sight::HeldByStranger,
        },
        Err(error) if error.is_unsupported() => Sight::Unreadable("not on this system".into()),
        Err(error) => Sight::Unreadable(error.to_string()),
    }
}

/// What has become of the run in `dir`, and what its `run.json` says.
///
/// A writer records its beginning after it holds the lock, and its end before it releases it. So if the lock
/// was free at a moment at which `run.json` said that the attempt went on, its writer is gone.
pub(crate) fn status_of(place: &RunPlace, dir: &Path) -> Result<(RunFile, RunState, Reason)> {
    const LOOKS: usize = 20;
    let around = &*place.surroundings;
    let here = Here { host: around.host(), boot_id: around.boot_id() };
    let read = || -> Result<RunFile> {
        let run = json_file::read(&*place.files, dir)?;
        run.ok_or_else(|| RunError::NotARun { path: dir.to_path_buf() })
    };
    let mut run = read()?;
    for _ in 0..LOOKS {
        let sight = look(place, dir);
        if let Some((state, reason)) = status::of_a_holder(&sight) {
            return Ok((run, state, reason));
        }
        // It had ended when it was read, whatever has begun since.
        if let Some((state, reason)) = status::of_an_end(&run) {
            return Ok((run, state, reason));
        }
        // mutant: status_without_a_second_look
        let again = read()?;
        if again.attempts == run.attempts {
            let (state, reason) = status::of_the_silent(&again, &sight, &here);
            return Ok((again, state, reason));
        }
        run = again;
    }
    Ok((run, RunState::Unknown, Reason::Changing))
}

#[cfg(test)]
mod tests;
