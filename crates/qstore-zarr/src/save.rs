//! From a snapshot to a durable checkpoint: plan, compress, write, seal, commit, retain.
//!
//! Ordinary synchronous code on the caller's thread. The compression threads live as long as the call.
//! Beyond the snapshot it holds at most two chunks per compression thread and about 3 KB of metadata per
//! tensor.

pub(crate) mod arena;
mod choice;
mod dedup;
pub(crate) mod intake;
mod plan;
pub(crate) mod settings;
pub(crate) mod ticket;

use crate::catalog::{Catalog, Found, retain};
use crate::container::manifest::Manifest;
use crate::container::output::Output;
use crate::format::ZARR_JSON;
use dedup::Previous;
use plan::Plan;
use qstore_checkpoint::repository::Leftovers;
use qstore_checkpoint::retention::{Best, Candidate, Metric, Policy, metric_of, metrics_of};
use qstore_checkpoint::{Layout, LoadError, RetentionError, SaveError, Saved, Snapshot};
use serde_json::json;
use settings::CheckpointSettings;
use std::time::Instant;
use zarrs::metadata::v3::GroupMetadataV3;

/// Saves a snapshot. After `Ok` it survives a power cut, whether or not retention succeeded. The space of
/// the checkpoints it replaced or removed is freed when the leftovers are dropped.
///
/// # Errors
/// After an error, an earlier checkpoint with the same number is unchanged, or has been replaced
/// completely.
pub(crate) fn save_checkpoint(
    catalog: &Catalog,
    settings: &CheckpointSettings,
    snapshot: &Snapshot,
) -> Result<(Saved, Leftovers), SaveError> {
    let started = Instant::now();
    let (number, layout) = (snapshot.number(), settings.layout);
    let counter = catalog.counter().map_err(existing)?;
    let previous = if settings.deduplicate { Previous::newest(catalog) } else { None };
    let plan = Plan::new(snapshot, counter, settings, previous.as_ref())?;
    plan.check_room(&*catalog.repository)?;
    let name = counter.name_of(&snapshot.id, layout);
    let ranked_by = RankedBy::of(snapshot, &settings.retention);
    let manifest = Manifest::of(snapshot, ranked_by.noted(snapshot));
    let repository = &*catalog.repository;
    let mut output = Output::begin(repository, &name, layout, settings.workers, manifest)?;
    let linked_bytes = plan.write(snapshot, settings.workers, &mut output, started)?;

    // mutant: save_without_the_directory_lock
    let exclusion = repository.exclude()?;
    let scan = catalog.scan().map_err(existing)?;
    let save_seq = catalog.next_seq(&scan, &exclusion)?;
    let mut candidate = Candidate::new(number, save_seq);
    candidate.metrics.extend(ranked_by.metric.clone());
    let root = output.manifest.crc32c_of(ZARR_JSON);
    let (complete, stored_bytes) = output.seal(save_seq)?;
    if layout == Layout::Directory {
        // Makes the repository itself a Zarr group, for `zarr.open_group`. It is never consolidated, so
        // Zarr finds its members by listing, and they are exactly the committed trees.
        repository.create(ZARR_JSON, json!(GroupMetadataV3::new()).to_string().as_bytes())?;
    }
    // mutant: delete_before_save, retention_before_the_save_is_durable
    let mut leftovers = complete.commit()?;

    let mut saved = Saved::new(number, save_seq);
    (saved.stored_bytes, saved.linked_bytes) = (stored_bytes, linked_bytes);
    if snapshot.id.part.is_none() {
        let found = Found { candidate, name, layout, root, stale: None };
        let mut history = history_with(scan.valid, found);
        let removal = retain::retain(catalog, &mut history, &settings.retention);
        saved.removed = removal.removed;
        saved.retention = removal.failure.map(RetentionError::new);
        saved.unranked = ranked_by.metric.and_then(|(name, metric)| metric.unranked(&name));
        leftovers.append(removal.leftovers);
    }
    drop(exclusion);
    saved.duration = started.elapsed();
    Ok((saved, leftovers))
}

/// The metric that the policy ranks by, as it is in this snapshot; `None` if it does not rank.
struct RankedBy {
    metric: Option<(String, Metric)>,
}

impl RankedBy {
    fn of(snapshot: &Snapshot, policy: &Policy) -> Self {
        let best = policy.best.as_ref().filter(|best| best.count > 0);
        let metric =
            |best: &Best| (best.metric.clone(), metric_of(&snapshot.metadata, &best.metric));
        Self { metric: best.map(metric) }
    }

    /// The numbers that the manifest notes: this metric, then those at the top level of the metadata. They
    /// are few, because every listing reads them; what is not noted can still be read from the metadata.
    fn noted(&self, snapshot: &Snapshot) -> Vec<(String, f64)> {
        const MOST: usize = 64;
        let is_other = |name: &str| self.metric.as_ref().is_none_or(|(own, _)| own != name);
        let others = metrics_of(&snapshot.metadata).filter(|(name, _)| is_other(name));
        let float = |(name, metric)| match metric {
            Metric::Int(value) => Some((name, value as f64)),
            Metric::Float(value) => Some((name, value)),
            _ => None,
        };
        self.metric.clone().into_iter().chain(others).filter_map(float).take(MOST).collect()
    }
}

/// The checkpoints that exist once this one is committed. It replaces the one with the same number and
/// inherits its pin; the old one may remain in the other layout.
fn history_with(mut history: Vec<Found>, mut saved: Found) -> Vec<Found> {
    let number = saved.candidate.number;
    if let Some(position) = history.iter().position(|found| found.candidate.number == number) {
        let old = history.swap_remove(position);
        saved.candidate.is_pinned = old.candidate.is_pinned;
        let olds = [Some(old.identity()), old.stale].into_iter().flatten();
        saved.stale = olds.into_iter().find(|old| old.name != saved.name);
    }
    history.push(saved);
    history
}

fn existing(error: LoadError) -> SaveError {
    match error {
        LoadError::Repository(error) => SaveError::Repository(error),
        other => SaveError::Existing(Box::new(other)),
    }
}
