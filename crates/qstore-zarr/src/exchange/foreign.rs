//! Checkpoints that are plain Zarr groups, without a manifest: those of the Python package of the same
//! name and of other writers with the same layout, in Zarr version 2 or 3.
//!
//! They cannot be verified: there is no list of contents and usually no checksum, and an interrupted save
//! looks like a complete one. So they are never listed and are loaded only by path, and a missing chunk is
//! an error unless the caller opts in. Use only on trusted files.
//!
//! What this version cannot decode is [`LoadError::Unsupported`], never damage.

mod array;
mod document;
mod group_store;

use crate::format::seconds;
use document::state_of;
use group_store::GroupStore;
use qstore_checkpoint::{Checkpoint, CheckpointInfo, Damage, LoadError, Parts, Snapshot};
use qstore_schema::{State, StateDict};
use qstore_storage::{FileSystem, LocalFs};
use serde_json::{Map, Value};
use std::path::{Component, Path};
use std::sync::Arc;

/// How to treat a missing chunk. What the index of a shard says was left out is always the fill value.
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
/// Decoded are the codecs `blosc`, `gzip`, `zlib`, `zstd`, `crc32c`, `transpose` and `sharding_indexed`, both
/// orders of elements and both byte orders. Attributes may hold `NaN`, `Infinity` and `-Infinity` as Python
/// writes them.
///
/// # Errors
/// [`LoadError::Unsupported`] if it is not such a group, or has a codec or an element type that this version
/// does not know; [`LoadError::Damaged`] if a document is not JSON, or if an array or a chunk is missing or
/// cannot be decoded; [`LoadError::OutOfMemory`] if it does not fit into memory; [`LoadError::Repository`] if
/// the file system fails.
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
    let group = Group { store: Arc::new(GroupStore::new(storage, root)), missing };
    let Some(Node::Group(attributes)) = group.node(Path::new(""))? else {
        return Err(group.unsupported("it is not a Zarr group", NOT_A_CHECKPOINT));
    };
    let Some(State::Dict(model)) = group.read(Path::new(Snapshot::MODEL))? else {
        return Err(group.unsupported("it has no group `model`", NOT_A_CHECKPOINT));
    };
    let mut parts = Parts::from_iter([(Snapshot::MODEL, model)]);
    if let Some(State::Dict(optimizer)) = group.read(Path::new(Snapshot::OPTIMIZER))? {
        parts.insert(Snapshot::OPTIMIZER, optimizer);
    }
    group.compare_with_consolidated()?;
    let number = |name: &str| attributes.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let epoch = attributes.get("epoch").and_then(Value::as_u64).unwrap_or(0);
    let mut info = CheckpointInfo::new(epoch, 0);
    info.timestamp = seconds::time(number("timestamp"));
    info.save_duration = seconds::duration(number("save_duration_ms") / 1e3);
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

const NOT_A_CHECKPOINT: &str =
    "give the directory of a Zarr group that contains the group `model` and perhaps `optimizer`";

struct Group {
    store: Arc<GroupStore>,
    missing: MissingChunks,
}

enum Node {
    Group(Map<String, Value>),
    /// With its metadata document.
    Array(Value),
}

impl Group {
    fn location(&self) -> String {
        self.store.root().display().to_string()
    }

    fn damaged(&self, entry: &str, reason: impl std::fmt::Display) -> LoadError {
        LoadError::Damaged { location: self.location(), damage: Damage::malformed(entry, reason) }
    }

    fn missing(&self, entry: String) -> LoadError {
        LoadError::Damaged { location: self.location(), damage: Damage::Missing { entry } }
    }

    fn unsupported(&self, what: impl Into<String>, advice: &str) -> LoadError {
        let (what, advice) = (what.into(), advice.into());
        LoadError::Unsupported { location: self.location(), what, advice }
    }

    /// The node at this path below the root.
    fn node(&self, path: &Path) -> Result<Option<Node>, LoadError> {
        let attributes_of = |found: &Value| found.as_object().cloned().unwrap_or_default();
        if let Some(found) = self.json(&path.join("zarr.json"))? {
            if found.get("node_type").and_then(Value::as_str) == Some("array") {
                return Ok(Some(Node::Array(found)));
            }
            let attributes = found.get("attributes").map(attributes_of);
            return Ok(Some(Node::Group(attributes.unwrap_or_default())));
        }
        if let Some(found) = self.json(&path.join(".zarray"))? {
            self.json(&path.join(".zattrs"))?; // must be JSON; only zarrs looks at it
            return Ok(Some(Node::Array(found)));
        }
        if self.json(&path.join(".zgroup"))?.is_none() {
            return Ok(None);
        }
        let attributes = self.json(&path.join(".zattrs"))?;
        Ok(Some(Node::Group(attributes.as_ref().map(attributes_of).unwrap_or_default())))
    }

    fn json(&self, path: &Path) -> Result<Option<Value>, LoadError> {
        let Some(bytes) = self.store.document(path)? else { return Ok(None) };
        let value = document::parse(&bytes);
        value.map(Some).map_err(|error| self.damaged(&path.to_string_lossy(), error))
    }

    /// A group as a dict, an array as a tensor.
    fn read(&self, path: &Path) -> Result<Option<State>, LoadError> {
        match self.node(path)? {
            None => Ok(None),
            Some(Node::Array(document)) => {
                self.tensor(path, &document).map(|tensor| Some(tensor.into()))
            }
            Some(Node::Group(_)) => {
                let mut dict = StateDict::new();
                for name in self.store.dirs_in(path)? {
                    if let Some(node) = self.read(&path.join(&name))? {
                        dict.insert(name, node);
                    }
                }
                Ok(Some(State::Dict(dict)))
            }
        }
    }

    /// The consolidated metadata is a second list of the arrays. An array that only this list has was lost,
    /// for example by a copy that was interrupted. One that only the directory has was added later.
    fn compare_with_consolidated(&self) -> Result<(), LoadError> {
        let inline = self.json(Path::new("zarr.json"))?;
        let listed = match inline {
            Some(root) => {
                root.get("consolidated_metadata").and_then(|found| found.get("metadata")).cloned()
            }
            None => {
                self.json(Path::new(".zmetadata"))?.and_then(|root| root.get("metadata").cloned())
            }
        };
        for (path, document) in listed.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let entry = match path.strip_suffix("/.zarray") {
                Some(_) => path.clone(),
                None if document.get("node_type").and_then(Value::as_str) == Some("array") => {
                    format!("{path}/zarr.json")
                }
                None => continue,
            };
            let is_inside =
                Path::new(&entry).components().all(|part| matches!(part, Component::Normal(_)));
            let is_loaded = [Snapshot::MODEL, Snapshot::OPTIMIZER]
                .iter()
                .any(|part| entry.split('/').next() == Some(part));
            if is_inside && is_loaded && self.store.len_of(&entry)?.is_none() {
                return Err(self.missing(entry));
            }
        }
        Ok(())
    }
}
