//! Removes checkpoints: those a retention policy does not keep, and older ones in the other layout.
//!
//! The caller excludes other writers, and the checkpoints that are kept are durable. Freeing the space of
//! removed ones takes as long as writing it did, so the caller does that after it has reported the save.

use crate::catalog::{Catalog, Found};
use qstore_checkpoint::repository::{Leftovers, RepositoryError};
use qstore_checkpoint::retention::{self, Candidate, Decision, Policy};

/// Removes what the policy does not keep, and what a newer save of the same number left in the other
/// layout. Returns the numbers that are gone, in ascending order.
pub(crate) fn retain(
    catalog: &Catalog,
    history: &[Found],
    policy: &Policy,
) -> Result<(Vec<u64>, Leftovers), RepositoryError> {
    let candidates: Vec<Candidate> = history.iter().map(|found| found.candidate.clone()).collect();
    remove(catalog, history, &retention::plan(&candidates, policy))
}

/// Carries out a plan for these checkpoints.
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
