//! Removes checkpoints: those a retention policy does not keep, and older ones in the other layout.
//!
//! The caller excludes other writers, and the checkpoints that are kept are durable. Freeing the space of
//! removed ones takes as long as writing it did, so the caller does that after it has reported the save.

use crate::catalog::{Catalog, Found, Identity};
use qstore_checkpoint::repository::{Leftovers, RepositoryError, Source};
use qstore_checkpoint::retention::{self, Candidate, Decision, Policy};

/// What a removal has done.
#[derive(Debug)]
pub(crate) struct Removal {
    /// The numbers that are gone, in ascending order.
    pub(crate) removed: Vec<u64>,
    pub(crate) leftovers: Leftovers,
    /// Why the first of the others could not be removed.
    pub(crate) failure: Option<RepositoryError>,
}

/// Removes what the policy does not keep, and what a newer save of the same number left in the other
/// layout.
pub(crate) fn retain(catalog: &Catalog, history: &mut [Found], policy: &Policy) -> Removal {
    // Looking up a metric may read metadata, which nothing depends on while everything is kept.
    let mut others = policy.clone();
    others.best = None;
    if plan(history, &others).iter().any(|decision| !decision.keep) {
        catalog.measure(history, policy);
    }
    let plan = plan(history, policy);
    remove(catalog, history, &plan)
}

fn plan(history: &[Found], policy: &Policy) -> Vec<Decision> {
    let candidates: Vec<Candidate> = history.iter().map(|found| found.candidate.clone()).collect();
    retention::plan(&candidates, policy)
}

/// Carries out a plan for these checkpoints. One that cannot be removed does not keep the others.
pub(crate) fn remove(catalog: &Catalog, history: &[Found], plan: &[Decision]) -> Removal {
    let mut due: Vec<(Option<u64>, Identity)> = Vec::new();
    for decision in plan {
        let found = history.iter().find(|found| found.candidate.number == decision.number);
        let Some(found) = found else { continue };
        due.extend(found.stale.clone().map(|stale| (None, stale)));
        if !decision.keep {
            due.push((Some(decision.number), found.identity()));
        }
    }
    let names: Vec<String> = due.iter().map(|(_, due)| due.name.clone()).collect();
    let is_due = |name: &str, source: Source| {
        let due = due.iter().find(|(_, due)| due.name == name);
        due.map_or(Ok(false), |(_, due)| due.is_of(source))
    };
    let mut removal = Removal { removed: Vec::new(), leftovers: Leftovers::none(), failure: None };
    if names.is_empty() {
        return removal;
    }
    match catalog.repository.remove_if(&names, &is_due) {
        Ok(freed) => {
            removal.removed = due.iter().filter_map(|(number, _)| *number).collect();
            removal.leftovers = freed;
        }
        Err(error) if names.len() == 1 => removal.failure = Some(error),
        Err(error) => {
            // One by one, to find out which are gone.
            for ((number, _), name) in due.iter().zip(names) {
                match catalog.repository.remove_if(&[name], &is_due) {
                    Ok(freed) => {
                        removal.removed.extend(*number);
                        removal.leftovers.append(freed);
                    }
                    Err(error) => removal.failure = removal.failure.or(Some(error)),
                }
            }
            // Even if all of them are gone now: it may be unknown whether they stay so.
            removal.failure = removal.failure.or(Some(error));
        }
    }
    removal.removed.sort_unstable();
    removal
}
