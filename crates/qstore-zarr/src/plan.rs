//! What a checkpoint will consist of, worked out before the first byte is written, and the writing of
//! it.

use crate::choice::{Choice, choose};
use crate::chunking::Grid;
use crate::codec::{Codec, Encoded, array_metadata};
use crate::container::Output;
use crate::dedup::{Previous, Stored, digest_of};
use crate::directory::CheckpointDir;
use crate::ordered::in_order;
use crate::save::{Snapshot, ZARR_JSON, millis};
use crate::structure::{self, Nodes, Part};
use crate::{CheckpointSettings, Error, Layout};
use qstore_schema::{StateDict, Tensor};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::time::Instant;
use zarrs::metadata::v3::GroupMetadataV3;

/// Everything about a checkpoint but its bytes.
pub(crate) struct Plan<'a> {
    arrays: Vec<ArrayPlan>,
    /// For each array the number of chunks before it.
    first_chunks: Vec<usize>,
    chunks: usize,
    /// Groups and arrays below the root, with their metadata.
    nodes: Vec<(String, Value)>,
    structure: Value,
    /// Bytes that will be written, by a sample of each tensor.
    estimate: f64,
    /// Whose chunks may be linked.
    previous: Option<&'a Previous>,
}

struct ArrayPlan {
    path: String,
    tensor: Tensor,
    grid: Grid,
    codec: Codec,
    /// With deduplication, what tells its bytes from others.
    digest: Option<String>,
    /// Whether the previous checkpoint holds the same one.
    is_stored: bool,
}

/// A chunk on its way from a compressing thread to the file.
struct Chunk<'c> {
    name: String,
    body: Body<'c>,
}

enum Body<'c> {
    Encoded(Encoded<'c>),
    /// It need not be written. With its number, should linking fail.
    Stored(Stored, usize),
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        snapshot: &Snapshot,
        settings: &CheckpointSettings,
        previous: Option<&'a Previous>,
    ) -> Result<Self, Error> {
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
            previous,
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
        // A chunk has two headers in an archive, or an inode of its own; metadata stand there twice.
        const PER_CHUNK: f64 = 200.0;
        const PER_ARRAY: f64 = 2_000.0;
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let encode = |reason| Error::Encode { tensor: path.clone(), reason };
        let grid = Grid::new(shape, dtype.size(), settings.chunk_bytes)
            .ok_or_else(|| encode("its shape cannot be addressed".into()))?;
        let grid = match settings.layout {
            Layout::SingleFile => grid,
            // One directory for an array instead of one for each row of its chunks.
            Layout::Directory => grid.with_separator('.'),
        };
        let Choice { codec, share } = choose(&tensor, settings);
        let metadata = json!(array_metadata(dtype, shape, &grid, codec).map_err(encode)?);
        let digest = settings.deduplicate.then(|| digest_of(tensor.data()));
        let is_stored = match (&digest, self.previous) {
            (Some(digest), Some(previous)) => previous.has(&path, digest, &metadata),
            _ => false,
        };
        if !is_stored {
            self.estimate += tensor.data().len() as f64 * share;
        }
        self.estimate += PER_CHUNK * grid.count() as f64 + PER_ARRAY;
        self.nodes.push((path.clone(), metadata));
        self.first_chunks.push(self.chunks);
        self.chunks += grid.count();
        self.arrays.push(ArrayPlan { path, tensor, grid, codec, digest, is_stored });
        Ok(())
    }

    /// Refuses what will not fit. The sample may have been larger than the rest, so what is close is
    /// tried; a disk that is full in the end is an error then, and nothing is listed.
    pub(crate) fn check_room(&self, dir: &CheckpointDir) -> Result<(), Error> {
        const CLEARLY: f64 = 0.9;
        let needed = (self.estimate * CLEARLY) as u64;
        match dir.storage.available(&dir.dir)? {
            Some(available) if available < needed => {
                Err(Error::NoSpace { dir: dir.dir.clone(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// Writes everything but the manifest; returns how many bytes were linked instead.
    pub(crate) fn write(
        &self,
        snapshot: &Snapshot,
        workers: usize,
        output: &mut Output,
        started: Instant,
    ) -> Result<u64, Error> {
        let mut linked = 0;
        let append = |Chunk { name, body }: Chunk<'_>| {
            let encoded = match body {
                Body::Encoded(encoded) => encoded,
                Body::Stored(stored, index) => {
                    if output.link(&name, &stored) {
                        linked += stored.len as u64;
                        return Ok(());
                    }
                    self.encode(index)?
                }
            };
            output.chunk(name, encoded.crc32, encoded.crc32c, &encoded.parts())
        };
        in_order(workers, self.chunks, |index| self.chunk(index), append)?;
        for ArrayPlan { path, digest, .. } in &self.arrays {
            if let Some(digest) = digest {
                output.manifest().note_digest(path.clone(), digest.clone());
            }
        }
        for (path, metadata) in &self.nodes {
            output.document(format!("{path}/{ZARR_JSON}"), metadata)?;
        }
        output.document(ZARR_JSON.into(), &self.root(snapshot, millis(started)))?;
        Ok(linked)
    }

    /// Chunk number `index` of all chunks of all arrays, as it is stored.
    fn chunk(&self, index: usize) -> Result<Chunk<'_>, Error> {
        let (array, at) = self.array_of(index);
        let name = format!("{}/{}", array.path, array.grid.key(at));
        if array.is_stored
            && let Some(stored) = self.previous.and_then(|previous| previous.chunk(&name))
        {
            return Ok(Chunk { name, body: Body::Stored(stored, index) });
        }
        Ok(Chunk { name, body: Body::Encoded(self.encode(index)?) })
    }

    /// The array that chunk number `index` belongs to, and its number there.
    fn array_of(&self, index: usize) -> (&ArrayPlan, usize) {
        // Arrays without elements share their number with the next one; the last of them has it.
        let array = self.first_chunks.partition_point(|first| *first <= index) - 1;
        (&self.arrays[array], index - self.first_chunks[array])
    }

    fn encode(&self, index: usize) -> Result<Encoded<'_>, Error> {
        let (array, index) = self.array_of(index);
        let ArrayPlan { path, tensor, grid, codec, .. } = array;
        let mut data = Cow::Borrowed(&tensor.data()[grid.range(index)]);
        if data.len() < grid.chunk_len() {
            data.to_mut().resize(grid.chunk_len(), 0);
        }
        codec.encode(data).map_err(|reason| Error::Encode { tensor: path.clone(), reason })
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
