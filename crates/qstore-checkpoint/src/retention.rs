//! Which checkpoints are kept, and why: a pure function of their history. It deletes nothing.
//!
//! A checkpoint is kept if any rule keeps it; the rules are independent. The newest save is always kept,
//! whatever its number, its metric or the clock. A checkpoint whose metric could not be read may be the
//! best, so it is kept as well; and a rule that finds nothing to rank by says so.

mod metric;
mod similar;

pub use metric::{Cause, Metric, Unranked, metric_of, metrics_of};

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::fmt;

/// A checkpoint as retention sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its epoch or step.
    pub number: u64,
    /// Its position in the sequence of all saves into the directory; later saves have greater ones.
    pub save_seq: u64,
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// The metrics that rules may name, by their names; of two with one name, the first counts.
    pub metrics: Vec<(String, Metric)>,
}

impl Candidate {
    /// The checkpoint with this number and save.
    #[must_use]
    pub const fn new(number: u64, save_seq: u64) -> Self {
        Self { number, save_seq, is_pinned: false, metrics: Vec::new() }
    }

    /// The same candidate, pinned or not.
    #[must_use]
    pub fn pinned(mut self, is_pinned: bool) -> Self {
        self.is_pinned = is_pinned;
        self
    }

    /// The same candidate with an additional metric.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<Metric>) -> Self {
        self.metrics.push((name.into(), value.into()));
        self
    }

    /// The metric with this name, if it was given.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, metric)| metric)
    }

    fn find_or_missing(&self, name: &str) -> &Metric {
        const MISSING: &Metric = &Metric::MISSING;
        self.find(name).unwrap_or(MISSING)
    }
}

/// What is kept besides the newest save and the pinned checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Policy {
    /// How many of the newest saves are kept; 0 keeps everything.
    pub keep_last: usize,
    /// The best by a metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// Every checkpoint whose number is a multiple of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
}

/// The best checkpoints by a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Best {
    /// How many to keep.
    pub count: usize,
    /// The metric's name in the metadata: its key, or its path, as [`metric_of`] finds it.
    pub metric: String,
    /// Which value is better.
    pub goal: Goal,
}

/// Which value of a metric is better. A checkpoint whose metric is NaN, missing or not a number is never
/// among the best, which its [`Decision`] says; of equal values the newer save wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Lower is better, as for a loss.
    Lowest,
    /// Higher is better, as for an accuracy.
    Highest,
}

impl Policy {
    /// Keeps `count` of the newest saves; 0 keeps everything.
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

    /// Also keeps every checkpoint whose number is a multiple of `numbers`.
    #[must_use]
    pub const fn every(mut self, numbers: u64) -> Self {
        self.every = Some(numbers);
        self
    }
}

/// Whether one checkpoint is kept, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Its epoch or step.
    pub number: u64,
    /// Its position in the sequence of all saves.
    pub save_seq: u64,
    /// Whether it is kept.
    pub keep: bool,
    /// The first rule that keeps it, or that none does.
    pub reason: Reason,
    /// Why the rule for the best could not rank it, if there is such a rule and it could not, whatever the
    /// reason for keeping or removing it.
    pub unranked: Option<Unranked>,
}

/// Why a checkpoint is kept or removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is the newest save.
    Newest,
    /// It is pinned.
    Pinned,
    /// It is one of the newest saves.
    Recent,
    /// It is one of the best.
    Best {
        /// 1 for the best.
        rank: usize,
        /// By this metric.
        metric: String,
    },
    /// The metric that the best are ranked by could not be read, so it may be one of them.
    MayBeBest,
    /// Its number is a multiple of this.
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
            Self::Recent => f.write_str("it is one of the newest saves"),
            Self::Best { rank, metric } => write!(f, "it is the best by {metric} (rank {rank})"),
            Self::MayBeBest => f.write_str("it may be one of the best"),
            Self::Every(numbers) => write!(f, "its number is a multiple of {numbers}"),
            Self::KeepAll => f.write_str("everything is kept"),
            Self::Outnumbered => {
                f.write_str("enough newer saves exist, and no other rule keeps it")
            }
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.keep { "kept" } else { "removed" };
        write!(f, "{} (save {}) is {verb}: {}", self.number, self.save_seq, self.reason)?;
        self.unranked.as_ref().map_or(Ok(()), |unranked| write!(f, "; {unranked}"))
    }
}

