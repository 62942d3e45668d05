//! Taking checkpoints away: retention, and what a later save of the same epoch has replaced.
//!
//! The caller holds the directory's lock, and what stays is durable. What goes first loses its name in
//! one step, so nobody ever sees half of it. To free what it took takes as long as to write it, so that
//! is [left over](Leftovers) until whoever waits for the save has been told.

use crate::directory::{CheckpointDir, Found, Place};
use crate::retention::{self, Candidate, Policy};
use crate::staging::StagingLock;
use crate::{Error, Layout, staging};
use qstore_storage::{FileHandle, FileSystem, ReplacedDir, remove_dir_all};
use std::path::PathBuf;
use std::sync::Arc;

/// What has lost its name and still takes room. Dropping it frees that; after a kill the next manager
/// does.
#[derive(Debug, Default)]
#[must_use = "dropping it frees the room, which takes time"]
pub(crate) struct Leftovers {
    /// A file without a name is there as long as it is open.
    files: Vec<Box<dyn FileHandle>>,
    replaced: Option<ReplacedDir>,
    discarded: Vec<Discarded>,
    /// Of the name that the replaced directory has; goes last.
    staging: Option<StagingLock>,
}

/// A directory under a temporary name.
#[derive(Debug)]
struct Discarded {
    storage: Arc<dyn FileSystem>,
    path: PathBuf,
    _lock: StagingLock,
}

impl Drop for Discarded {
    fn drop(&mut self) {
        let _ = remove_dir_all(&*self.storage, &self.path);
    }
}

impl Leftovers {
    /// Nothing yet, but for what stands under the public name and is about to be replaced.
    pub(crate) fn before(dir: &CheckpointDir, place: &Place) -> Self {
        let mut leftovers = Self::default();
        leftovers.hold(dir, place);
        leftovers
    }

    /// The directory that was replaced, and the lock of the name it has now.
    pub(crate) fn add(&mut self, replaced: Option<ReplacedDir>, staging: StagingLock) {
        (self.replaced, self.staging) = (replaced, Some(staging));
    }

    fn hold(&mut self, dir: &CheckpointDir, place: &Place) {
        if place.layout == Layout::SingleFile {
            // If it cannot be opened it is freed at once.
            self.files.extend(dir.storage.open(&place.path));
        }
    }
}

/// Removes what retention does not keep, and what a newer save of an epoch has left over; returns the
/// epochs that are gone.
pub(crate) fn retain(
    dir: &CheckpointDir,
    history: &[Found],
    policy: &Policy,
    leftovers: &mut Leftovers,
) -> Result<Vec<u64>, Error> {
    let candidates: Vec<Candidate> = history.iter().map(|found| found.candidate.clone()).collect();
    let plan = retention::plan(&candidates, policy);
    let Some(newest) = plan.first().map(|decision| decision.epoch) else {
        return Ok(Vec::new());
    };
    let (mut removed, mut places) = (Vec::new(), Vec::new());
    for decision in plan {
        let found = history.iter().find(|found| found.candidate.epoch == decision.epoch);
        let Some(found) = found else { continue };
        places.extend(found.stale.iter().map(|place| (decision.epoch, place)));
        if !decision.keep {
            places.push((decision.epoch, &found.place));
            removed.push(decision.epoch);
        }
    }
    removed.sort_unstable();
    remove(dir, newest, &places, leftovers)?;
    Ok(removed)
}

fn remove(
    dir: &CheckpointDir,
    newest: u64,
    places: &[(u64, &Place)],
    leftovers: &mut Leftovers,
) -> Result<(), Error> {
    let Some((last, _)) = places.last() else { return Ok(()) };
    let failed = |older: u64| {
        move |source| match source {
            Error::Storage(source) => Error::Retention { epoch: newest, older, source },
            other => other,
        }
    };
    let mut taken_away = Vec::new();
    for (epoch, place) in places {
        leftovers.hold(dir, place);
        let gone = match place.layout {
            Layout::SingleFile => dir.storage.remove_file(&place.path).map_err(Error::from),
            Layout::Directory => staging::discard(dir, *epoch, &place.path)
                .map(|discarded| taken_away.push(discarded)),
        };
        match gone {
            Err(Error::Storage(error)) if error.is_not_found() => {}
            gone => gone.map_err(failed(*epoch))?,
        }
    }
    // mutant: removal_goes_on_before_it_is_durable, removal_goes_on_although_its_sync_failed
    dir.storage.sync_dir(&dir.dir).map_err(Error::from).map_err(failed(*last))?;
    // Only now: a name that a power cut brings back must lead to all of it.
    leftovers.discarded.extend(taken_away.into_iter().map(|(lock, path)| Discarded {
        storage: Arc::clone(&dir.storage),
        path,
        _lock: lock,
    }));
    // mutant: removal_goes_on_although_its_sync_failed
    Ok(())
}
