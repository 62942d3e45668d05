//! Taking checkpoints away: retention, and what a later save of the same epoch has replaced.
//!
//! The caller holds the directory's lock, and what stays is durable. A directory first loses its name
//! in one step and is taken apart only when that is durable, so nobody ever sees half of it.

use crate::directory::{CheckpointDir, Found, Place};
use crate::retention::{self, Candidate, Policy};
use crate::{Error, Layout, staging};
use qstore_storage::remove_dir_all;

/// Removes what retention does not keep, and what a newer save of an epoch has left over; returns the
/// epochs that are gone.
pub(crate) fn retain(
    dir: &CheckpointDir,
    history: &[Found],
    policy: &Policy,
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
    remove(dir, newest, &places)?;
    Ok(removed)
}

fn remove(dir: &CheckpointDir, newest: u64, places: &[(u64, &Place)]) -> Result<(), Error> {
    let Some((last, _)) = places.last() else { return Ok(()) };
    let failed = |older: u64| {
        move |source| match source {
            Error::Storage(source) => Error::Retention { epoch: newest, older, source },
            other => other,
        }
    };
    let mut taken_away = Vec::new();
    for (epoch, place) in places {
        let gone = match place.layout {
            Layout::SingleFile => dir.storage.remove_file(&place.path).map_err(Error::from),
            Layout::Directory => staging::discard(dir, *epoch, &place.path)
                .map(|discarded| taken_away.push((*epoch, discarded))),
        };
        match gone {
            Err(Error::Storage(error)) if error.is_not_found() => {}
            gone => gone.map_err(failed(*epoch))?,
        }
    }
    dir.storage.sync_dir(&dir.dir).map_err(Error::from).map_err(failed(*last))?;
    for (epoch, (lock, path)) in taken_away {
        let gone = remove_dir_all(&*dir.storage, &path).map_err(Error::from);
        drop(lock);
        gone.map_err(failed(epoch))?;
    }
    Ok(())
}
