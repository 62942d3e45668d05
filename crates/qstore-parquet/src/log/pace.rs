//! Group commit: when the rows that wait are published.
//!
//! Every publication costs the disk a few syncs however few rows are in it. So rows are published
//! together, as many as wait, and the pause between two publications is a multiple of what one takes:
//! a slow disk gets larger groups, not more work. Encoding is not counted: it costs as much for the
//! same rows whenever it is done, and counting it would stretch the pause without end.

use crate::log::settings::WriterSettings;
use std::time::{Duration, Instant};

/// How much longer than a publication takes the pause after it is: the disk's duty is a twentieth.
const PAUSE_FACTOR: u32 = 20;

/// Rows that are published whatever the pause: a full row group's worth.
const ROWS_PENDING_DUE: usize = 65_536;

/// So many pauses a quarter of a full group waits for the rest: rows that come as fast as that are
/// written into full groups at once, and not first into others that would have to be merged.
const PAUSES_FOR_FULL: u32 = 4;

/// What the rhythm depends on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    /// The mean cost of a publication.
    cost: Duration,
}

impl Pace {
    /// Whether rows of which the oldest waits since `oldest` are to be published now.
    pub(crate) fn is_due(
        &self,
        pending: usize,
        oldest: Option<Instant>,
        now: Instant,
        settings: &WriterSettings,
    ) -> bool {
        if pending == 0 {
            return false;
        }
        let full = ROWS_PENDING_DUE.min(settings.pending_rows_max);
        if pending >= full {
            return true;
        }
        let age = oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest));
        let pause = (self.cost * PAUSE_FACTOR).max(settings.publish_pause_min);
        let pause = if pending >= full / 4 { pause * PAUSES_FOR_FULL } else { pause };
        let has_paused = self.last.is_none_or(|last| now >= last + pause);
        has_paused && (pending >= settings.flush_interval || age >= settings.flush_after)
    }

    /// A publication ended.
    pub(crate) fn published(&mut self, cost: Duration, now: Instant) {
        self.cost = match self.last {
            None => cost,
            // A mean that follows a change within some ten flushes.
            Some(_) => (self.cost * 7 + cost) / 8,
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
        let is_due = |pace: &Pace, rows, now| pace.is_due(rows, Some(start), now, &settings);
        assert!(!is_due(&pace, 0, start + pause * 100));
        assert!(!is_due(&pace, 2, start));
        assert!(is_due(&pace, 2, start + Duration::from_secs(10)), "two rows are old enough");
        assert!(is_due(&pace, 3, start), "three rows are enough");

        pace.published(Duration::ZERO, start);
        assert!(!is_due(&pace, 3, start + pause / 2));
        assert!(is_due(&pace, 3, start + pause));
        let mut slow = Pace::default();
        slow.published(pause, start);
        assert!(!is_due(&slow, 3, start + pause * 19), "a slow disk stretches the pause");
        assert!(is_due(&slow, 3, start + pause * 20));
        assert!(is_due(&slow, 65_536, start), "but not for ever more rows");
        assert!(!is_due(&pace, 20_000, start + pause * 3), "a full group is near");
        assert!(is_due(&pace, 20_000, start + pause * 4), "but is not waited for for long");
    }

    #[test]
    fn the_cost_follows_the_disk() {
        let (now, mut pace) = (Instant::now(), Pace::default());
        pace.published(Duration::from_millis(1), now);
        for _ in 0..40 {
            pace.published(Duration::from_millis(9), now);
        }
        assert!(pace.cost > Duration::from_millis(8), "{:?}", pace.cost);
    }
}
