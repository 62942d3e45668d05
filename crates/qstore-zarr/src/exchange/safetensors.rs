//! Importing and exporting states as safetensors files.
//!
//! The format stores named tensors and nothing else: no nesting, no scalars, no checksums. A nested state
//! is written with its keys joined by dots; its structure and scalars go into the file's free-form
//! metadata under `qstore_structure`, which other readers ignore. A file without it becomes a flat state.
//! The format is that of the safetensors project: an eight-byte length, a JSON header padded with spaces,
//! and the tensors back to back.
//!
//! The structure is a second description of the file, and programs that edit a file keep its metadata. So
//! it says where a tensor belongs and nothing else, types and shapes are those of the header, and it is used
//! only if it names exactly the tensors that the header has.

mod header;
mod raw_tensor;

pub use raw_tensor::RawTensor;

use crate::format::aligned::{Aligned, can_allocate, can_be_promised};
use crate::format::structure::{self, Nodes, StructureError};
use header::{Entry, HEADER_MAX, Header, HeaderError, METADATA};
use qstore_checkpoint::{Damage, LoadError, SaveError, Snapshot};
use qstore_os::memory_limit;
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};
use qstore_storage::{FileHandle, FileSystem, LocalFs, Replacement, read_into_zeroed};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

const STRUCTURE: &str = "qstore_structure";

/// Writes a state as a safetensors file. The file appears atomically, and survives a power cut after `Ok`.
/// Returns its length in bytes. A link is followed. Several threads or processes may export to one path at
/// the same time: each succeeds, and the last one wins.
///
/// A [`RawTensor`] is written with its own element type.
///
/// ```
/// use qstore_schema::{StateDict, Tensor};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("model.safetensors");
/// let model = StateDict::from_iter([("layer.0.weight", Tensor::from_vec(vec![1.0_f32; 6], [2, 3])?)]);
/// qstore_zarr::export_safetensors(&path, &model)?;
/// assert_eq!(qstore_zarr::import_safetensors(&path)?, model);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SaveError::Encode`] for a tensor of 128-bit complex numbers, which the format does not support, and
/// for a tensor named `__metadata__`; [`SaveError::State`] for a state that cannot be saved;
/// [`SaveError::Repository`] if the file system fails.
pub fn export_safetensors(path: impl AsRef<Path>, state: &StateDict) -> Result<u64, SaveError> {
    export_safetensors_in(&(Arc::new(LocalFs::new()) as Arc<dyn FileSystem>), path, state)
}

/// Like [`export_safetensors`], in a file system of your choice.
///
/// # Errors
/// As [`export_safetensors`].
pub fn export_safetensors_in(
    storage: &Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    state: &StateDict,
) -> Result<u64, SaveError> {
    Snapshot::new(0).model(state.clone()).check()?;
    let mut leaves = Vec::new();
    let state = lowered(state, &mut leaves);
    let mut nodes = Nodes::default();
    let mut tree = nodes.tree(Snapshot::MODEL, &state);
    let names = unique_names(&state);
    let paths = nodes.arrays.iter().map(|(path, _)| path.as_str());
    structure::rename(&mut tree, &paths.zip(names.iter().map(String::as_str)).collect());
    let lens: Vec<_> = nodes.arrays.iter().map(|(_, tensor)| tensor.data().len()).collect();
    let header = header_of(&tree, &names, &leaves, &lens)?;

    let mut file = Replacement::of(storage, path.as_ref())?;
    file.append(&(header.len() as u64).to_le_bytes())?;
    file.append(&header)?;
    for (_, tensor) in &nodes.arrays {
        file.append(tensor.data())?;
    }
    let len = file.len();
    file.commit()?;
    Ok(len)
}

/// What the header says about one tensor: its element type, if the format has it, and its shape.
type Leaf = (Option<String>, Vec<usize>);

/// The state with a tensor of bytes in place of each raw tensor, and a leaf for each tensor, in order.
fn lowered(state: &StateDict, leaves: &mut Vec<Leaf>) -> StateDict {
    state.iter().map(|(key, node)| (key.clone(), lowered_node(node, leaves))).collect()
}

fn lowered_node(node: &State, leaves: &mut Vec<Leaf>) -> State {
    if let Some(RawTensor { dtype, shape, data }) = RawTensor::of(node) {
        leaves.push((Some(dtype), shape));
        return State::Tensor(Tensor::from_bytes(data));
    }
    match node {
        State::Tensor(tensor) => {
            let dtype = header::name_of(tensor.dtype()).map(ToOwned::to_owned);
            leaves.push((dtype, tensor.shape().into()));
            node.clone()
        }
        State::Dict(dict) => State::Dict(lowered(dict, leaves)),
        State::Bytes(bytes) => {
            let dtype = header::name_of(Dtype::UInt8).map(ToOwned::to_owned);
            leaves.push((dtype, vec![bytes.len()]));
            node.clone()
        }
        State::List(list) => State::List(lowered_list(list, leaves)),
        State::Tuple(nodes) => State::Tuple(lowered_list(nodes, leaves)),
        plain => plain.clone(),
    }
}

