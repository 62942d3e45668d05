//! How fast a run is, by the times in its rows: not by our clock, which knows nothing of a machine whose clock is another.

use std::collections::VecDeque;

/// Rates are of about this many seconds.
const WINDOW_S: f64 = 60.0;

/// Some last rows, each at a time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: VecDeque<Seen>,
}

/// A row: when it was logged, its number and its step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) timestamp: f64,
    pub(super) row: u64,
    pub(super) step: Option<i64>,
}

impl Pace {
    pub(super) fn is_new(&self) -> bool {
        self.seen.is_empty()
    }

    /// Adds a row. One that lies before what was seen begins again: another attempt has gone back.
    pub(super) fn see(&mut self, seen: Seen) {
        let goes_back = |last: &Seen| seen.row < last.row || seen.timestamp < last.timestamp;
        if self.seen.back().is_some_and(goes_back) {
            self.seen.clear();
        }
        if self.seen.back() == Some(&seen) || !seen.timestamp.is_finite() {
            return;
        }
        self.seen.push_back(seen);
        // One that is older stays, so that the window is always covered.
        while self.seen.get(1).is_some_and(|next| seen.timestamp - next.timestamp >= WINDOW_S) {
            self.seen.pop_front();
        }
    }

    /// Rows a second.
    pub(super) fn rows(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        Some((last.row - first.row) as f64 / (last.timestamp - first.timestamp))
    }

    /// Steps a second.
    pub(super) fn steps(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        let steps = last.step?.checked_sub(first.step?).filter(|steps| *steps > 0)?;
        Some(steps as f64 / (last.timestamp - first.timestamp))
    }

    fn ends(&self) -> Option<(Seen, Seen)> {
        let ends = (*self.seen.front()?, *self.seen.back()?);
        (ends.1.timestamp > ends.0.timestamp).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(timestamp: f64, row: u64, step: i64) -> Seen {
        Seen { timestamp, row, step: Some(step) }
    }

    #[test]
    fn the_rate_is_that_of_the_last_minute() {
        let mut pace = Pace::default();
        assert!(pace.is_new() && pace.rows().is_none());
        pace.see(seen(0.0, 0, 0));
        assert_eq!(pace.rows(), None, "one row has no rate");
        pace.see(seen(100.0, 1_000, 500));
        assert_eq!((pace.rows(), pace.steps()), (Some(10.0), Some(5.0)));
        for second in 101..300 {
            pace.see(seen(f64::from(second), 1_000 + 100 * (u64::from(second as u32) - 100), 500));
        }
        assert_eq!(pace.rows(), Some(100.0), "what is older has left the window");
        assert_eq!(pace.steps(), None, "steps that stand have no rate");
        pace.see(seen(310.0, 4_000, 100));
        assert_eq!(pace.rows(), None, "another attempt");
        pace.see(seen(f64::NAN, 5_000, 100));
        assert_eq!(pace.rows(), None);
    }
}
