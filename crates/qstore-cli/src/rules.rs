//! Retention rules as arguments, shared by the verbs that explain and that apply them, and the plan they make.
//!
//! A rule that keeps nothing is most likely misspelled, and applying it would remove what it was meant to
//! keep. So a plan says which of its rules are idle, and such a plan is not applied.

use crate::failure::Failure;
use qstore_checkpoint::retention::{Decision, Goal, Policy, Reason};
use qstore_zarr::Checkpoints;
use std::str::FromStr;

/// The rules of the command line
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the fields are named after the options")]
pub struct Rules {
    /// Keep the N newest saves
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep_last: Option<u32>,
    /// Keep the N best by a metric of the metadata, as in `3:val_loss:min`
    #[arg(long, value_name = "N:METRIC:GOAL")]
    keep_best: Option<KeepBest>,
    /// Keep those whose number is a multiple of N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep_every: Option<u64>,
}

/// `3:val_loss:min`
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeepBest {
    count: usize,
    metric: String,
    goal: Goal,
}

impl FromStr for KeepBest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write N:METRIC:min or N:METRIC:max, as in 3:val_loss:min".to_owned();
        let (count, rest) = text.split_once(':').ok_or_else(wrong)?;
        // A metric may have a colon in its name.
        let (metric, goal) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let goal = match goal {
            "min" => Goal::Lowest,
            "max" => Goal::Highest,
            _ => return Err(wrong()),
        };
        if metric.is_empty() {
            return Err(wrong());
        }
        Ok(Self { count, metric: metric.into(), goal })
    }
}

/// What rules would do with the checkpoints of a directory.
#[derive(Debug)]
pub struct Plan {
    /// The rules.
    pub policy: Policy,
    /// Whether they are those that the run itself keeps to.
    pub is_stored: bool,
    /// A decision for each checkpoint, newest save first.
    pub decisions: Vec<Decision>,
    /// Rules that keep none of the checkpoints, each with what is wrong.
    pub idle: Vec<String>,
}

impl Rules {
    /// Plans what the rules would do, or those that are stored if none is given.
    ///
    /// # Errors
    /// If the checkpoints cannot be read, or there are no rules at all.
    pub fn plan(&self, checkpoints: &Checkpoints) -> Result<Plan, Failure> {
        let is_stored =
            self.keep_last.is_none() && self.keep_best.is_none() && self.keep_every.is_none();
        let policy = if is_stored { checkpoints.policy()? } else { self.policy() };
        let decisions = checkpoints.explain_with(&policy)?;
        let idle = idle(&policy, &decisions);
        Ok(Plan { policy, is_stored, decisions, idle })
    }

    fn policy(&self) -> Policy {
        // The newest save is always kept; without a number of them to keep, the library would keep all.
        let mut policy = Policy::keep_last(self.keep_last.unwrap_or(1) as usize);
        if let Some(KeepBest { count, metric, goal }) = &self.keep_best {
            policy = policy.best(*count, metric, *goal);
        }
        match self.keep_every {
            Some(numbers) => policy.every(numbers),
            None => policy,
        }
    }
}

/// The rules that keep none of the checkpoints.
fn idle(policy: &Policy, decisions: &[Decision]) -> Vec<String> {
    let mut idle = Vec::new();
    if decisions.is_empty() {
        return idle;
    }
    if let Some(best) = policy.best.as_ref().filter(|best| best.count > 0) {
        let unranked = decisions.iter().filter_map(|decision| decision.unranked.as_ref());
        let unranked: Vec<_> = unranked.filter(|unranked| !unranked.may_be_best()).collect();
        if unranked.len() == decisions.len() {
            idle.push(format!(
                "the rule for the best by {} can rank none of the {} checkpoints: {}",
                best.metric,
                decisions.len(),
                unranked[0]
            ));
        }
    }
    let has_multiple =
        |numbers| decisions.iter().any(|decision| decision.number.is_multiple_of(numbers));
    if let Some(numbers) = policy.every.filter(|every| *every > 0 && !has_multiple(*every)) {
        let count = decisions.len();
        idle.push(format!("the rule for every {numbers} keeps none of the {count} checkpoints"));
    }
    idle
}

/// A reason as a word for programs.
#[must_use]
pub fn reason_name(reason: &Reason) -> &'static str {
    match reason {
        Reason::Newest => "newest",
        Reason::Pinned => "pinned",
        Reason::Recent => "recent",
        Reason::Best { .. } => "best",
        Reason::MayBeBest => "may_be_best",
        Reason::Every(_) => "every",
        Reason::KeepAll => "keep_all",
        Reason::Outnumbered => "outnumbered",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_checkpoint::retention::{Candidate, plan};

    #[test]
    fn a_rule_for_the_best_is_read() {
        let read = |text: &str| text.parse::<KeepBest>();
        let best = read("3:val:loss:max").unwrap();
        assert_eq!((best.count, &*best.metric, best.goal), (3, "val:loss", Goal::Highest));
        for wrong in ["", "3", "3:loss", "0:loss:min", "x:loss:min", "3::min", "3:loss:lowest"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rule_that_keeps_nothing_is_idle() {
        let history = [
            Candidate::new(5, 1).metric("loss", 0.5),
            Candidate::new(7, 2).metric("loss", f64::NAN),
        ];
        let idle = |policy: Policy| idle(&policy, &plan(&history, &policy)).len();
        assert_eq!(idle(Policy::keep_last(1)), 0);
        assert_eq!(idle(Policy::keep_last(1).best(1, "loss", Goal::Lowest)), 0);
        assert_eq!(idle(Policy::keep_last(1).best(1, "accuracy", Goal::Lowest)), 1);
        assert_eq!(idle(Policy::keep_last(1).every(7)), 0);
        assert_eq!(idle(Policy::keep_last(1).every(10)), 1);
        assert_eq!(super::idle(&Policy::keep_last(1).every(10), &[]).len(), 0);
    }
}
