//! Warns about lost items through `tracing`: the first loss of each kind at once, later ones at most
//! once per interval, so that neither silence nor a flood of lines hides them.

use crate::buffer::hooks::Loss;
use crate::buffer::stats::BufferStats;
use std::time::{Duration, Instant};

pub(crate) struct LossReport {
    every: Duration,
    dropped: Reported,
    evicted: Reported,
}

/// What was reported about one kind of loss.
#[derive(Default)]
struct Reported {
    count: u64,
    last: Option<Instant>,
}

impl LossReport {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, dropped: Reported::default(), evicted: Reported::default() }
    }

    /// Reports the losses of each kind since its last report, if an interval has passed since then.
    pub(crate) fn update(&mut self, intake: &BufferStats, now: Instant) {
        let every = self.every;
        self.report(intake, now, |last| now.saturating_duration_since(last) >= every);
    }

    /// Reports the losses that were not reported yet.
    pub(crate) fn finish(&mut self, intake: &BufferStats) {
        self.report(intake, Instant::now(), |_| true);
    }

    fn report(&mut self, intake: &BufferStats, now: Instant, is_due: impl Fn(Instant) -> bool) {
        let kinds = [
            (&mut self.dropped, Loss::Dropped, intake.dropped),
            (&mut self.evicted, Loss::Evicted, intake.evicted),
        ];
        for (reported, loss, count) in kinds {
            if count > reported.count && reported.last.is_none_or(&is_due) {
                warn(intake, loss, count - reported.count);
                *reported = Reported { count, last: Some(now) };
            }
        }
    }
}

fn warn(intake: &BufferStats, loss: Loss, count: u64) {
    let what = match loss {
        Loss::Dropped => "new items were dropped",
        Loss::Evicted => "the oldest items were discarded",
    };
    tracing::warn!(
        buffer = %intake.name,
        lost = count,
        dropped_since_start = intake.dropped,
        evicted_since_start = intake.evicted,
        stored_since_start = intake.pushed,
        first_lost = intake.lost_first,
        last_lost = intake.lost_last,
        "the buffer was full and {what}; increase its size or push less often"
    );
}
