//! Which checkpoints stay, and why: a pure function of their history, which deletes nothing itself.
//!
//! A checkpoint stays if any rule keeps it; the rules never count against each other. The newest save
//! always stays, whatever its epoch number, its metric or the clock.

use qstore_schema::{State, StateDict};
use std::cmp::Reverse;
use std::fmt;

/// A checkpoint as retention sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its epoch.
    pub epoch: u64,
    /// Which save into the directory it was; a later save has a greater number.
    pub save_seq: u64,
    /// Whether somebody has pinned it.
    pub is_pinned: bool,
    /// The numbers in the first level of its metadata.
    pub metrics: Vec<(String, f64)>,
}

impl Candidate {
    /// The checkpoint of that epoch and save.
    #[must_use]
    pub const fn new(epoch: u64, save_seq: u64) -> Self {
        Self { epoch, save_seq, is_pinned: false, metrics: Vec::new() }
    }

    /// The same one, pinned or not.
    #[must_use]
    pub fn pinned(mut self, is_pinned: bool) -> Self {
        self.is_pinned = is_pinned;
        self
    }

    /// The same one with a metric.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.push((name.into(), value));
        self
    }

    /// The metric of that name, unless it is NaN.
    fn comparable(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value).filter(|value| !value.is_nan())
    }
}

/// The metrics that a checkpoint's metadata holds: the numbers in its first level.
pub(crate) fn metrics_of(metadata: &StateDict) -> Vec<(String, f64)> {
    // Nobody chooses among more, and every listing reads them.
    const MOST: usize = 64;
    let number = |node: &State| match node {
        State::Float(number) => Some(*number),
        State::Int(number) => Some(*number as f64),
        _ => None,
    };
    let named = |(key, node): (&qstore_schema::Key, &State)| Some((key.to_string(), number(node)?));
    metadata.iter().filter_map(named).take(MOST).collect()
}

/// What is kept beside the newest and the pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// So many of the newest saves; 0 keeps everything.
    pub keep_last: usize,
    /// The best by a metric.
    pub best: Option<Best>,
    /// Every epoch whose number is a multiple of this.
    pub every: Option<u64>,
}

/// So many of the best by a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Best {
    /// How many.
    pub count: usize,
    /// The metric's name in the metadata.
    pub metric: String,
    /// Which value is better.
    pub goal: Goal,
}

/// Which value of a metric is better. NaN, or none at all, is never among the best; of equal values
/// the newer save's counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// A loss: less is better.
    Lowest,
    /// An accuracy: more is better.
    Highest,
}

impl Policy {
    /// Keeps so many of the newest saves; 0 keeps everything.
    #[must_use]
    pub const fn keep_last(count: usize) -> Self {
        Self { keep_last: count, best: None, every: None }
    }

    /// Also keeps the best by a metric.
    #[must_use]
    pub fn best(mut self, count: usize, metric: impl Into<String>, goal: Goal) -> Self {
        self.best = Some(Best { count, metric: metric.into(), goal });
        self
    }

    /// Also keeps every epoch whose number is a multiple of `epochs`.
    #[must_use]
    pub const fn every(mut self, epochs: u64) -> Self {
        self.every = Some(epochs);
        self
    }
}

/// What becomes of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Its epoch.
    pub epoch: u64,
    /// Which save it was.
    pub save_seq: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why: the first rule that keeps it, or that none does.
    pub reason: Reason,
}

