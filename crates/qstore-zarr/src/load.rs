//! From the disk back to the state: verified as it is read, exact, or an error that names the place.
//!
//! Loading takes no lock. A published file is never written again; a published directory can be
//! replaced while it is read, which is noticed, because nothing that is read then matches its
//! manifest, and the load begins anew.

use crate::directory::CheckpointDir;
use crate::fetch::{check_chunks, read_tensors};
use crate::manifest::Sealed;
use crate::root::Root;
use crate::{Damage, Error};
use qstore_schema::{StateDict, Tensor};
use std::cmp::Reverse;
use std::collections::HashMap;

/// How often a load begins anew when a neighbour replaces or removes what it reads.
const ATTEMPTS: usize = 20;

/// What was saved, bit for bit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The epoch.
    pub epoch: u64,
    /// The model's state.
    pub model_state: StateDict,
    /// The optimizer's state, if one was saved.
    pub optimizer_state: Option<StateDict>,
    /// The metadata; empty if none was given.
    pub metadata: StateDict,
    /// What is known about the checkpoint itself.
    pub info: CheckpointInfo,
}

/// What is known about a checkpoint without reading its tensors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The epoch.
    pub epoch: u64,
    /// When `save` was called, in Unix seconds.
    pub timestamp: f64,
    /// Milliseconds from the beginning of the save until this number was written: compression is in
    /// it, the final sync is not.
    pub save_duration_ms: f64,
    /// The model's tensors in memory, in MB of 1 000 000 bytes.
    pub model_size_mb: f64,
    /// Bytes of all tensors in memory, the optimizer's included.
    pub tensor_bytes: u64,
    /// Bytes on the disk.
    pub stored_bytes: u64,
    /// Which save into the directory it was.
    pub save_seq: u64,
    /// The metadata; empty if none was given.
    pub metadata: StateDict,
}

impl Checkpoint {
    /// A checkpoint that some store has read; epoch and metadata are those of `info`.
    #[must_use]
    pub fn new(
        model_state: StateDict,
        optimizer_state: Option<StateDict>,
        info: CheckpointInfo,
    ) -> Self {
        let (epoch, metadata) = (info.epoch, info.metadata.clone());
        Self { epoch, model_state, optimizer_state, metadata, info }
    }
}

impl CheckpointInfo {
    /// What a store knows at least; everything else is 0 or empty, to be set.
    #[must_use]
    pub fn new(epoch: u64, save_seq: u64) -> Self {
        Self {
            epoch,
            timestamp: 0.0,
            save_duration_ms: 0.0,
            model_size_mb: 0.0,
            tensor_bytes: 0,
            stored_bytes: 0,
            save_seq,
            metadata: StateDict::new(),
        }
    }
}

impl Latest {
    /// What some store has found.
    #[must_use]
    pub fn new(checkpoint: Checkpoint, skipped: Vec<(u64, Error)>) -> Self {
        Self { checkpoint, skipped }
    }
}

/// The newest checkpoint that could be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Latest {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Newer ones that could not be loaded, and files with the name of a checkpoint that are none,
    /// each with its epoch and what is wrong.
    pub skipped: Vec<(u64, Error)>,
}

/// Opens a checkpoint and reads from it, anew when it was replaced meanwhile.
pub(crate) fn read_epoch<T>(
    dir: &CheckpointDir,
    epoch: u64,
    read: impl Fn(&Sealed) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut attempts = ATTEMPTS;
    loop {
        let sealed = dir.open_epoch(epoch)?;
        attempts -= 1;
        match read(&sealed) {
            Err(_) if attempts > 0 && sealed.container.is_replaced() => {}
            done => return done,
        }
    }
}

/// Reads one checkpoint with `workers` threads.
pub(crate) fn load_checkpoint(
    dir: &CheckpointDir,
    epoch: u64,
    workers: usize,
) -> Result<Checkpoint, Error> {
    read_epoch(dir, epoch, |sealed| {
        let root = Root::read(sealed)?;
        let arrays = root.arrays(sealed)?;
        let mut tensors: HashMap<String, Tensor> =
            read_tensors(sealed, arrays, workers)?.into_iter().collect();
        let mut take = |path: &str| tensors.remove(path);
        let model_state = root.model(sealed, &mut take)?;
        let optimizer_state = root.optimizer(sealed, &mut take)?;
        Ok(Checkpoint::new(model_state, optimizer_state, root.info(sealed)?))
    })
}

/// Reads and checks everything, keeps nothing.
pub(crate) fn verify_checkpoint(
    dir: &CheckpointDir,
    epoch: u64,
    workers: usize,
) -> Result<CheckpointInfo, Error> {
    read_epoch(dir, epoch, |sealed| {
        let root = Root::read(sealed)?;
        let arrays = root.arrays(sealed)?;
        check_chunks(sealed, &arrays, workers)?;
        if let Some(entry) = sealed.container.unexpected()? {
            return Err(sealed.container.damaged(Damage::Unexpected { entry }));
        }
        let stand_in = Tensor::scalar(0_u8);
        root.model(sealed, &mut |_| Some(stand_in.clone()))?;
        root.optimizer(sealed, &mut |_| Some(stand_in.clone()))?;
        root.info(sealed)
    })
}

/// Reads what is known about one checkpoint.
pub(crate) fn checkpoint_info(dir: &CheckpointDir, epoch: u64) -> Result<CheckpointInfo, Error> {
    read_epoch(dir, epoch, |sealed| Root::read(sealed)?.info(sealed))
}

/// Reads the newest checkpoint that is whole; `None` when there is none at all. What is damaged, or
/// lies where the disk cannot read any more, is skipped and said; when the process itself can read
/// nothing now, that is an error, since the newest may well be whole.
pub(crate) fn load_latest(dir: &CheckpointDir, workers: usize) -> Result<Option<Latest>, Error> {
    let mut vanished = None;
    'again: for _ in 0..ATTEMPTS {
        let scan = dir.scan()?;
        if let Some(at) = scan.invalid.iter().position(|(_, error)| is_ours_alone(error)) {
            let mut invalid = scan.invalid;
            return Err(invalid.swap_remove(at).1);
        }
        let mut newest_first = scan.valid;
        newest_first.sort_by_key(|found| Reverse(found.candidate.save_seq));
        let mut skipped = Vec::new();
        for found in newest_first {
            let epoch = found.candidate.epoch;
            match load_checkpoint(dir, epoch, workers) {
                Ok(checkpoint) => {
                    skipped.extend(scan.invalid);
                    return Ok(Some(Latest { checkpoint, skipped }));
                }
                Err(error) if is_ours_alone(&error) => return Err(error),
                Err(error @ Error::EpochNotFound { .. }) => {
                    vanished = Some(error);
                    continue 'again;
                }
                Err(refused) => skipped.push((epoch, refused)),
            }
        }
        skipped.extend(scan.invalid);
        if skipped.is_empty() {
            return Ok(None);
        }
        return Err(Error::NoneValid { dir: dir.dir.clone(), skipped });
    }
    vanished.map_or(Ok(None), Err)
}

/// Whether a failure tells something about this process and nothing about the file: too many open
/// files, here or in all, or no memory.
fn is_ours_alone(error: &Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let Error::Storage(error) = error else { return false };
    matches!(error.source.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE))
}

#[cfg(test)]
mod tests;
