//! From a snapshot to a durable file: plan, compress, append, seal, commit, retain.
//!
//! Ordinary synchronous code on the caller's thread. The compressing threads live as long as the
//! call; beyond the snapshot it holds at most two chunks for each of them, and some 20 KB of metadata
//! for each tensor.

use crate::choice::{Choice, choose};
use crate::chunking::Grid;
use crate::codec::{Codec, Encoded, array_metadata};
use crate::container::{Complete, Output};
use crate::directory::{CheckpointDir, Found, Place};
use crate::ordered::in_order;
use crate::retention::{Candidate, metrics_of};
use crate::staging::{stage_dir, stage_file};
use crate::structure::{self, Nodes, Part};
use crate::{CheckpointSettings, Error, Layout, removal, root_group};
use qstore_schema::{StateDict, Tensor};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::time::Instant;
use zarrs::metadata::v3::GroupMetadataV3;

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
    /// Milliseconds from the beginning of the save to the end of retention, all syncs included.
    pub duration_ms: f64,
    /// The epochs that retention removed.
    pub removed: Vec<u64>,
}

impl Saved {
    /// What a store knows at least; everything else is 0 or empty, to be set.
    #[must_use]
    pub fn new(epoch: u64, save_seq: u64) -> Self {
        Self { epoch, save_seq, stored_bytes: 0, duration_ms: 0.0, removed: Vec::new() }
    }
}

/// Saves a checked snapshot. After `Ok` it survives a power cut.
///
/// # Errors
/// After [`Error::Retention`] the checkpoint is durable all the same. After any other error the
/// epoch's earlier checkpoint, if there was one, is as it was, or has been replaced as a whole.
pub(crate) fn save_checkpoint(
    dir: &CheckpointDir,
    settings: &CheckpointSettings,
    snapshot: &Snapshot,
) -> Result<Saved, Error> {
    let started = Instant::now();
    let (epoch, layout) = (snapshot.epoch, settings.layout);
    let plan = Plan::new(snapshot, settings)?;
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
    output.manifest().note_metrics(metrics_of(&snapshot.metadata));

    plan.write_chunks(settings.workers, &mut output)?;
    for (path, metadata) in &plan.nodes {
        output.document(format!("{path}/{ZARR_JSON}"), metadata)?;
    }
    output.document(ZARR_JSON.into(), &plan.root(snapshot, millis(started)))?;

    let lock = dir.lock()?;
    let scan = dir.scan()?;
    let save_seq = dir.next_seq(&scan)?;
    let candidate = output.manifest().candidate(false);
    let (complete, stored_bytes) = output.seal(save_seq)?;
    let place = Place { path: dir.path_of(epoch, layout), layout };
    match complete {
        Complete::File(staged) => drop(staged.commit(&place.path)?),
        Complete::Dir(staged) => {
            dir.refuse_foreign(epoch)?;
            root_group::ensure(dir)?;
            staged.commit(&place.path, &dir.tombstone_of(epoch))?;
        }
    }
    drop(staging);

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
    let removed = removal::retain(dir, &history, &settings.retention)?;
    drop(lock);
    let duration_ms = millis(started);
    Ok(Saved { epoch, save_seq, stored_bytes, duration_ms, removed })
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Everything about a checkpoint but its bytes.
struct Plan {
    arrays: Vec<ArrayPlan>,
    /// For each array the number of chunks before it.
    first_chunks: Vec<usize>,
    chunks: usize,
    /// Groups and arrays below the root, with their metadata.
    nodes: Vec<(String, Value)>,
    structure: Value,
    /// Bytes that will be written, by a sample of each tensor.
    estimate: f64,
}

struct ArrayPlan {
    path: String,
    tensor: Tensor,
    grid: Grid,
    codec: Codec,
}

/// A chunk on its way from a compressing thread to the archive.
struct Chunk<'a> {
    name: String,
    encoded: Encoded<'a>,
}