/// Decides for each checkpoint whether it is kept; the newest save comes first.
///
/// ```
/// use qstore_checkpoint::retention::{Candidate, Goal, Policy, plan};
///
/// // 3 was saved after 12, so it is the newest.
/// let history = [
///     Candidate::new(10, 1).metric("val_loss", 0.1),
///     Candidate::new(11, 2).metric("val_loss", f64::NAN),
///     Candidate::new(12, 3).metric("val_loss", 0.3),
///     Candidate::new(3, 4).metric("val_loss", 0.2),
/// ];
/// let policy = Policy::keep_last(1).best(1, "val_loss", Goal::Lowest);
/// let plan: Vec<String> = plan(&history, &policy).iter().map(ToString::to_string).collect();
/// assert_eq!(plan, [
///     "3 (save 4) is kept: it is the newest save",
///     "12 (save 3) is removed: enough newer saves exist, and no other rule keeps it",
///     "11 (save 2) is removed: enough newer saves exist, and no other rule keeps it; its `val_loss` is NaN",
///     "10 (save 1) is kept: it is the best by val_loss (rank 1)",
/// ]);
/// ```
#[must_use]
pub fn plan(history: &[Candidate], policy: &Policy) -> Vec<Decision> {
    let mut newest_first: Vec<&Candidate> = history.iter().collect();
    // mutant: retention_by_number
    newest_first.sort_by_key(|saved| Reverse((saved.save_seq, saved.number)));
    let best = policy.best.as_ref().filter(|best| best.count > 0);
    let positions = best.map_or(Vec::new(), |best| best_of(&newest_first, best));
    let rank_of = |position: usize| {
        let rank = positions.iter().position(|found| *found == position)? + 1;
        Some(Reason::Best { rank, metric: best?.metric.clone() })
    };
    let decide = |(position, saved): (usize, &&Candidate)| {
        let unranked =
            best.and_then(|best| saved.find_or_missing(&best.metric).unranked(&best.metric));
        let may_be_best = unranked.as_ref().is_some_and(Unranked::may_be_best);
        let every = policy.every.filter(|every| saved.number.checked_rem(*every) == Some(0));
        let reason = match position {
            // mutant: newest_may_go
            0 => Reason::Newest,
            // mutant: pinned_may_go
            _ if saved.is_pinned => Reason::Pinned,
            _ if position < policy.keep_last => Reason::Recent,
            // mutant: unread_metric_may_go
            _ if may_be_best => Reason::MayBeBest,
            _ => rank_of(position).or(every.map(Reason::Every)).unwrap_or({
                if policy.keep_last == 0 { Reason::KeepAll } else { Reason::Outnumbered }
            }),
        };
        let keep = reason != Reason::Outnumbered;
        Decision { number: saved.number, save_seq: saved.save_seq, keep, reason, unranked }
    };
    newest_first.iter().enumerate().map(decide).collect()
}

/// The positions of the best, in order, the best first.
fn best_of(newest_first: &[&Candidate], best: &Best) -> Vec<usize> {
    let ranked = |(position, saved): (usize, &&Candidate)| {
        let metric = saved.find_or_missing(&best.metric);
        metric.unranked(&best.metric).is_none().then(|| (metric.clone(), position))
    };
    let mut ranked: Vec<_> = newest_first.iter().enumerate().filter_map(ranked).collect();
    ranked.sort_by(|(one, newer), (other, older)| {
        let better = one.compare(other);
        let better = if best.goal == Goal::Highest { better.reverse() } else { better };
        better.then(newer.cmp(older))
    });
    ranked.into_iter().take(best.count).map(|(_, position)| position).collect()
}

#[cfg(test)]
mod tests;
