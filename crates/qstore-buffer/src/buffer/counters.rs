//! What a buffer counts besides the ring's own positions: what became of items that no consumer got.
//!
//! A push that succeeds touches none of it. The atomics are always the standard library's, also under a
//! model checker: no protocol depends on the order of these numbers.

use crate::buffer::hooks::Hooks;
use crate::health::{Loss, Losses};
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// No label: no item was lost so far.
const NONE: i64 = i64::MIN;

#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) popped: AtomicU64,
    pub(crate) cleared: AtomicU64,
    pub(crate) refused: AtomicU64,
    dropped: Counter,
    evicted: Counter,
    first_lost: AtomicI64,
    last_lost: AtomicI64,
}

/// The losses of one kind.
#[derive(Debug)]
struct Counter {
    count: AtomicU64,
    first: AtomicI64,
}

impl Counter {
    fn new() -> Self {
        Self { count: AtomicU64::new(0), first: AtomicI64::new(NONE) }
    }

    fn count(&self) -> u64 {
        self.count.load(Acquire)
    }
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            popped: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dropped: Counter::new(),
            evicted: Counter::new(),
            first_lost: AtomicI64::new(NONE),
            last_lost: AtomicI64::new(NONE),
        }
    }

    /// Counts an item that was dropped because the ring was full.
    pub(crate) fn drop_newest<T>(&self, item: &T, hooks: &Hooks<T>) {
        self.lose(item, Loss::Dropped, &self.dropped, hooks);
    }

    /// Counts an item that was discarded for a newer one.
    pub(crate) fn evict<T>(&self, item: &T, hooks: &Hooks<T>) {
        self.lose(item, Loss::Evicted, &self.evicted, hooks);
    }

    /// Counts a lost item, keeps its label, and calls the hook.
    fn lose<T>(&self, item: &T, loss: Loss, counter: &Counter, hooks: &Hooks<T>) {
        if let Some(label) = hooks.label.and_then(|label| label(item)).filter(|&at| at != NONE) {
            // The first one stays. Of two at the same moment, either may be recorded as the first.
            for first in [&counter.first, &self.first_lost] {
                let _ = first.compare_exchange(NONE, label, Relaxed, Relaxed);
            }
            // mutant: lost_label_not_noted
            self.last_lost.store(label, Relaxed);
        }
        // After the label, so that a thread that reads a count finds a label.
        // mutant: lost_item_not_counted
        counter.count.fetch_add(1, Release);
        if let Some(hook) = &hooks.on_drop {
            hook(item, loss);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.count()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.count()
    }

    /// What was lost, by kind.
    pub(crate) fn losses(&self) -> Losses {
        let mut losses = Losses::default();
        for (loss, counter) in [(Loss::Dropped, &self.dropped), (Loss::Evicted, &self.evicted)] {
            losses.add_full(loss, counter.count(), label(&counter.first));
        }
        losses
    }

    /// The labels of the first and the last lost item.
    pub(crate) fn lost_labels(&self) -> (Option<i64>, Option<i64>) {
        (label(&self.first_lost), label(&self.last_lost))
    }
}

fn label(at: &AtomicI64) -> Option<i64> {
    Some(at.load(Relaxed)).filter(|&label| label != NONE)
}