impl Plan {
    fn new(snapshot: &Snapshot, settings: &CheckpointSettings) -> Result<Self, Error> {
        snapshot.check()?;
        let mut found = Nodes::default();
        let model = found.tree(Part::Model.name(), &snapshot.model);
        let optimizer =
            snapshot.optimizer.as_ref().map(|state| found.tree(Part::Optimizer.name(), state));
        let metadata = Nodes::default().tree(Part::Metadata.name(), &snapshot.metadata);
        let structure = json!({ "model": model, "optimizer": optimizer, "metadata": metadata });

        let mut plan = Self {
            arrays: Vec::with_capacity(found.arrays.len()),
            first_chunks: Vec::with_capacity(found.arrays.len()),
            chunks: 0,
            nodes: Vec::new(),
            structure,
            estimate: 0.0,
        };
        let group = json!(GroupMetadataV3::new());
        plan.nodes.extend(found.groups.into_iter().map(|path| (path, group.clone())));
        for (path, tensor) in found.arrays {
            plan.add(path, tensor, settings)?;
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        path: String,
        tensor: Tensor,
        settings: &CheckpointSettings,
    ) -> Result<(), Error> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let encode = |reason| Error::Encode { tensor: path.clone(), reason };
        let grid = Grid::new(shape, dtype.size(), settings.chunk_bytes)
            .ok_or_else(|| encode("its shape cannot be addressed".into()))?;
        let Choice { codec, share } = choose(&tensor, settings);
        // A chunk has two headers in an archive, or an inode of its own; metadata stand there twice.
        const PER_CHUNK: f64 = 200.0;
        const PER_ARRAY: f64 = 2_000.0;
        self.estimate += tensor.data().len() as f64 * share;
        self.estimate += PER_CHUNK * grid.count() as f64 + PER_ARRAY;
        let metadata = array_metadata(dtype, shape, &grid, codec).map_err(encode)?;
        self.nodes.push((path.clone(), json!(metadata)));
        self.first_chunks.push(self.chunks);
        self.chunks += grid.count();
        self.arrays.push(ArrayPlan { path, tensor, grid, codec });
        Ok(())
    }

    /// Refuses what will not fit. The sample may have been larger than the rest, so what is close is
    /// tried; a disk that is full in the end is an error then, and nothing is listed.
    fn check_room(&self, dir: &CheckpointDir) -> Result<(), Error> {
        const CLEARLY: f64 = 0.9;
        let needed = (self.estimate * CLEARLY) as u64;
        match dir.storage.available(&dir.dir)? {
            Some(available) if available < needed => {
                Err(Error::NoSpace { dir: dir.dir.clone(), needed, available })
            }
            _ => Ok(()),
        }
    }

    fn write_chunks(&self, workers: usize, output: &mut Output) -> Result<(), Error> {
        let append = |Chunk { name, encoded }: Chunk<'_>| {
            output.chunk(name, encoded.crc32, encoded.crc32c, &encoded.parts())
        };
        in_order(workers, self.chunks, |index| self.chunk(index), append)
    }

    /// Chunk number `index` of all chunks of all arrays, compressed.
    fn chunk(&self, index: usize) -> Result<Chunk<'_>, Error> {
        // Arrays without elements share their number with the next one; the last of them has it.
        let array = self.first_chunks.partition_point(|first| *first <= index) - 1;
        let index = index - self.first_chunks[array];
        let ArrayPlan { path, tensor, grid, codec } = &self.arrays[array];
        let mut data = Cow::Borrowed(&tensor.data()[grid.range(index)]);
        if data.len() < grid.chunk_len() {
            data.to_mut().resize(grid.chunk_len(), 0);
        }
        let encoded =
            codec.encode(data).map_err(|reason| Error::Encode { tensor: path.clone(), reason })?;
        Ok(Chunk { name: format!("{path}/{}", grid.key(index)), encoded })
    }

    fn root(&self, snapshot: &Snapshot, save_duration_ms: f64) -> Value {
        let bytes_of = |state: &StateDict| state.tensor_bytes();
        let mut attributes = Map::new();
        attributes.insert("epoch".into(), json!(snapshot.epoch));
        attributes.insert("timestamp".into(), json!(snapshot.timestamp));
        attributes.insert("save_duration_ms".into(), json!(save_duration_ms));
        attributes.insert("metadata".into(), structure::plain(&snapshot.metadata));
        let own = json!({
            "model_bytes": bytes_of(&snapshot.model),
            "optimizer_bytes": snapshot.optimizer.as_ref().map_or(0, bytes_of),
            "structure": self.structure,
        });
        attributes.insert("qstore".into(), own);
        let mut root = json!(GroupMetadataV3::new().with_attributes(attributes));
        let nodes: Map<String, Value> = self.nodes.iter().cloned().collect();
        root["consolidated_metadata"] =
            json!({ "kind": "inline", "must_understand": false, "metadata": nodes });
        root
    }
}
