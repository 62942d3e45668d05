//! Loading a state from the repository: every byte is verified as it is read, and the result is exact or an
//! error that names the location.
//!
//! Loading takes no lock. A published file is never modified. A published tree can be replaced while it is
//! read; this is detected, because the data then does not match the manifest, and the load starts over.

pub(crate) mod checkpoints;
mod fetch;
pub(crate) mod follow;
pub(crate) mod memory;
pub(crate) mod reader;
mod root;

use crate::catalog::Catalog;
use crate::container::sealed::Sealed;
use crate::format::codec::ArrayForm;
use crate::format::structure::StructureError;
pub(crate) use fetch::Depth;
use fetch::{check_chunks, read_tensors};
pub(crate) use memory::Loading;
use qstore_checkpoint::{Checkpoint, CheckpointInfo, Damage, Latest, LoadError};
use qstore_schema::{Dtype, Tensor};
use root::Root;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// How often a load starts over if another writer replaces or removes the checkpoint it reads.
const ATTEMPTS: usize = 20;

/// Opens a checkpoint and reads from it. Starts over if it was replaced in the meantime.
fn read_checkpoint<T>(
    catalog: &Catalog,
    number: u64,
    read: impl Fn(&Sealed) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let mut attempts = ATTEMPTS;
    loop {
        let sealed = catalog.open(number)?;
        attempts -= 1;
        match read(&sealed) {
            Err(_) if attempts > 0 && sealed.container.is_replaced() => {}
            done => return done,
        }
    }
}

/// Reads one checkpoint.
pub(crate) fn load_checkpoint(
    catalog: &Catalog,
    number: u64,
    loading: &Loading,
) -> Result<Checkpoint, LoadError> {
    read_checkpoint(catalog, number, |sealed| load_all(sealed, &Root::read(sealed)?, loading))
}

/// Reads and checks everything, and keeps nothing in memory.
pub(crate) fn verify_checkpoint(
    catalog: &Catalog,
    number: u64,
    workers: usize,
) -> Result<CheckpointInfo, LoadError> {
    read_checkpoint(catalog, number, |sealed| {
        verify_all(sealed, &Root::read(sealed)?, workers, Depth::Decoded)
    })
}

fn load_all(sealed: &Sealed, root: &Root, loading: &Loading) -> Result<Checkpoint, LoadError> {
    let arrays = root.arrays(sealed)?;
    let mut tensors: HashMap<String, Tensor> =
        read_tensors(sealed, arrays, loading)?.into_iter().collect();
    let parts = root.parts(sealed, &mut |path| {
        // Each path occurs once in the structure, and its array exists.
        tensors.remove(path).ok_or_else(|| StructureError::MissingTensor { path: path.into() })
    })?;
    Ok(Checkpoint::new(parts, root.info(sealed)?))
}

fn verify_all(
    sealed: &Sealed,
    root: &Root,
    workers: usize,
    depth: Depth,
) -> Result<CheckpointInfo, LoadError> {
    let arrays = root.arrays(sealed)?;
    check_chunks(sealed, &arrays, workers, depth)?;
    if let Some(entry) = sealed.container.unexpected()? {
        return Err(sealed.container.damaged(Damage::Unexpected { entry }));
    }
    let may_be_bytes = |form: &ArrayForm| form.dtype == Dtype::UInt8 && form.shape.len() == 1;
    let bytes: HashSet<&str> =
        arrays.iter().filter(|array| may_be_bytes(&array.form)).map(|array| &*array.path).collect();
    let (flat, other) = (Tensor::from_bytes(Vec::new()), Tensor::scalar(0_u8));
    root.parts(sealed, &mut |path| Ok(if bytes.contains(path) { &flat } else { &other }.clone()))?;
    root.info(sealed)
}

/// Reads the info of one checkpoint.
pub(crate) fn checkpoint_info(catalog: &Catalog, number: u64) -> Result<CheckpointInfo, LoadError> {
    read_checkpoint(catalog, number, |sealed| Root::read(sealed)?.info(sealed))
}

/// Reads the newest whole checkpoint; `None` if there are no checkpoints. Those that are damaged, or cannot
/// be read from the disk, are skipped and reported. If the failure concerns this process (out of memory or
/// of file descriptors), that is an error, since the newest may well be whole.
///
/// If a question is given, only those count of whose info it is true. Of one that has no valid manifest nothing is known, so it is reported.
pub(crate) fn load_latest(
    catalog: &Catalog,
    loading: &Loading,
    is_wanted: Option<&dyn Fn(&CheckpointInfo) -> bool>,
) -> Result<Option<Latest>, LoadError> {
    let mut vanished = None;
    'again: for _ in 0..ATTEMPTS {
        let scan = catalog.scan()?;
        if let Some(at) = scan.invalid.iter().position(|(_, error)| error.is_exhausted()) {
            let mut invalid = scan.invalid;
            return Err(invalid.swap_remove(at).1);
        }
        let mut newest_first = scan.valid;
        newest_first.sort_by_key(|found| Reverse(found.candidate.save_seq));
        let mut skipped = Vec::new();
        for found in newest_first {
            let number = found.candidate.number;
            let asked = is_wanted.map_or(Ok(true), |is_wanted| {
                checkpoint_info(catalog, number).map(|info| is_wanted(&info))
            });
            let loaded = asked.and_then(|is_wanted| {
                is_wanted.then(|| load_checkpoint(catalog, number, loading)).transpose()
            });
            match loaded {
                Ok(None) => {}
                Ok(Some(checkpoint)) => {
                    skipped.extend(scan.invalid);
                    return Ok(Some(Latest::new(checkpoint, skipped)));
                }
                Err(error) if error.is_exhausted() => return Err(error),
                Err(error @ LoadError::NotFound { .. }) => {
                    vanished = Some(error);
                    continue 'again;
                }
                Err(refused) => skipped.push((number, refused)),
            }
        }
        skipped.extend(scan.invalid);
        if skipped.is_empty() {
            return Ok(None);
        }
        let location = catalog.repository.location();
        return Err(LoadError::NoneValid { location, skipped });
    }
    vanished.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests;
