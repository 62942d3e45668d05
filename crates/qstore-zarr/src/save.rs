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
use qstore_checkpoint::retention::metrics_of;
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
    let manifest = Manifest::of(snapshot, metrics_of(&snapshot.metadata));
    let repository = &*catalog.repository;
    let mut output = Output::begin(repository, &name, layout, settings.workers, manifest)?;
    let linked_bytes = plan.write(snapshot, settings.workers, &mut output, started)?;

    // mutant: save_without_the_directory_lock
    let exclusion = repository.exclude()?;
    let scan = catalog.scan().map_err(existing)?;
    let save_seq = catalog.next_seq(&scan, &exclusion)?;
    let mut candidate = output.manifest.candidate(false);
    candidate.save_seq = save_seq;
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
        let history = history_with(scan.valid, Found { candidate, name, layout, stale: None });
        match retain::retain(catalog, &history, &settings.retention) {
            Ok((removed, freed)) => {
                saved.removed = removed;
                leftovers.append(freed);
            }
            Err(source) => saved.retention = Some(RetentionError::new(source)),
        }
    }
    drop(exclusion);
    saved.duration = started.elapsed();
    Ok((saved, leftovers))
}

/// The checkpoints that exist once this one is committed. It replaces the one with the same number and
/// inherits its pin; the old one may remain in the other layout.
fn history_with(mut history: Vec<Found>, mut saved: Found) -> Vec<Found> {
    let number = saved.candidate.number;
    if let Some(position) = history.iter().position(|found| found.candidate.number == number) {
        let old = history.swap_remove(position);
        saved.candidate.is_pinned = old.candidate.is_pinned;
        let names = [Some(old.name), old.stale].into_iter().flatten();
        saved.stale = names.into_iter().find(|name| *name != saved.name);
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
