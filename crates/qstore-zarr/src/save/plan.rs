//! The plan of a checkpoint: what it consists of, determined before the first byte is written, and how it
//! is written.

use super::choice::{Choice, choose};
use super::dedup::{Previous, Stored, digest_of};
use super::settings::CheckpointSettings;
use crate::container::entry::{Entry, Listed};
use crate::container::output::{Output, Target};
use crate::format::ZARR_JSON;
use crate::format::chunking::Grid;
use crate::format::codec::{Codec, Encoded};
use crate::format::documents::{Document, Documents};
use crate::format::root_document::{Facts, PartTree, RootDocument, Structure};
use crate::format::structure::{self, Nodes};
use crate::workers::ordered::in_order;
use crate::workers::spread::spread;
use qstore_checkpoint::repository::{Repository, TreeDraft};
use qstore_checkpoint::{Counter, Layout, SaveError, Snapshot};
use qstore_schema::Tensor;
use std::borrow::Cow;
use std::time::{Instant, SystemTime};

/// Everything about a checkpoint except its bytes.
pub(super) struct Plan<'a> {
    counter: Counter,
    arrays: Vec<ArrayPlan>,
    /// For each array, the number of chunks before it.
    first_chunks: Vec<usize>,
    chunks: usize,
    /// Groups and arrays below the root, with their metadata.
    nodes: Vec<(String, Document)>,
    structure: Structure,
    /// The number of bytes that will be written, estimated from a sample of each tensor.
    estimate: f64,
    /// The previous checkpoint, whose chunks may be linked.
    previous: Option<&'a Previous>,
}

struct ArrayPlan {
    path: String,
    tensor: Tensor,
    grid: Grid,
    codec: Codec,
    /// With deduplication, the hash that identifies its bytes.
    digest: Option<String>,
    /// Whether the previous checkpoint has the same array.
    is_stored: bool,
}

impl ArrayPlan {
    /// The name of chunk `at` of this array.
    fn name_of(&self, at: usize) -> String {
        format!("{}/{}", self.path, self.grid.key(at))
    }

