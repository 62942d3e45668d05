//! How far a training is.

use crate::joint::{Joint, lock};
use burn::train::logger::TrainingProgressLogger;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a training is, for a person or another thread.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Epochs that are done, those of earlier attempts included.
    pub epochs_done: usize,
    /// Epochs in all.
    pub epochs_total: usize,
    /// `train` or `valid`; empty between epochs.
    pub split: String,
    /// Items of the split that are done.
    pub items_done: usize,
    /// Items of the split in all.
    pub items_total: usize,
    /// How long the rest will take, if it goes on as it did in this process. `None` before an epoch is done.
    pub left: Option<Duration>,
    /// Whether the training has ended, well or not.
    pub is_over: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) progress: Progress,
    started: Option<Instant>,
    first_epoch: usize,
}

/// Follows a training. Install it with `with_progress_logger`, and ask [`BurnRun::progress`](crate::BurnRun::progress).
pub struct RunProgressLogger {
    pub(crate) joint: Arc<Joint>,
}

impl RunProgressLogger {
    fn change(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.joint.counters));
    }
}

impl TrainingProgressLogger for RunProgressLogger {
    fn start(&mut self, epochs: usize, first: usize, _: Option<usize>, _: Option<&str>) {
        self.change(|counters| {
            *counters = Counters {
                progress: Progress {
                    epochs_done: first.saturating_sub(1),
                    epochs_total: epochs,
                    ..Progress::default()
                },
                started: Some(Instant::now()),
                first_epoch: first,
            };
        });
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.change(|counters| {
            let done = (epoch + 1).saturating_sub(counters.first_epoch);
            let left = counters.progress.epochs_total.saturating_sub(epoch);
            let took = counters.started.map(|started| started.elapsed());
            counters.progress.left =
                took.filter(|_| done > 0).map(|took| took.mul_f64(left as f64 / done as f64));
            counters.progress.epochs_done = epoch;
        });
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.change(|counters| {
            split.clone_into(&mut counters.progress.split);
            (counters.progress.items_done, counters.progress.items_total) = (0, total_items);
        });
    }

    fn update_split(&mut self, items_processed: usize) {
        self.change(|counters| counters.progress.items_done = items_processed);
    }

    fn end_split(&mut self) {
        self.change(|counters| counters.progress.split.clear());
    }

    fn end(&mut self) {
        self.change(|counters| counters.progress.is_over = true);
    }

    fn log_event_training(&mut self, _: String) {}
}
