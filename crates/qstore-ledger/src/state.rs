//! The states of a job, and the words of providers for them.

use std::fmt;

/// How far a job is.
///
/// ```text
/// intended → submitted → queued → running → done | failed | cancelled
/// ```
///
/// A job that is intended, has no identifier, and whose process is gone is *in doubt*: its request may have
/// arrived. That is never stored; see [`Job::in_doubt`](crate::Job::in_doubt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// The request may leave from now on.
    Intended,
    /// The provider has it, and its identifier is known.
    Submitted,
    /// It waits at the provider.
    Queued,
    /// It runs, or is being cancelled.
    Running,
    /// It has a result.
    Done,
    /// It ended without one, or was refused.
    Failed,
    /// It was cancelled, the provider does not know it, or its intent was withdrawn.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 7] = [
        Self::Intended,
        Self::Submitted,
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word for it in the column `event`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Submitted => "submitted",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with that word in the column `event`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will happen to it, other than that its price becomes known.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// The state for a status of IBM Runtime v2, such as `QUEUED`.
    #[must_use]
    pub fn of_ibm_runtime(status: &str) -> Option<Self> {
        Some(match status {
            "INITIALIZING" => Self::Submitted,
            "QUEUED" => Self::Queued,
            "RUNNING" => Self::Running,
            "DONE" => Self::Done,
            "ERROR" => Self::Failed,
            "CANCELLED" => Self::Cancelled,
            _ => return None,
        })
    }

    /// The state for a status of an Amazon Braket quantum task, such as `COMPLETED`.
    #[must_use]
    pub fn of_braket(status: &str) -> Option<Self> {
        Some(match status {
            "CREATED" => Self::Submitted,
            "QUEUED" => Self::Queued,
            "RUNNING" | "CANCELLING" => Self::Running,
            "COMPLETED" => Self::Done,
            "FAILED" => Self::Failed,
            "CANCELLED" => Self::Cancelled,
            _ => return None,
        })
    }

    /// The state for a status of `IonQ`'s API v0.4, such as `completed`.
    #[must_use]
    pub fn of_ionq(status: &str) -> Option<Self> {
        Some(match status {
            "ready" => Self::Submitted,
            "submitted" => Self::Queued,
            "running" => Self::Running,
            "completed" => Self::Done,
            "failed" => Self::Failed,
            "canceled" => Self::Cancelled,
            _ => return None,
        })
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        assert_eq!(JobState::parse("priced"), None);
    }

    #[test]
    fn an_unknown_status_of_a_provider_has_none() {
        for of in [JobState::of_ibm_runtime, JobState::of_braket, JobState::of_ionq] {
            assert_eq!(of("PAUSED"), None);
            assert_eq!(of(""), None);
        }
        assert_eq!(JobState::of_braket("CANCELLING"), Some(JobState::Running));
        assert_eq!(JobState::of_ionq("canceled"), Some(JobState::Cancelled));
    }
}
