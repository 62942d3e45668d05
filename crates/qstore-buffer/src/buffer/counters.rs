//! What a buffer counts besides the ring's own positions: what became of items that no consumer got.
//!
//! A push that succeeds touches none of it. The atomics are always the standard library's, also under a
//! model checker: no protocol depends on the order of these numbers.

use crate::buffer::hooks::{Hooks, Loss};
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// No label: no item was lost so far.
const NONE: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) popped: AtomicU64,
    pub(crate) cleared: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) evicted: AtomicU64,
    first_lost: AtomicI64,
    last_lost: AtomicI64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            popped: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            first_lost: AtomicI64::new(NONE),
            last_lost: AtomicI64::new(NONE),
        }
    }

    /// Counts a lost item, keeps its label, and calls the hook.
    pub(crate) fn lose<T>(&self, item: &T, loss: Loss, hooks: &Hooks<T>) {
        let counter = match loss {
            Loss::Dropped => &self.dropped,
            Loss::Evicted => &self.evicted,
        };
        // mutant: lost_item_not_counted
        counter.fetch_add(1, Release);
        if let Some(label) = hooks.label.and_then(|label| label(item)).filter(|&at| at != NONE) {
            // The first one stays. Of two at the same moment, either may be recorded as the first.
            let _ = self.first_lost.compare_exchange(NONE, label, Relaxed, Relaxed);
            // mutant: lost_label_not_noted
            self.last_lost.store(label, Relaxed);
        }
        if let Some(hook) = &hooks.on_drop {
            hook(item, loss);
        }
    }

    /// The labels of the first and the last lost item.
    pub(crate) fn lost_labels(&self) -> (Option<i64>, Option<i64>) {
        let label = |at: &AtomicI64| Some(at.load(Relaxed)).filter(|&label| label != NONE);
        (label(&self.first_lost), label(&self.last_lost))
    }
}