fn lowered_list(list: &[State], leaves: &mut Vec<Leaf>) -> Vec<State> {
    list.iter().map(|node| lowered_node(node, leaves)).collect()
}

/// The names of the tensors in the file. Two that would have the same name are numbered.
fn unique_names(state: &StateDict) -> Vec<String> {
    let mut names = Vec::new();
    dotted(state, "", &mut names);
    let mut taken = HashSet::new();
    for name in &mut names {
        let plain = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            *name = format!("{plain}~{number}");
        }
    }
    names
}

/// The bytes of the header, padded to a multiple of eight.
fn header_of(
    tree: &Value,
    names: &[String],
    leaves: &[Leaf],
    lens: &[usize],
) -> Result<Vec<u8>, SaveError> {
    let mut header = Map::new();
    header.insert(METADATA.into(), json!({ "format": "pt", STRUCTURE: tree.to_string() }));
    let mut offset = 0;
    for ((name, (dtype, shape)), len) in names.iter().zip(leaves).zip(lens) {
        let refused =
            |reason: &str| SaveError::Encode { tensor: name.clone(), reason: reason.into() };
        let dtype =
            dtype.as_ref().ok_or_else(|| refused("safetensors has no 128-bit complex numbers"))?;
        let end = offset + len;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] });
        offset = end;
        if header.insert(name.clone(), entry).is_some() {
            return Err(refused("safetensors reserves that name"));
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // bounded: 7 more
    let len = header.len() as u64;
    if len > HEADER_MAX {
        return Err(SaveError::TooLarge { what: "the header".into(), len, limit: HEADER_MAX });
    }
    Ok(header)
}

/// The path of keys to each tensor, joined by dots, in the order of the state.
fn dotted(state: &StateDict, above: &str, names: &mut Vec<String>) {
    for (key, node) in state.iter() {
        dotted_node(node, format!("{above}{key}"), names);
    }
}

fn dotted_node(node: &State, name: String, names: &mut Vec<String>) {
    match node {
        State::Tensor(_) | State::Bytes(_) => names.push(name),
        State::Dict(dict) => dotted(dict, &format!("{name}."), names),
        State::List(list) | State::Tuple(list) => {
            for (number, node) in list.iter().enumerate() {
                dotted_node(node, format!("{name}.{number}"), names);
            }
        }
        _ => {}
    }
}

/// Reads a safetensors file from any writer: nested if this crate wrote it, otherwise flat, in the order
/// of the tensors in the file. The format has no checksums, so damage to the values goes undetected.
///
/// A tensor whose element type has no [`Dtype`](qstore_schema::Dtype) becomes a [`RawTensor`].
///
/// # Errors
/// [`LoadError::StructureMismatch`] if tensors of a file that this crate wrote were added, removed or renamed
/// since; see [`import_safetensors_flat`]. [`LoadError::Damaged`] if the file is not a complete safetensors
/// file; [`LoadError::OutOfMemory`] if its tensors do not fit into memory; [`LoadError::Repository`] if the
/// file system fails.
pub fn import_safetensors(path: impl AsRef<Path>) -> Result<StateDict, LoadError> {
    import_safetensors_in(&LocalFs::new(), path)
}

/// Like [`import_safetensors`], from a file system of your choice.
///
/// # Errors
/// As [`import_safetensors`].
pub fn import_safetensors_in(
    storage: &dyn FileSystem,
    path: impl AsRef<Path>,
) -> Result<StateDict, LoadError> {
    let file = Import::open(storage, path.as_ref())?;
    let Some(structure) = file.header.metadata.get(STRUCTURE) else { return file.flat() };
    let tree: Value = serde_json::from_str(structure)
        .map_err(|error| file.damaged(format!("{STRUCTURE}: {error}")))?;
    file.compare(&tree)?;
    let mut tensors: HashMap<String, Option<State>> = HashMap::new();
    for (name, tensor) in file.tensors()? {
        tensors.insert(name, Some(tensor));
    }
    let rebuilt = structure::rebuild_dict(&tree, &mut |name| match tensors.get_mut(name) {
        Some(tensor) => {
            tensor.take().ok_or_else(|| StructureError::DuplicateTensor { path: name.into() })
        }
        None => Err(StructureError::MissingTensor { path: name.into() }),
    });
    rebuilt.map_err(|error| file.damaged(error.to_string()))
}

