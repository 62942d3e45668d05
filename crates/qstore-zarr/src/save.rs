//! From a snapshot to a durable checkpoint: plan, compress, write, seal, commit, retain.
//!
//! Ordinary synchronous code on the caller's thread. The compressing threads live as long as the
//! call; beyond the snapshot it holds at most two chunks for each of them, and some 3 KB of metadata
//! for each tensor.

use crate::dedup::Previous;
use crate::directory::{CheckpointDir, Found, Place};
use crate::output::{Complete, Output};
use crate::plan::Plan;
use crate::removal::Leftovers;
use crate::retention::{Candidate, metrics_of};
use crate::staging::{stage_dir, stage_file};
use crate::structure::{self, Part};
use crate::{CheckpointSettings, Error, Layout, removal, root_group};
use qstore_schema::StateDict;
use std::time::Instant;

/// The root of the hierarchy, and of every group and array in it.
pub(crate) const ZARR_JSON: &str = "zarr.json";

/// What is to be saved, as it was when `save` was called: tensors are shared, never written to.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) epoch: u64,
    /// Unix seconds.
    pub(crate) timestamp: f64,
    pub(crate) model: StateDict,
    pub(crate) optimizer: Option<StateDict>,
    pub(crate) metadata: StateDict,
}

impl Snapshot {
    /// Whether it can be saved at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        structure::check(Part::Model, &self.model)?;
        if let Some(optimizer) = &self.optimizer {
            structure::check(Part::Optimizer, optimizer)?;
        }
        structure::check(Part::Metadata, &self.metadata)
    }
}

/// A checkpoint that is durable.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Saved {
    /// Its epoch.
    pub epoch: u64,
    /// Which save into this directory it was.
    pub save_seq: u64,
    /// Bytes of the file, or of all files of the directory.
    pub stored_bytes: u64,
    /// How many of them were not written, but linked to the previous checkpoint.
    pub linked_bytes: u64,
    /// Milliseconds from the beginning of the save to the end of retention, all syncs included.
    pub duration_ms: f64,
    /// The epochs that retention removed.
    pub removed: Vec<u64>,
}

impl Saved {
    /// What a store knows at least; everything else is 0 or empty, to be set.
    #[must_use]
    pub fn new(epoch: u64, save_seq: u64) -> Self {
        Self {
            epoch,
            save_seq,
            stored_bytes: 0,
            linked_bytes: 0,
            duration_ms: 0.0,
            removed: Vec::new(),
        }
    }
}

/// Saves a checked snapshot. After `Ok` it survives a power cut; what it replaced is left over.
///
/// # Errors
/// After [`Error::Retention`] the checkpoint is durable all the same. After any other error the
/// epoch's earlier checkpoint, if there was one, is as it was, or has been replaced as a whole.
pub(crate) fn save_checkpoint(
    dir: &CheckpointDir,
    settings: &CheckpointSettings,
    snapshot: &Snapshot,
) -> Result<(Saved, Leftovers), Error> {
    let started = Instant::now();
    let (epoch, layout) = (snapshot.epoch, settings.layout);
    let previous = if settings.deduplicate { Previous::newest(dir) } else { None };
    let plan = Plan::new(snapshot, settings, previous.as_ref())?;
    plan.check_room(dir)?;
    let (staging, mut output) = match layout {
        Layout::SingleFile => {
            let (staging, staged) = stage_file(dir, epoch)?;
            (staging, Output::to_file(staged, epoch))
        }
        Layout::Directory => {
            dir.refuse_foreign(epoch)?; // before the work, and again before the commit
            let (staging, staged) = stage_dir(dir, epoch)?;
            (staging, Output::to_dir(staged, settings.workers, epoch))
        }
    };
    output.manifest.note_metrics(metrics_of(&snapshot.metadata));
    let linked_bytes = plan.write(snapshot, settings.workers, &mut output, started)?;

    // mutant: save_without_the_directory_lock
    let lock = dir.lock()?;
    let scan = dir.scan()?;
    let save_seq = dir.next_seq(&scan)?;
    let candidate = output.manifest.candidate(false);
    let (complete, stored_bytes) = output.seal(save_seq)?;
    let place = Place { path: dir.path_of(epoch, layout), layout };
    let mut leftovers = Leftovers::before(dir, &place);
    // mutant: delete_before_save, retention_before_the_save_is_durable
    match complete {
        Complete::File(staged) => {
            drop(staged.commit(&place.path)?);
            drop(staging);
        }
        Complete::Dir(staged) => {
            dir.refuse_foreign(epoch)?;
            root_group::ensure(dir)?;
            let replaced = staged.commit(&place.path, &dir.tombstone_of(epoch))?;
            leftovers.add(replaced, staging);
        }
    }

    let mut history = scan.valid;
    let candidate = Candidate { save_seq, ..candidate };
    let mut saved = Found { candidate, place, stale: None };
    if let Some(position) = history.iter().position(|found| found.candidate.epoch == epoch) {
        let old = history.swap_remove(position);
        saved.candidate.is_pinned = old.candidate.is_pinned;
        let places = [Some(old.place), old.stale];
        saved.stale = places.into_iter().flatten().find(|place| place.layout != layout);
    }
    history.push(saved);
    let removed = removal::retain(dir, &history, &settings.retention, &mut leftovers)?;
    // mutant: save_without_the_directory_lock
    drop(lock);
    let duration_ms = millis(started);
    let saved = Saved { epoch, save_seq, stored_bytes, linked_bytes, duration_ms, removed };
    Ok((saved, leftovers))
}

pub(crate) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
