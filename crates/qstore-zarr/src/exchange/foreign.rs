//! Checkpoints that are plain Zarr groups, without a manifest: those of the Python package of the same
//! name and of other writers with the same layout, in Zarr version 2 or 3.
//!
//! They cannot be verified: there is no list of contents and usually no checksum, and an interrupted save
//! looks like a complete one. So they are never listed and are loaded only by path, and a missing chunk is
//! an error unless the caller opts in. Use only on trusted files.

use crate::format::aligned::can_be_had;
use crate::format::codec::RATIO_MAX;
use qstore_checkpoint::{Checkpoint, CheckpointInfo, Damage, LoadError, Parts, Snapshot};
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};
use qstore_storage::{EntryKind, FileSystem, LocalFs, read_all};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zarrs::array::{Array, ArrayBytes};
use zarrs::plugin::ZarrVersion;
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, ReadableStorageTraits, StorageError, StoreKey,
};

/// How to treat a missing chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MissingChunks {
    /// An error: the save was interrupted, or the chunk was lost.
    #[default]
    Refuse,
    /// Use the fill value: the writer leaves out chunks that contain nothing else, as zarr-python does by
    /// default. A chunk that was lost then silently becomes zeros.
    Fill,
}

/// Loads a Zarr group as a checkpoint: `model/…` and, if it exists, `optimizer/…`, nested as the groups
/// are; `epoch`, `timestamp` and `save_duration_ms` from its attributes, all others as metadata. Nothing
/// can be verified except what the codecs check.
///
/// # Errors
/// [`LoadError::Damaged`] if it is not such a group, if a chunk is missing or cannot be decoded, or if
/// tensors do not support the element type; [`LoadError::Repository`] if the file system fails.
pub fn load_zarr_group(
    path: impl AsRef<Path>,
    missing: MissingChunks,
) -> Result<Checkpoint, LoadError> {
    load_zarr_group_in(&(Arc::new(LocalFs::new()) as Arc<dyn FileSystem>), path, missing)
}

/// Like [`load_zarr_group`], from a file system of your choice.
///
/// # Errors
/// As [`load_zarr_group`].
pub fn load_zarr_group_in(
    storage: &Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    missing: MissingChunks,
) -> Result<Checkpoint, LoadError> {
    let root = storage.resolve(path.as_ref())?;
    let store = Arc::new(GroupStore { storage: Arc::clone(storage), root });
    let group = Group { store, missing };
    let Some(Node::Group(attributes)) = group.node(Path::new(""))? else {
        return Err(group.damaged("zarr.json", "it is not a Zarr group"));
    };
    let Some(State::Dict(model)) = group.read(Path::new("model"))? else {
        return Err(group.damaged("model", "there is no group with this name"));
    };
    let mut parts = Parts::from_iter([(Snapshot::MODEL, model)]);
    if let Some(State::Dict(optimizer)) = group.read(Path::new("optimizer"))? {
        parts.insert(Snapshot::OPTIMIZER, optimizer);
    }
    let number = |name: &str| attributes.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let epoch = attributes.get("epoch").and_then(Value::as_u64).unwrap_or(0);
    let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or_default();
    let mut info = CheckpointInfo::new(epoch, 0);
    info.timestamp = SystemTime::UNIX_EPOCH + seconds(number("timestamp"));
    info.save_duration = seconds(number("save_duration_ms") / 1e3);
    info.parts = parts.iter().map(|(name, state)| (name.into(), state.tensor_bytes())).collect();
    info.metadata = metadata_of(attributes);
    Ok(Checkpoint::new(parts, info))
}

fn metadata_of(mut attributes: Map<String, Value>) -> StateDict {
    for own in ["epoch", "timestamp", "save_duration_ms"] {
        attributes.remove(own);
    }
    // Some writers keep the metadata in one attribute, some next to the other attributes.
    if let Some(Value::Object(inner)) = attributes.remove("metadata") {
        attributes.extend(inner);
    }
    match state_of(Value::Object(attributes)) {
        State::Dict(dict) => dict,
        _ => StateDict::new(),
    }
}