    fn encode(&self, at: usize) -> Result<Encoded<'_>, SaveError> {
        let Self { path, tensor, grid, codec, .. } = self;
        let mut data = Cow::Borrowed(&tensor.data()[grid.range(at)]);
        if data.len() < grid.chunk_len() {
            data.to_mut().resize(grid.chunk_len(), 0);
        }
        codec.encode(data).map_err(|reason| SaveError::Encode { tensor: path.clone(), reason })
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        snapshot: &Snapshot,
        counter: Counter,
        settings: &CheckpointSettings,
        previous: Option<&'a Previous>,
    ) -> Result<Self, SaveError> {
        snapshot.check()?;
        let mut found = Nodes::default();
        let mut groups_of_parts = Vec::with_capacity(snapshot.parts.len());
        let trees = found.parts(&snapshot.parts);
        let parts = trees.into_iter().zip(snapshot.parts.iter()).map(
            |((name, group, tree), (_, state))| {
                groups_of_parts.push((group, structure::plain(state)));
                PartTree { name: name.into(), tensor_bytes: state.tensor_bytes(), tree }
            },
        );
        let parts = parts.collect();
        let metadata = Nodes::default().tree("metadata", &snapshot.metadata);
        let structure = Structure { parts, metadata };

        let mut plan = Self {
            counter,
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
        plan.nodes.extend(found.groups.into_iter().map(|path| {
            // The plain values of a part are attributes of its group, for other readers.
            let values =
                groups_of_parts.iter().find(|(group, values)| *group == path && !values.is_empty());
            let document = values.map(|(_, values)| Documents::group_with(values.clone()));
            (path, document.unwrap_or_else(|| group.clone()))
        }));
        for (path, tensor) in found.arrays {
            plan.add(path, tensor, settings, &mut documents)?;
        }
        // zarr-python builds its tree from runs of siblings, and loses a group whose members lie apart.
        plan.nodes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(plan)
    }

    fn add(
        &mut self,
        path: String,
        tensor: Tensor,
        settings: &CheckpointSettings,
        documents: &mut Documents,
    ) -> Result<(), SaveError> {
        // A chunk has two headers in an archive, or its own inode; metadata is stored twice.
        const PER_CHUNK: f64 = 200.0;
        const PER_ARRAY: f64 = 2_000.0;
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let encode = |reason| SaveError::Encode { tensor: path.clone(), reason };
        let grid = Grid::new(shape, dtype.size(), settings.chunk_bytes)
            .ok_or_else(|| encode("its shape has more bytes than can be addressed".into()))?;
        let grid = match settings.layout {
            Layout::SingleFile => grid,
            // One directory per array instead of one per row of chunks.
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

    /// Refuses a checkpoint that clearly does not fit. The sample may compress worse than the rest, so a
    /// borderline case is tried; if the disk then fills up, the save fails and nothing is listed.
    pub(super) fn check_room(&self, repository: &dyn Repository) -> Result<(), SaveError> {
        const CLEARLY: f64 = 0.9;
        let needed = (self.estimate * CLEARLY) as u64;
        match repository.available()? {
            Some(available) if available < needed => {
                Err(SaveError::NoSpace { location: repository.location(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// Writes everything except the manifest. Returns how many bytes were linked instead of written.
    pub(super) fn write(
        &self,
        snapshot: &Snapshot,
        workers: usize,
        output: &mut Output,
        started: Instant,
    ) -> Result<u64, SaveError> {
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
            // Creating a file can take as long as compressing its content, and file systems can create
            // files in several directories in parallel: the thread that encodes an entry also writes it.
            Target::Tree(tree) => {
                let indices = (0..count).collect();
                let store = |(): &mut (), index| self.store(index, &**tree);
                spread(workers, indices, || (), store)?.into_iter().for_each(note);
            }
        }
        for ArrayPlan { path, digest, .. } in &self.arrays {
            if let Some(digest) = digest {
                manifest.note_digest(path.clone(), digest.clone());
            }
        }
        output.document(ZARR_JSON.into(), self.root_of(snapshot, started))?;
        Ok(linked)
    }

    /// Puts entry `index` into a tree: linked if possible, otherwise written.
    fn store(&self, index: usize, tree: &dyn TreeDraft) -> Result<Listed, SaveError> {
        if let Some((name, Stored { len, crc32c, tree: from })) = self.stored(index)
            && tree.link(&name, &from)
        {
            return Ok(Listed { name, len, crc32c, is_linked: true });
        }
        self.entry(index)?.write_to(tree)
    }

    /// Entry `index`, ready to be written: first all chunks of all arrays, then the documents of all
    /// nodes.
    fn entry(&self, index: usize) -> Result<Entry<'_>, SaveError> {
        if let Some(node) = index.checked_sub(self.chunks) {
            let (path, metadata) = &self.nodes[node];
            return Ok(Entry::document(format!("{path}/{ZARR_JSON}"), metadata.get().into()));
        }
        let (array, at) = self.array_of(index);
        Ok(Entry::chunk(array.name_of(at), array.encode(at)?))
    }

    /// The name of entry `index` and where it is already stored, if it is.
    fn stored(&self, index: usize) -> Option<(String, Stored)> {
        let previous = self.previous.filter(|_| index < self.chunks)?;
        let (array, at) = self.array_of(index);
        let name = array.is_stored.then(|| array.name_of(at))?;
        let stored = previous.chunk(&name)?;
        Some((name, stored))
    }

    /// The array that chunk `index` belongs to, and its index there.
    fn array_of(&self, index: usize) -> (&ArrayPlan, usize) {
        // An array without chunks starts at the same index as the next array, so the last match is right.
        let array = self.first_chunks.partition_point(|first| *first <= index) - 1;
        (&self.arrays[array], index - self.first_chunks[array])
    }

    /// The text of the root document.
    fn root_of(&self, snapshot: &Snapshot, started: Instant) -> String {
        let since_1970 = snapshot.timestamp.duration_since(SystemTime::UNIX_EPOCH);
        let facts = Facts {
            number: snapshot.number(),
            timestamp: since_1970.map_or(0.0, |since| since.as_secs_f64()),
            save_duration_ms: started.elapsed().as_secs_f64() * 1e3,
        };
        let metadata = structure::plain(&snapshot.metadata).into();
        RootDocument::new(self.counter, &facts, metadata, &self.structure, &self.nodes).text()
    }
}
