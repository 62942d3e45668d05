//! What a checkpoint will consist of, worked out before the first byte is written, and the writing of
//! it.

use crate::choice::{Choice, choose};
use crate::chunking::Grid;
use crate::codec::{Codec, Encoded};
use crate::dedup::{Previous, Stored, digest_of};
use crate::directory::CheckpointDir;
use crate::documents::{Attributes, Document, Documents, Own, RootDocument};
use crate::entry::{Entry, Listed};
use crate::ordered::in_order;
use crate::output::{Output, Target};
use crate::save::{Snapshot, ZARR_JSON, millis};
use crate::spread::spread;
use crate::structure::{self, Nodes, Part};
use crate::tree::TreeWriter;
use crate::{CheckpointSettings, Error, Layout};
use qstore_schema::{StateDict, Tensor};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Instant;

/// Everything about a checkpoint but its bytes.
pub(crate) struct Plan<'a> {
    arrays: Vec<ArrayPlan>,
    /// For each array the number of chunks before it.
    first_chunks: Vec<usize>,
    chunks: usize,
    /// Groups and arrays below the root, with their metadata.
    nodes: Vec<(String, Document)>,
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

impl ArrayPlan {
    /// The name of chunk number `at` of this array.
    fn name_of(&self, at: usize) -> String {
        format!("{}/{}", self.path, self.grid.key(at))
    }

    fn encode(&self, at: usize) -> Result<Encoded<'_>, Error> {
        let Self { path, tensor, grid, codec, .. } = self;
        let mut data = Cow::Borrowed(&tensor.data()[grid.range(at)]);
        if data.len() < grid.chunk_len() {
            data.to_mut().resize(grid.chunk_len(), 0);
        }
        codec.encode(data).map_err(|reason| Error::Encode { tensor: path.clone(), reason })
    }
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
        let mut documents = Documents::default();
        let group = Documents::group();
        plan.nodes.extend(found.groups.into_iter().map(|path| (path, group.clone())));
        for (path, tensor) in found.arrays {
            plan.add(path, tensor, settings, &mut documents)?;
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        path: String,
        tensor: Tensor,
        settings: &CheckpointSettings,
        documents: &mut Documents,
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
        let metadata = documents.array(dtype, shape, &grid, codec).map_err(encode)?;
        let digest = settings.deduplicate.then(|| digest_of(tensor.data()));
        let is_stored = match (&digest, self.previous) {
            (Some(digest), Some(previous)) => previous.has(&path, digest, metadata.get()),
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
        let Output { target, manifest } = output;
        let mut linked = 0;
        let mut note = |Listed { name, len, crc32c, is_linked }: Listed| {
            if is_linked {
                linked += len as u64;
            }
            manifest.note(name, len, crc32c);
        };
        let count = self.chunks + self.nodes.len();
        match target {
            Target::Archive(archive) => {
                let append = |entry: Entry<'_>| {
                    note(entry.append_to(archive)?);
                    Ok(())
                };
                in_order(workers, count, |index| self.entry(index), append)?;
            }
            // To create a file can take as long as to compress what is in it, and file systems do it
            // for several directories at once: whoever has made an entry writes it.
            Target::Tree(tree) => {
                let stored = spread(workers, count, |index| self.store(index, tree))?;
                stored.into_iter().for_each(note);
            }
        }
        for ArrayPlan { path, digest, .. } in &self.arrays {
            if let Some(digest) = digest {
                manifest.note_digest(path.clone(), digest.clone());
            }
        }
        output.document(ZARR_JSON.into(), self.root(snapshot, millis(started)).text())?;
        Ok(linked)
    }

    /// Puts entry number `index` into a tree, linked where it need not be written.
    fn store(&self, index: usize, tree: &TreeWriter) -> Result<Listed, Error> {
        if let Some((name, Stored { len, crc32c, path })) = self.stored(index)
            && tree.link(&name, &path)
        {
            return Ok(Listed { name, len, crc32c, is_linked: true });
        }
        self.entry(index)?.write_to(tree)
    }

    /// Entry number `index`, ready to be written: first come all chunks of all arrays, then the
    /// documents of all nodes.
    fn entry(&self, index: usize) -> Result<Entry<'_>, Error> {
        if let Some(node) = index.checked_sub(self.chunks) {
            let (path, metadata) = &self.nodes[node];
            return Ok(Entry::document(format!("{path}/{ZARR_JSON}"), metadata.get().into()));
        }
        let (array, at) = self.array_of(index);
        Ok(Entry::chunk(array.name_of(at), array.encode(at)?))
    }

    /// The name of entry number `index`, and where it is stored already, if it is.
    fn stored(&self, index: usize) -> Option<(String, Stored)> {
        let previous = self.previous.filter(|_| index < self.chunks)?;
        let (array, at) = self.array_of(index);
        let name = array.is_stored.then(|| array.name_of(at))?;
        let stored = previous.chunk(&name)?;
        Some((name, stored))
    }

    /// The array that chunk number `index` belongs to, and its number there.
    fn array_of(&self, index: usize) -> (&ArrayPlan, usize) {
        // Arrays without elements share their number with the next one; the last of them has it.
        let array = self.first_chunks.partition_point(|first| *first <= index) - 1;
        (&self.arrays[array], index - self.first_chunks[array])
    }

    fn root(&self, snapshot: &Snapshot, save_duration_ms: f64) -> RootDocument<'_> {
        let bytes_of = |state: &StateDict| state.tensor_bytes();
        let qstore = Own {
            model_bytes: bytes_of(&snapshot.model),
            optimizer_bytes: snapshot.optimizer.as_ref().map_or(0, bytes_of),
            structure: &self.structure,
        };
        let attributes = Attributes {
            epoch: snapshot.epoch,
            timestamp: snapshot.timestamp,
            save_duration_ms,
            metadata: structure::plain(&snapshot.metadata),
            qstore,
        };
        RootDocument::new(attributes, &self.nodes)
    }
}
