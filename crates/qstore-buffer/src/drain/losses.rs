//! Warns about lost items through `tracing`: the first loss of each kind at once, later ones at most
//! once per interval, so that neither silence nor a flood of lines hides them.

use crate::health::{Loss, Losses, Lost};
use std::time::{Duration, Instant};

pub(crate) struct LossReport {
    buffer: String,
    every: Duration,
    reported: Vec<Reported>,
}

/// What was reported about one kind of loss.
struct Reported {
    loss: Loss,
    count: u64,
    last: Instant,
}

impl LossReport {
    pub(crate) fn new(buffer: &str, every: Duration) -> Self {
        Self { buffer: buffer.into(), every, reported: Vec::new() }
    }

    /// Reports the losses of each kind since its last report, if an interval has passed since then.
    pub(crate) fn update(&mut self, losses: &Losses, now: Instant) {
        let every = self.every;
        self.report(losses, now, |last| now.saturating_duration_since(last) >= every);
    }

    /// Reports the losses that were not reported yet.
    pub(crate) fn finish(&mut self, losses: &Losses) {
        self.report(losses, Instant::now(), |_| true);
    }

    fn report(&mut self, losses: &Losses, now: Instant, is_due: impl Fn(Instant) -> bool) {
        for lost in losses {
            let Lost { loss, count, .. } = *lost;
            match self.reported.iter_mut().find(|reported| reported.loss == loss) {
                None => {
                    warn(&self.buffer, lost, count);
                    self.reported.push(Reported { loss, count, last: now });
                }
                Some(reported) if count > reported.count && is_due(reported.last) => {
                    warn(&self.buffer, lost, count - reported.count);
                    *reported = Reported { loss, count, last: now };
                }
                Some(_) => {}
            }
        }
    }
}

fn warn(buffer: &str, lost: &Lost, since_last: u64) {
    let Lost { loss, count, first, reason } = lost;
    tracing::warn!(
        %buffer,
        lost = since_last,
        lost_since_start = count,
        first_lost = first,
        %reason,
        "{}",
        loss.describe()
    );
}
