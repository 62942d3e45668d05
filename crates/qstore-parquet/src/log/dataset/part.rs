//! One part of a rank, from its first row to the name that it keeps.
//!
//! ```text
//! open ──▶ closing ──▶ resting ──▶ trimming ──▶ sealing ──▶ sealed
//! ```
//!
//! A part that is closed rests for as long as an engine may take between planning a read and opening the
//! file. Then what only earlier versions of it need is left out, and it gets its last name. At the end of a
//! session it gets that at once.

use crate::error::WriteError;
use crate::log::dataset::names::sealed_name;
use crate::log::metrics_log::MetricsLog;
use crate::log::part_of::Sealing;
use qstore_buffer::{Progress, Sink};
use qstore_schema::Record;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A part and what becomes of it.
pub(super) struct Part<R> {
    pub(super) number: u32,
    pub(super) log: MetricsLog<R>,
    stage: Stage,
}

enum Stage {
    /// It takes rows.
    Open,
    /// It takes no more; they are being published.
    Closing,
    /// Readers of earlier versions may be left.
    Resting {
        since: Instant,
    },
    /// The version without what they needed is being published.
    Trimming,
    /// It is given its last name.
    Sealing {
        outcome: Arc<Mutex<Option<Sealing>>>,
    },
    Sealed,
}

impl<R: Record + Send + 'static> Part<R> {
    pub(super) fn new(number: u32, log: MetricsLog<R>) -> Self {
        Self { number, log, stage: Stage::Open }
    }

    /// From now on it takes no rows.
    pub(super) fn retire(&mut self) {
        if let Stage::Open = self.stage {
            self.stage = Stage::Closing;
        }
    }

    /// Whether rows of it may not be published yet.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    pub(super) fn is_sealed(&self) -> bool {
        matches!(self.stage, Stage::Sealed)
    }

    /// Whether it could not be given its last name the last time.
    pub(super) fn is_failing(&self) -> bool {
        let Stage::Sealing { outcome } = &self.stage else { return false };
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) == Some(Sealing::Failed)
    }

    /// The next piece of work on the way to its last name. `rest` is how long it rests; `None` if there is
    /// no time for that.
    ///
    /// # Errors
    /// When a version cannot be published. The work fails when the name is taken; then it is tried again.
    pub(super) fn step(
        &mut self,
        now: Instant,
        rest: Option<Duration>,
    ) -> Result<Progress<WriteError>, WriteError> {
        loop {
            match &self.stage {
                Stage::Open | Stage::Sealed => return Ok(Progress::Idle),
                Stage::Closing => {
                    if let Progress::Work(work) = Sink::close(&mut self.log)? {
                        return Ok(Progress::Work(work));
                    }
                    self.stage = Stage::Resting { since: now };
                }
                Stage::Resting { since } => {
                    let rested = now.saturating_duration_since(*since);
                    // mutant: sealed_without_a_rest
                    let is_rested = rest.is_none_or(|rest| rested >= rest);
                    if !is_rested {
                        return Ok(Progress::Idle);
                    }
                    if rest.is_some() {
                        return Ok(self.trim());
                    }
                    self.stage = Stage::Sealing { outcome: Arc::default() };
                }
                // If it failed, the part is as it was.
                Stage::Trimming => self.stage = Stage::Sealing { outcome: Arc::default() },
                Stage::Sealing { outcome } => {
                    let said = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
                    match said {
                        Some(Sealing::Done) => {
                            self.log.sealed_as(&sealed_name(self.number));
                            self.stage = Stage::Sealed;
                        }
                        // Its file was removed; it is published again, as that of any log.
                        Some(Sealing::Missing) => return Ok(self.trim()),
                        Some(Sealing::Failed) | None => {
                            let (name, outcome) = (sealed_name(self.number), Arc::clone(outcome));
                            return Ok(self.log.seal(name, outcome));
                        }
                    }
                }
            }
        }
    }

    fn trim(&mut self) -> Progress<WriteError> {
        self.stage = Stage::Trimming;
        self.log.trim()
    }
}
