//! From a file back to the state: verified as it is read, exact, or an error that names the place.
//!
//! Loading takes no lock: a published file is never written again. The root's attributes say which
//! arrays there are; nothing is allocated for an array before all its chunks are known to be there
//! with lengths that can be true. Then several threads read, check and decompress chunks straight
//! into place.

use crate::codec::{ArrayForm, ChunkError};
use crate::directory::CheckpointDir;
use crate::manifest::{MANIFEST, Sealed};
use crate::save::ZARR_JSON;
use crate::structure;
use crate::{Damage, Error};
use bytes::Bytes;
use qstore_schema::{StateDict, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use zarrs::array::ArrayMetadataV3;

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
    /// Bytes of the file.
    pub stored_bytes: u64,
    /// Which save into the directory it was.
    pub save_seq: u64,
    /// The metadata; empty if none was given.
    pub metadata: StateDict,
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

/// Reads one checkpoint with `workers` threads.
pub(crate) fn load_checkpoint(
    dir: &CheckpointDir,
    epoch: u64,
    workers: usize,
) -> Result<Checkpoint, Error> {
    let sealed = dir.open_epoch(epoch)?;
    let root = Root::read(&sealed)?;
    let arrays = root.arrays(&sealed)?;
    let mut memory: Vec<Memory> = arrays.iter().map(|array| Memory::zeroed(array.len)).collect();
    let mut tasks = Vec::new();
    for (array, memory) in arrays.iter().zip(&mut memory) {
        let mut rest = memory.bytes_mut();
        for (index, entry) in array.entries.iter().enumerate() {
            let (out, left) = rest.split_at_mut(array.form.grid.range(index).len());
            rest = left;
            tasks.push(Task { entry: *entry, form: &array.form, out });
        }
    }
    run(&sealed, tasks, workers)?;

    let mut tensors = HashMap::with_capacity(arrays.len());
    for (array, memory) in arrays.into_iter().zip(memory) {
        let ArrayForm { dtype, shape, .. } = array.form;
        let tensor = Tensor::new(dtype, shape, memory.into_bytes())
            .map_err(|error| sealed.archive.damaged(Damage::malformed(&array.path, error)))?;
        tensors.insert(array.path, tensor);
    }
    let mut take = |path: &str| tensors.remove(path);
    let model_state = root.model(&sealed, &mut take)?;
    let optimizer_state = root.optimizer(&sealed, &mut take)?;
    let info = root.info(&sealed)?;
    Ok(Checkpoint { epoch, model_state, optimizer_state, metadata: info.metadata.clone(), info })
}

/// Reads and checks everything, keeps nothing.
pub(crate) fn verify_checkpoint(
    dir: &CheckpointDir,
    epoch: u64,
    workers: usize,
) -> Result<CheckpointInfo, Error> {
    let sealed = dir.open_epoch(epoch)?;
    let root = Root::read(&sealed)?;
    let arrays = root.arrays(&sealed)?;
    let mut tasks = Vec::new();
    for array in &arrays {
        for entry in &array.entries {
            tasks.push(Task { entry: *entry, form: &array.form, out: &mut [] });
        }
    }
    run(&sealed, tasks, workers)?;
    let stand_in = Tensor::scalar(0_u8);
    root.model(&sealed, &mut |_| Some(stand_in.clone()))?;
    root.optimizer(&sealed, &mut |_| Some(stand_in.clone()))?;
    root.info(&sealed)
}

/// Reads what is known about one checkpoint.
pub(crate) fn checkpoint_info(dir: &CheckpointDir, epoch: u64) -> Result<CheckpointInfo, Error> {
    let sealed = dir.open_epoch(epoch)?;
    Root::read(&sealed)?.info(&sealed)
}

/// Reads the newest checkpoint that is whole; `None` when there is none at all. A damaged one is
/// skipped; one that the storage will not hand out now is an error, since it may well be whole.
pub(crate) fn load_latest(dir: &CheckpointDir, workers: usize) -> Result<Option<Latest>, Error> {
    // A neighbour's retention may remove what was just found, as in `scan`.
    const ATTEMPTS: usize = 20;
    let mut vanished = None;
    'again: for _ in 0..ATTEMPTS {
        let scan = dir.scan()?.all_readable()?;
        let mut newest_first = scan.valid;
        newest_first.sort_by_key(|saved| Reverse(saved.save_seq));
        let mut skipped = Vec::new();
        for saved in newest_first {
            match load_checkpoint(dir, saved.epoch, workers) {
                Ok(checkpoint) => {
                    skipped.extend(scan.invalid);
                    return Ok(Some(Latest { checkpoint, skipped }));
                }
                Err(error @ Error::Storage(_)) => return Err(error),
                Err(error @ Error::EpochNotFound { .. }) => {
                    vanished = Some(error);
                    continue 'again;
                }
                Err(damaged) => skipped.push((saved.epoch, damaged)),
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

/// The root's `zarr.json`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Root {
    attributes: Attributes,
    consolidated_metadata: Consolidated,
}

#[derive(Debug, Deserialize)]
struct Attributes {
    epoch: u64,
    timestamp: f64,
    save_duration_ms: f64,
    qstore: Own,
}

#[derive(Debug, Deserialize)]
struct Own {
    model_bytes: u64,
    optimizer_bytes: u64,
    structure: Structure,
}

#[derive(Debug, Deserialize)]
struct Structure {
    model: Value,
    /// Null when none was saved.
    optimizer: Value,
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct Consolidated {
    metadata: Map<String, Value>,
}

/// One tensor to be read.
#[derive(Debug)]
struct Array {
    path: String,
    form: ArrayForm,
    /// Its chunks' entries, in order.
    entries: Vec<usize>,
    /// Bytes of the tensor.
    len: usize,
}

impl Root {
    fn read(sealed: &Sealed) -> Result<Self, Error> {
        let bytes = sealed.document(ZARR_JSON)?;
        let root: Self =
            serde_json::from_slice(&bytes).map_err(|error| malformed(sealed, error))?;
        if root.attributes.epoch != sealed.manifest.epoch {
            return Err(malformed(sealed, "it names another epoch than the manifest"));
        }
        Ok(root)
    }

    fn structure(&self) -> &Structure {
        &self.attributes.qstore.structure
    }

    /// The arrays that the structure names, all of whose chunks are there. Every entry of the
    /// archive must be one of those chunks, or the checked metadata of a node.
    fn arrays(&self, sealed: &Sealed) -> Result<Vec<Array>, Error> {
        let mut paths = Vec::new();
        structure::leaves(&self.structure().model, &mut paths);
        structure::leaves(&self.structure().optimizer, &mut paths);
        let mut is_known = vec![false; sealed.archive.entries().len()];
        let mut know = |name: &str| {
            if let Some(index) = sealed.archive.find(name) {
                is_known[index] = true;
            }
        };
        know(ZARR_JSON);
        know(MANIFEST);
        for path in self.consolidated_metadata.metadata.keys() {
            let name = format!("{path}/{ZARR_JSON}");
            sealed.document(&name)?;
            know(&name);
        }
        let mut arrays = Vec::with_capacity(paths.len());
        let mut seen = HashSet::with_capacity(paths.len());
        for path in paths {
            if !seen.insert(path) {
                return Err(malformed(sealed, format!("tensor `{path}` stands twice")));
            }
            let array = self.array(sealed, path)?;
            for entry in &array.entries {
                is_known[*entry] = true;
            }
            arrays.push(array);
        }
        match is_known.iter().position(|known| !known) {
            None => Ok(arrays),
            Some(index) => {
                let entry = sealed.archive.entries()[index].name.clone();
                Err(sealed.archive.damaged(Damage::Unexpected { entry }))
            }
        }
    }

    fn array(&self, sealed: &Sealed, path: &str) -> Result<Array, Error> {
        let name = format!("{path}/{ZARR_JSON}");
        let damaged = |damage| sealed.archive.damaged(damage);
        let Some(metadata) = self.consolidated_metadata.metadata.get(path) else {
            return Err(damaged(Damage::Missing { entry: name }));
        };
        let form = ArrayMetadataV3::deserialize(metadata)
            .map_err(|error| error.to_string())
            .and_then(|metadata| ArrayForm::parse(&metadata))
            .map_err(|reason| damaged(Damage::Malformed { entry: name, reason }))?;
        let mut entries = Vec::new();
        let mut len = 0;
        for index in 0..form.grid.count() {
            // Chunks are looked up before they are counted into any allocation.
            let key = format!("{path}/{}", form.grid.key(index));
            let Some(entry) = sealed.archive.find(&key) else {
                return Err(damaged(Damage::Missing { entry: key }));
            };
            let stored = u64::from(sealed.archive.entries()[entry].len);
            if !form.codec.is_plausible(stored, form.grid.chunk_len()) {
                let reason = "its length cannot be that of a chunk";
                return Err(damaged(Damage::malformed(&key, reason)));
            }
            len = form.grid.range(index).end;
            entries.push(entry);
        }
        Ok(Array { path: path.into(), form, entries, len })
    }

    fn model(
        &self,
        sealed: &Sealed,
        take: &mut impl FnMut(&str) -> Option<Tensor>,
    ) -> Result<StateDict, Error> {
        structure::rebuild_dict(&self.structure().model, take)
            .map_err(|reason| malformed(sealed, reason))
    }

    fn optimizer(
        &self,
        sealed: &Sealed,
        take: &mut impl FnMut(&str) -> Option<Tensor>,
    ) -> Result<Option<StateDict>, Error> {
        let tree = &self.structure().optimizer;
        if tree.is_null() {
            return Ok(None);
        }
        let state = structure::rebuild_dict(tree, take);
        state.map(Some).map_err(|reason| malformed(sealed, reason))
    }

    fn info(&self, sealed: &Sealed) -> Result<CheckpointInfo, Error> {
        let attributes = &self.attributes;
        let Own { model_bytes, optimizer_bytes, structure } = &attributes.qstore;
        let metadata = structure::rebuild_dict(&structure.metadata, &mut |_| None)
            .map_err(|reason| malformed(sealed, reason))?;
        Ok(CheckpointInfo {
            epoch: attributes.epoch,
            timestamp: attributes.timestamp,
            save_duration_ms: attributes.save_duration_ms,
            model_size_mb: *model_bytes as f64 / 1e6,
            tensor_bytes: model_bytes.saturating_add(*optimizer_bytes),
            stored_bytes: sealed.archive.len(),
            save_seq: sealed.manifest.save_seq,
            metadata,
        })
    }
}

fn malformed(sealed: &Sealed, reason: impl std::fmt::Display) -> Error {
    sealed.archive.damaged(Damage::malformed(ZARR_JSON, reason))
}

/// One chunk to be read, and where it belongs.
struct Task<'a> {
    entry: usize,
    form: &'a ArrayForm,
    out: &'a mut [u8],
}

/// Does the tasks on `workers` threads, of which this is one; the first error ends the work.
fn run(sealed: &Sealed, tasks: Vec<Task<'_>>, workers: usize) -> Result<(), Error> {
    let extra = workers.min(tasks.len()).saturating_sub(1);
    let tasks = Mutex::new(tasks.into_iter());
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let first_error = Mutex::new(None);
    let work = || {
        let mut buffer = Vec::new();
        while let Some(task) = next() {
            if let Err(error) = read_chunk(sealed, task, &mut buffer) {
                first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                while next().is_some() {}
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..extra {
            // Where no thread can be had, those that run do its share.
            let _ = thread::Builder::new().name("qstore-chunks".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let first_error = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
    first_error.map_or(Ok(()), Err)
}

fn read_chunk(sealed: &Sealed, task: Task<'_>, buffer: &mut Vec<u8>) -> Result<(), Error> {
    let Task { entry, form, out } = task;
    let stored = sealed.archive.read(entry, buffer)?;
    let decoded = form.codec.decode(stored, sealed.crc32c(entry), form.grid.chunk_len(), out);
    decoded.map_err(|error| {
        let name = &sealed.archive.entries()[entry].name;
        sealed.archive.damaged(match error {
            ChunkError::Checksum => Damage::Checksum { entry: name.clone() },
            other => Damage::malformed(name, other),
        })
    })
}

/// Memory of a tensor: aligned for every element type, so that it can be read as a slice.
struct Memory {
    words: Vec<u64>,
    len: usize,
}

impl Memory {
    fn zeroed(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(size_of::<u64>())], len }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::must_cast_slice_mut(&mut self.words)[..self.len]
    }

    fn into_bytes(self) -> Bytes {
        let len = self.len;
        Bytes::from_owner(self).slice(..len)
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        bytemuck::must_cast_slice(&self.words)
    }
}

#[cfg(test)]
mod tests;
