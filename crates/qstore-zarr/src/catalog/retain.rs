//! Removing checkpoints: by the plan of a retention policy, and older ones in the other layout.
//!
//! The caller excludes other writers, and what is kept is durable. Freeing the space of what was removed
//! takes as long as writing it took, so it is left to the caller to do after it has reported.

use crate::catalog::{Catalog, Found};
use qstore_checkpoint::repository::{Leftovers, RepositoryError};
use qstore_checkpoint::retention::{self, Candidate, Decision, Policy};

/// Removes what the policy does not keep, and what a newer save of a number has left in the other
/// layout; returns the numbers that are gone, in ascending order.
pub(crate) fn retain(
    catalog: &Catalog,
    history: &[Found],
    policy: &Policy,
) -> Result<(Vec<u64>, Leftovers), RepositoryError> {
    let candidates: Vec<Candidate> = history.iter().map(|found| found.candidate.clone()).collect();
    remove(catalog, history, &retention::plan(&candidates, policy))
}

/// Carries out a plan of these checkpoints.
pub(crate) fn remove(
    catalog: &Catalog,
    history: &[Found],
    plan: &[Decision],
) -> Result<(Vec<u64>, Leftovers), RepositoryError> {
    let (mut removed, mut names) = (Vec::new(), Vec::new());
    for decision in plan {
        let found = history.iter().find(|found| found.candidate.number == decision.number);
        let Some(found) = found else { continue };
        names.extend(found.stale.clone());
        if !decision.keep {
            names.push(found.name.clone());
            removed.push(decision.number);
        }
    }
    removed.sort_unstable();
    if names.is_empty() {
        return Ok((removed, Leftovers::none()));
    }
    let leftovers = catalog.repository.remove(&names)?;
    Ok((removed, leftovers))
}
