//! Group commit: when the pending rows are published.
//!
//! Every publication costs the disk a few syncs, however few rows are in it. So all pending rows are
//! published together, and the pause between two publications is a multiple of the duration of one: a
//! slow disk gets larger groups, not more work. Encoding does not count: it costs the same for the same
//! rows whenever it is done, and counting it would stretch the pause without limit.

use crate::log::settings::WriterSettings;
use std::time::{Duration, Instant};

/// The ratio of the pause to the publication before it: the disk is busy for a twentieth of the time.
const PAUSE_FACTOR: u32 = 20;

/// The number of rows that are published regardless of the pause: those of a full row group.
const ROWS_PENDING_DUE: usize = 65_536;

/// The number of pauses that a quarter of a full group waits for the rest: rows that arrive this fast
/// are written into full groups at once, not into small ones that would have to be merged later.
const PAUSES_FOR_FULL: u32 = 4;

/// The history that decides when the next publication is due.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    /// The mean cost of a publication.
    cost: Duration,
}

impl Pace {
    /// Whether the pending rows, the oldest of which arrived at `oldest`, are to be published now. Those of a
    /// full group, which has `full` rows, are.
    pub(crate) fn is_due(
        &self,
        pending: usize,
        oldest: Option<Instant>,
        now: Instant,
        settings: &WriterSettings,
        full: usize,
    ) -> bool {
        if pending == 0 {
            return false;
        }
        let full = ROWS_PENDING_DUE.min(settings.pending_rows_max).min(full);
        if pending >= full {
            return true;
        }
        let age = oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest));
        let pause = (self.cost * PAUSE_FACTOR).max(settings.publish_pause_min);
        let pause = if pending >= full / 4 { pause * PAUSES_FOR_FULL } else { pause };
        let has_paused = self.last.is_none_or(|last| now >= last + pause);
        has_paused && (pending >= settings.flush_interval || age >= settings.flush_after)
    }

    /// Records that a publication has ended, and its cost, if it was an ordinary one.
    pub(crate) fn published(&mut self, cost: Option<Duration>, now: Instant) {
        self.cost = match (self.last, cost) {
            (_, None) => self.cost,
            (None, Some(cost)) => cost,
            // A mean that follows a change within about ten flushes.
            (Some(_), Some(cost)) => (self.cost * 7 + cost) / 8,
        };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_due_by_number_or_age_and_never_too_soon_after_the_last() {
        let pause = Duration::from_secs(1);
        let settings = WriterSettings::default().flush_interval(3).publish_pause_min(pause);
        let start = Instant::now();
        let mut pace = Pace::default();
        let is_due =
            |pace: &Pace, rows, now| pace.is_due(rows, Some(start), now, &settings, usize::MAX);
        assert!(!is_due(&pace, 0, start + pause * 100));
        assert!(!is_due(&pace, 2, start));
        assert!(is_due(&pace, 2, start + Duration::from_secs(10)), "two rows are old enough");
        assert!(is_due(&pace, 3, start), "three rows are enough");

        pace.published(Some(Duration::ZERO), start);
        assert!(!is_due(&pace, 3, start + pause / 2));
        assert!(is_due(&pace, 3, start + pause));
        let mut slow = Pace::default();
        slow.published(Some(pause), start);
        assert!(!is_due(&slow, 3, start + pause * 19), "a slow disk stretches the pause");
        assert!(is_due(&slow, 3, start + pause * 20));
        assert!(is_due(&slow, 65_536, start), "but not indefinitely");
        assert!(slow.is_due(200, Some(start), start, &settings, 200), "nor if rows are large");
        assert!(!is_due(&pace, 20_000, start + pause * 3), "a full group is near");
        assert!(is_due(&pace, 20_000, start + pause * 4), "but does not delay the rows for long");
    }

    #[test]
    fn the_cost_follows_the_disk() {
        let (now, mut pace) = (Instant::now(), Pace::default());
        pace.published(Some(Duration::from_millis(1)), now);
        for _ in 0..40 {
            pace.published(Some(Duration::from_millis(9)), now);
        }
        assert!(pace.cost > Duration::from_millis(8), "{:?}", pace.cost);
    }
}