fn state_of(value: Value) -> State {
    match value {
        Value::Null => State::Null,
        Value::Bool(flag) => State::Bool(flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => State::Int(number),
            None => State::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => State::Text(text.into()),
        Value::Array(nodes) => State::List(nodes.into_iter().map(state_of).collect()),
        Value::Object(nodes) => {
            let node = |(key, node): (String, Value)| (Key::Name(key.into()), state_of(node));
            State::Dict(nodes.into_iter().map(node).collect())
        }
    }
}

struct Group {
    store: Arc<GroupStore>,
    missing: MissingChunks,
}

enum Node {
    Group(Map<String, Value>),
    Array,
}

impl Group {
    fn damaged(&self, entry: &str, reason: impl std::fmt::Display) -> LoadError {
        let damage = Damage::malformed(entry, reason);
        LoadError::Damaged { location: self.store.root.display().to_string(), damage }
    }

    /// The node at this path below the root.
    fn node(&self, path: &Path) -> Result<Option<Node>, LoadError> {
        if let Some(found) = self.json(&path.join("zarr.json"))? {
            let is_array = found.get("node_type").and_then(Value::as_str) == Some("array");
            let attributes = found.get("attributes").and_then(Value::as_object).cloned();
            let group = || Node::Group(attributes.unwrap_or_default());
            return Ok(Some(if is_array { Node::Array } else { group() }));
        }
        if self.json(&path.join(".zarray"))?.is_some() {
            return Ok(Some(Node::Array));
        }
        if self.json(&path.join(".zgroup"))?.is_none() {
            return Ok(None);
        }
        let attributes = self.json(&path.join(".zattrs"))?;
        let attributes = attributes.and_then(|found| found.as_object().cloned());
        Ok(Some(Node::Group(attributes.unwrap_or_default())))
    }

    fn json(&self, path: &Path) -> Result<Option<Value>, LoadError> {
        let Some(bytes) = self.store.read(path)? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| self.damaged(&path.to_string_lossy(), error))
    }

    /// A group as a dict, an array as a tensor.
    fn read(&self, path: &Path) -> Result<Option<State>, LoadError> {
        match self.node(path)? {
            None => Ok(None),
            Some(Node::Array) => self.tensor(path).map(|tensor| Some(tensor.into())),
            Some(Node::Group(_)) => {
                let mut names = Vec::new();
                for entry in self.store.storage.list(&self.store.root.join(path))? {
                    let name = entry.name.into_string().ok();
                    names.extend(name.filter(|_| entry.kind == EntryKind::Dir));
                }
                names.sort_unstable(); // directory entries have no order
                let mut dict = StateDict::new();
                for name in names {
                    if let Some(node) = self.read(&path.join(&name))? {
                        dict.insert(name, node);
                    }
                }
                Ok(Some(State::Dict(dict)))
            }
        }
    }

    fn tensor(&self, path: &Path) -> Result<Tensor, LoadError> {
        let name = path.to_string_lossy().into_owned();
        let damaged = |error: &dyn std::fmt::Display| self.damaged(&name, error);
        let array = Array::open(Arc::clone(&self.store), &format!("/{name}"))
            .map_err(|error| damaged(&error))?;
        let dtype = array.data_type().name(ZarrVersion::V3).unwrap_or_default();
        let dtype: Dtype = dtype.parse().map_err(|error| damaged(&error))?;
        let lengths = array.shape().iter().map(|length| usize::try_from(*length));
        let shape: Vec<usize> =
            lengths.collect::<Result<_, _>>().map_err(|error| damaged(&error))?;
        let product = |bytes: usize, length: &usize| bytes.checked_mul(*length);
        let claimed = shape.iter().try_fold(dtype.size(), product);
        let Some(claimed) = claimed.filter(|claimed| can_be_had(*claimed)) else {
            return Err(damaged(&"there is not enough memory for its shape"));
        };
        if self.missing == MissingChunks::Refuse {
            self.check_chunks(&array, &name, claimed as u64)?;
        }
        let bytes: ArrayBytes<'_> =
            array.retrieve_array_subset(&array.subset_all()).map_err(|error| damaged(&error))?;
        let bytes = bytes.into_fixed().map_err(|error| damaged(&error))?.into_owned();
        Tensor::new(dtype, shape, bytes).map_err(|error| damaged(&error))
    }

    /// Checks that every chunk exists, and that the chunks are large enough for the array's shape.
    fn check_chunks(
        &self,
        array: &Array<GroupStore>,
        name: &str,
        claimed: u64,
    ) -> Result<(), LoadError> {
        let grid = array.chunk_grid_shape();
        let mut stored = 0_u64;
        let mut indices = vec![0; grid.len()];
        if claimed > 0 {
            loop {
                let key = array.chunk_key(&indices);
                let Some(len) = self.store.len_of(&key)? else {
                    let damage = Damage::Missing { entry: key.to_string() };
                    return Err(LoadError::Damaged {
                        location: self.store.root.display().to_string(),
                        damage,
                    });
                };
                stored = stored.saturating_add(len);
                let at = (0..grid.len()).rev().find(|at| indices[*at] + 1 < grid[*at]);
                let Some(at) = at else { break };
                indices[at] += 1;
                indices[at + 1..].fill(0);
            }
        }
        if claimed > stored.saturating_mul(RATIO_MAX) {
            return Err(self.damaged(name, "its shape is larger than its chunks can decompress to"));
        }
        Ok(())
    }
}

/// The group's files as a zarrs store. Symbolic links are not followed.
#[derive(Debug)]
struct GroupStore {
    storage: Arc<dyn FileSystem>,
    root: PathBuf,
}

impl GroupStore {
    /// The bytes of a file; `None` if it does not exist.
    fn read(&self, relative: &Path) -> Result<Option<Vec<u8>>, qstore_storage::Error> {
        let path = self.root.join(relative);
        match self.storage.resolve(&path) {
            Ok(resolved) if resolved == path => {}
            Err(error) if !error.is_not_found() => return Err(error),
            _ => return Ok(None),
        }
        match read_all(&*self.storage, &path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn len_of(&self, key: &StoreKey) -> Result<Option<u64>, qstore_storage::Error> {
        let found = self.storage.metadata(&self.root.join(key.as_str()))?;
        Ok(found.filter(|found| found.kind == EntryKind::File).map(|found| found.len))
    }
}

impl ReadableStorageTraits for GroupStore {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        let read = self.read(Path::new(key.as_str()));
        read.map(|bytes| bytes.map(Bytes::from))
            .map_err(|error| StorageError::Other(error.to_string()))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(bytes) = self.get(key)? else { return Ok(None) };
        let part = move |range: ByteRange| {
            let len = bytes.len() as u64;
            let (start, end) = (range.start(len), range.end(len));
            if start > end || end > len {
                return Err(StorageError::Other("a range beyond the end of a file".into()));
            }
            Ok(bytes.slice(start as usize..end as usize))
        };
        Ok(Some(Box::new(byte_ranges.map(part))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        self.len_of(key).map_err(|error| StorageError::Other(error.to_string()))
    }

    fn supports_get_partial(&self) -> bool {
        false
    }
}