/// Reads a safetensors file as a flat state, in the order of the tensors in the file, under the names that
/// they have there. A structure that this crate exported is not used, and the plain values in it are not
/// read: what a file needs whose tensors were edited by another program.
///
/// # Errors
/// As [`import_safetensors`], but never [`LoadError::StructureMismatch`].
pub fn import_safetensors_flat(path: impl AsRef<Path>) -> Result<StateDict, LoadError> {
    import_safetensors_flat_in(&LocalFs::new(), path)
}

/// Like [`import_safetensors_flat`], from a file system of your choice.
///
/// # Errors
/// As [`import_safetensors_flat`].
pub fn import_safetensors_flat_in(
    storage: &dyn FileSystem,
    path: impl AsRef<Path>,
) -> Result<StateDict, LoadError> {
    Import::open(storage, path.as_ref())?.flat()
}

/// An open file whose header is valid.
struct Import<'a> {
    file: Box<dyn FileHandle>,
    path: &'a Path,
    header: Header,
}

impl<'a> Import<'a> {
    fn open(storage: &dyn FileSystem, path: &'a Path) -> Result<Self, LoadError> {
        let file = storage.open(path)?;
        match Header::read(&*file) {
            Ok(header) => Ok(Self { file, path, header }),
            Err(HeaderError::Failed(error)) => Err(error.into()),
            Err(HeaderError::OutOfMemory(len)) => Err(no_memory(path, "its header", len)),
            Err(HeaderError::Malformed(reason)) => Err(damaged(path, reason)),
        }
    }

    fn damaged(&self, reason: String) -> LoadError {
        damaged(self.path, reason)
    }

    /// Compares the tensors that a structure names with those that the file has.
    fn compare(&self, tree: &Value) -> Result<(), LoadError> {
        let mut leaves = Vec::new();
        structure::leaves(tree, &mut leaves);
        let in_structure: HashSet<&str> = leaves.iter().copied().collect();
        let names = || self.header.tensors.iter().map(|(name, _)| name.as_str());
        let in_file: HashSet<&str> = names().collect();
        let added = names().filter(|name| !in_structure.contains(name));
        let added: Vec<_> = added.map(ToOwned::to_owned).collect();
        let missing = leaves.iter().filter(|name| !in_file.contains(**name));
        let missing: Vec<_> = missing.map(|name| (*name).to_owned()).collect();
        if added.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let location = self.path.display().to_string();
        Err(LoadError::StructureMismatch { location, added, missing })
    }

    fn flat(&self) -> Result<StateDict, LoadError> {
        let tensors = self.tensors()?.into_iter();
        Ok(tensors.map(|(name, tensor)| (Key::Name(name.into()), tensor)).collect())
    }

    /// The tensors in the order of the file.
    fn tensors(&self) -> Result<Vec<(String, State)>, LoadError> {
        self.check_memory()?;
        let read = |(name, entry): &(String, Entry)| {
            let memory = usize::try_from(entry.len()).ok().and_then(Aligned::try_zeroed);
            let mut memory =
                memory.ok_or_else(|| no_memory(self.path, &format!("`{name}`"), entry.len()))?;
            let start = self.header.data_start + entry.data_offsets[0];
            read_into_zeroed(&*self.file, start, memory.bytes_mut())?;
            let (shape, data) = (entry.shape.clone(), memory.into_bytes());
            let Some(dtype) = header::dtype_of(&entry.dtype) else {
                return Ok((
                    name.clone(),
                    RawTensor { dtype: entry.dtype.clone(), shape, data }.into(),
                ));
            };
            let tensor = Tensor::new(dtype, shape, data);
            let tensor = tensor.map_err(|error| self.damaged(format!("`{name}`: {error}")))?;
            Ok((name.clone(), State::Tensor(tensor)))
        };
        self.header.tensors.iter().map(read).collect()
    }

    /// Whether all tensors fit into memory. What the file has no bytes for takes none there, either.
    fn check_memory(&self) -> Result<(), LoadError> {
        let len = self.header.data_len;
        if can_allocate(len) {
            return Ok(());
        }
        let limit = memory_limit().unwrap_or(u64::MAX);
        let mut stored = 0;
        let mut position = self.header.data_start;
        while let Some(data) = self.file.next_data(position)?.filter(|data| !data.is_empty()) {
            stored += data.end - data.start;
            position = data.end;
        }
        if can_be_promised(len) && stored <= limit {
            return Ok(());
        }
        Err(no_memory(self.path, "its tensors", len))
    }
}

fn damaged(path: &Path, reason: String) -> LoadError {
    let damage = Damage::Malformed { entry: "header".into(), reason };
    LoadError::Damaged { location: path.display().to_string(), damage }
}

fn no_memory(path: &Path, what: &str, needed: u64) -> LoadError {
    let location = path.display().to_string();
    LoadError::OutOfMemory { location, what: what.into(), needed }
}

#[cfg(test)]
mod tests;
