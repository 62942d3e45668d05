//! Pins: `epoch_0042.pin` beside a checkpoint keeps it. An empty file, so that anybody can make or
//! remove one by hand.

use crate::Error;
use crate::directory::CheckpointDir;

pub(crate) fn pin(dir: &CheckpointDir, epoch: u64) -> Result<(), Error> {
    let _lock = dir.lock()?; // not in the middle of somebody's retention
    match dir.storage.create_new(&dir.pin_of(epoch)) {
        Err(error) if !error.is_already_exists() => return Err(error.into()),
        // An empty file has no bytes to sync.
        _ => {}
    }
    // mutant: pin_not_synced
    Ok(dir.storage.sync_dir(&dir.dir)?)
}

pub(crate) fn unpin(dir: &CheckpointDir, epoch: u64) -> Result<(), Error> {
    let _lock = dir.lock()?;
    match dir.storage.remove_file(&dir.pin_of(epoch)) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => {}
    }
    Ok(dir.storage.sync_dir(&dir.dir)?)
}