/// Why a checkpoint stays or goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is the newest save.
    Newest,
    /// Somebody has pinned it.
    Pinned,
    /// It is one of the last saves.
    Recent,
    /// It is one of the best.
    Best {
        /// 1 is the very best.
        rank: usize,
        /// By this metric.
        metric: String,
    },
    /// Its epoch is a multiple of this.
    Every(u64),
    /// Everything is kept.
    KeepAll,
    /// No rule keeps it.
    Outnumbered,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("it is the newest save"),
            Self::Pinned => f.write_str("it is pinned"),
            Self::Recent => f.write_str("it is one of the last saves"),
            Self::Best { rank, metric } => write!(f, "it is number {rank} by {metric}"),
            Self::Every(epochs) => write!(f, "every {epochs} epochs one is kept"),
            Self::KeepAll => f.write_str("everything is kept"),
            Self::Outnumbered => f.write_str("enough newer ones exist, and no other rule keeps it"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.keep { "stays" } else { "goes" };
        write!(f, "epoch {} (save {}) {verb}: {}", self.epoch, self.save_seq, self.reason)
    }
}

/// Decides for each checkpoint, newest save first, whether it stays.
///
/// ```
/// use qstore_zarr::retention::{Candidate, Goal, Policy, plan};
///
/// // Epoch 3 was saved after epoch 12, so it is the newest.
/// let history = [
///     Candidate::new(10, 1).metric("val_loss", 0.1),
///     Candidate::new(11, 2).metric("val_loss", f64::NAN),
///     Candidate::new(12, 3).metric("val_loss", 0.3),
///     Candidate::new(3, 4).metric("val_loss", 0.2),
/// ];
/// let policy = Policy::keep_last(1).best(1, "val_loss", Goal::Lowest);
/// let said: Vec<String> = plan(&history, &policy).iter().map(ToString::to_string).collect();
/// assert_eq!(said, [
///     "epoch 3 (save 4) stays: it is the newest save",
///     "epoch 12 (save 3) goes: enough newer ones exist, and no other rule keeps it",
///     "epoch 11 (save 2) goes: enough newer ones exist, and no other rule keeps it",
///     "epoch 10 (save 1) stays: it is number 1 by val_loss",
/// ]);
/// ```
#[must_use]
pub fn plan(history: &[Candidate], policy: &Policy) -> Vec<Decision> {
    let mut newest_first: Vec<&Candidate> = history.iter().collect();
    // mutant: retention_by_epoch
    newest_first.sort_by_key(|saved| Reverse((saved.save_seq, saved.epoch)));
    let best = policy.best.as_ref().map(|best| (best, best_of(&newest_first, best)));
    let rank_of = |position: usize| {
        let (best, positions) = best.as_ref()?;
        let rank = positions.iter().position(|found| *found == position)? + 1;
        Some(Reason::Best { rank, metric: best.metric.clone() })
    };
    let decide = |(position, saved): (usize, &&Candidate)| {
        let every = policy.every.filter(|every| saved.epoch.checked_rem(*every) == Some(0));
        let reason = match position {
            // mutant: newest_may_go
            0 => Reason::Newest,
            // mutant: pinned_may_go
            _ if saved.is_pinned => Reason::Pinned,
            _ if position < policy.keep_last => Reason::Recent,
            _ => rank_of(position).or(every.map(Reason::Every)).unwrap_or({
                if policy.keep_last == 0 { Reason::KeepAll } else { Reason::Outnumbered }
            }),
        };
        let keep = reason != Reason::Outnumbered;
        Decision { epoch: saved.epoch, save_seq: saved.save_seq, keep, reason }
    };
    newest_first.iter().enumerate().map(decide).collect()
}

/// The positions of the best, the very best first.
fn best_of(newest_first: &[&Candidate], best: &Best) -> Vec<usize> {
    let value =
        |(position, saved): (usize, &&Candidate)| Some((saved.comparable(&best.metric)?, position));
    let mut ranked: Vec<_> = newest_first.iter().enumerate().filter_map(value).collect();
    ranked.sort_by(|(one, newer), (other, older)| {
        let better = one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal);
        let better = if best.goal == Goal::Highest { better.reverse() } else { better };
        better.then(newer.cmp(older))
    });
    ranked.into_iter().take(best.count).map(|(_, position)| position).collect()
}

#[cfg(test)]
mod tests;
