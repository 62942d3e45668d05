//! What has become of a run: derived from its lock and its last attempt, never stored, so it is never out of date.
//!
//! The rules, in this order:
//!
//! 1. Somebody who lives, or who cannot be identified, holds the lock: running.
//! 2. The last attempt has recorded its end: finished or failed.
//! 3. It was on another machine, or the machine was started again since, or its lock cannot be seen from here:
//!    unknown. Nothing is guessed.
//! 4. Its lock is free, or only its forked children hold it: crashed.

use crate::run_file::{AttemptOutcome, RunFile};
use qstore_storage::FileId;
use std::fmt;
use std::time::Duration;

/// What has become of a run, since when, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What has become of it.
    pub state: RunState,
    /// The time since its end or, if none is recorded, since the last change of its metrics file.
    pub age: Option<Duration>,
    /// How it is known, or why it is not.
    pub reason: Reason,
}

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunState {
    /// It is being written.
    Running,
    /// It has ended well.
    Finished,
    /// It has ended with an error.
    Failed,
    /// Its writer ended without recording how.
    Crashed,
    /// It cannot be known from here whether its writer lives.
    Unknown,
}

/// How a status is known, or why it is not. Its text is half a sentence: "the machine was started again since".
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The writer holds its lock.
    Held,
    /// A process that cannot be identified from here, as in another container, holds the lock.
    HeldByStranger,
    /// The last attempt has recorded its end.
    Ended,
    /// The last attempt has recorded why it failed.
    Error(String),
    /// The lock is free.
    Released,
    /// The writer is gone; processes that it forked still hold its lock.
    OnlyChildren {
        /// The number of the writer.
        pid: u32,
    },
    /// The writer was on another machine.
    OtherHost {
        /// Its name, if it has one.
        host: Option<String>,
    },
    /// The machine was started again since, or another one has the same name.
    OtherBoot,
    /// No lock of this writer can be seen, as it has found out itself, or it is not known whether the machine was
    /// started again since (as on macOS).
    Unseen,
    /// The lock file is not the one that the writer locked: the directory is a copy, or it is seen through another
    /// mount.
    Copied,
    /// The lock file was removed.
    LockMissing,
    /// The lock file cannot be read.
    LockUnreadable(String),
    /// The run has no attempt yet.
    NoAttempt,
    /// It has no `run.json`; its metrics file was closed.
    Closed,
    /// It has no `run.json`, and its metrics file was not closed.
    NoRunFile,
    /// It was started and ended again and again while it was looked at.
    Changing,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Finished, Self::Failed, Self::Crashed, Self::Unknown];

    /// The state in one word: `running`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "its writer holds its lock",
            Self::HeldByStranger => "a process that cannot be identified from here holds its lock",
            Self::Ended => "its end is recorded",
            Self::Error(error) => return f.write_str(error),
            Self::Released => "its writer ended without recording how",
            Self::OnlyChildren { pid } => {
                return write!(f, "its writer {pid} is gone, and processes forked from it remain");
            }
            Self::OtherHost { host: Some(host) } => return write!(f, "written on host {host}"),
            Self::OtherHost { host: None } => "written on a host without a name",
            Self::OtherBoot => "the machine was started again since",
            Self::Unseen => "written where locks cannot be seen",
            Self::Copied => {
                "its lock file is not the one that its writer locked: a copy, or another mount"
            }
            Self::LockMissing => "its lock file was removed",
            Self::LockUnreadable(error) => return write!(f, "its lock cannot be seen: {error}"),
            Self::NoAttempt => "it was not started yet",
            Self::Closed => "its metrics file was closed",
            Self::NoRunFile => "it has no run.json",
            Self::Changing => "it is started again and again",
        })
    }
}

/// What a probe of the lock has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    Held,
    HeldByStranger,
    /// The process of the note is gone.
    OnlyChildren {
        pid: u32,
    },
    Free(FileId),
    Missing,
    Unreadable(String),
}

/// The machine from which a run is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    pub(crate) host: Option<String>,
    pub(crate) boot_id: Option<String>,
}

/// Whether what was seen decides it, whatever `run.json` says.
pub(crate) fn of_a_holder(sight: &Sight) -> Option<(RunState, Reason)> {
    match sight {
        Sight::Held => Some((RunState::Running, Reason::Held)),
        Sight::HeldByStranger => Some((RunState::Running, Reason::HeldByStranger)),
        _ => None,
    }
}

/// Whether the last attempt has recorded its end.
pub(crate) fn of_an_end(run: &RunFile) -> Option<(RunState, Reason)> {
    let last = run.last_attempt()?;
    let reason = last.error.clone().map_or(Reason::Ended, Reason::Error);
    match last.outcome? {
        AttemptOutcome::Finished => Some((RunState::Finished, Reason::Ended)),
        AttemptOutcome::Failed => Some((RunState::Failed, reason)),
    }
}

/// The status of a run that has not ended and whose writer was not seen.
pub(crate) fn of_the_silent(run: &RunFile, sight: &Sight, here: &Here) -> (RunState, Reason) {
    let unknown = |reason| (RunState::Unknown, reason);
    let Some(last) = run.last_attempt() else { return unknown(Reason::NoAttempt) };
    // mutant: another_host_reported_as_crashed
    if last.host.is_none() || last.host != here.host {
        return unknown(Reason::OtherHost { host: last.host.clone() });
    }
    match (&last.boot_id, &here.boot_id) {
        (Some(then), Some(now)) if then == now => {}
        (Some(_), Some(_)) => return unknown(Reason::OtherBoot),
        _ => return unknown(Reason::Unseen),
    }
    let Some([device, number]) = last.lock else { return unknown(Reason::Unseen) };
    match sight {
        Sight::OnlyChildren { pid } => (RunState::Crashed, Reason::OnlyChildren { pid: *pid }),
        Sight::Free(file) if (file.device, file.number) == (device, number) => {
            (RunState::Crashed, Reason::Released)
        }
        Sight::Free(_) => unknown(Reason::Copied),
        Sight::Missing => unknown(Reason::LockMissing),
        Sight::Unreadable(error) => unknown(Reason::LockUnreadable(error.clone())),
        Sight::Held | Sight::HeldByStranger => (RunState::Running, Reason::Held),
    }
}
