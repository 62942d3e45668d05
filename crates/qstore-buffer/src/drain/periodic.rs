//! When a flush is due that was not requested by a call.

use std::time::{Duration, Instant};

/// Counts received items against flushed ones.
pub(crate) struct Periodic {
    every: Option<Duration>,
    /// End of the last flush, or the start.
    last: Instant,
    received: u64,
    flushed: u64,
    /// How many items the flush under way covers.
    under_way: Option<u64>,
}

impl Periodic {
    pub(crate) fn new(every: Option<Duration>, now: Instant) -> Self {
        Self { every, last: now, received: 0, flushed: 0, under_way: None }
    }

    pub(crate) fn received(&mut self, count: usize) {
        self.received += count as u64;
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether the sink is to be flushed now, or a flush under way to be continued.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let is_over = |every| now.saturating_duration_since(self.last) >= every;
        self.is_under_way() || (self.received > self.flushed && self.every.is_some_and(is_over))
    }

    /// The sink is asked to flush.
    pub(crate) fn begin(&mut self) {
        self.under_way.get_or_insert(self.received);
    }

    /// The flush ended; the next one is due an interval later, whether it succeeded or not.
    pub(crate) fn end(&mut self, is_flushed: bool, now: Instant) {
        if let Some(covered) = self.under_way.take().filter(|_| is_flushed) {
            self.flushed = covered;
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_flush_is_due_an_interval_after_the_last_one_if_something_was_received() {
        let start = Instant::now();
        let mut periodic = Periodic::new(Some(SECOND), start);
        assert!(!periodic.is_due(start + 2 * SECOND), "nothing was received");
        periodic.received(3);
        assert!(!periodic.is_due(start + SECOND / 2));
        assert!(periodic.is_due(start + SECOND));
        periodic.begin();
        periodic.received(1);
        assert!(periodic.is_due(start), "a flush that began is completed");
        periodic.end(true, start + SECOND);
        assert!(!periodic.is_due(start + SECOND));
        assert!(periodic.is_due(start + 2 * SECOND), "one item came after the flush began");
        periodic.begin();
        periodic.end(false, start + 2 * SECOND);
        assert!(periodic.is_due(start + 3 * SECOND), "the flush failed");
        periodic.begin();
        periodic.end(true, start + 3 * SECOND);
        assert!(!periodic.is_due(start + 9 * SECOND));
    }

    #[test]
    fn without_an_interval_no_flush_is_due() {
        let start = Instant::now();
        let mut periodic = Periodic::new(None, start);
        periodic.received(1);
        assert!(!periodic.is_due(start + 1_000 * SECOND));
    }
}
