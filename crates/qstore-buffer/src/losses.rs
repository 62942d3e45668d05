//! Tells about lost items: through `tracing`, at most once per interval, so that neither silence nor
//! a flood of lines hides them.

use crate::BufferStats;
use std::time::{Duration, Instant};

pub(crate) struct LossReport {
    every: Duration,
    reported: u64,
    last: Option<Instant>,
}

impl LossReport {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, reported: 0, last: None }
    }

    /// Reports what was lost since the last report, if an interval has passed since.
    pub(crate) fn look(&mut self, intake: &BufferStats, now: Instant) {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.every) {
            self.report(intake, now);
        }
    }

    /// Reports what nobody was told yet.
    pub(crate) fn finish(&mut self, intake: &BufferStats) {
        self.report(intake, Instant::now());
    }

    fn report(&mut self, intake: &BufferStats, now: Instant) {
        let lost = intake.dropped + intake.evicted;
        if lost == self.reported {
            return;
        }
        tracing::warn!(
            buffer = %intake.name,
            lost = lost - self.reported,
            lost_since_start = lost,
            stored_since_start = intake.pushed,
            first_lost = intake.lost_first,
            last_lost = intake.lost_last,
            "the buffer was full and items were dropped; make it larger or push less often"
        );
        self.reported = lost;
        self.last = Some(now);
    }
}
