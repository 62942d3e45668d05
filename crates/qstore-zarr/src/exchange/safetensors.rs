//! Importing and exporting states as safetensors files.
//!
//! The format stores named tensors and nothing else: no nesting, no scalars, no checksums. A nested state
//! is written with its keys joined by dots; its structure and scalars go into the file's free-form
//! metadata under `qstore_structure`, which other readers ignore. A file without it becomes a flat state.
//! The format is that of the safetensors project: an eight-byte length, a JSON header padded with spaces,
//! and the tensors back to back.

use crate::format::aligned::Aligned;
use crate::format::structure::{self, Nodes, StructureError};
use qstore_checkpoint::{Damage, LoadError, SaveError, Snapshot};
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};
use qstore_storage::{FileHandle, FileSystem, LocalFs, StagedFile, parent_of};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The maximum length of a header, the same as in the reference implementation.
const HEADER_MAX: u64 = 100_000_000;
const STRUCTURE: &str = "qstore_structure";
const METADATA: &str = "__metadata__";

/// Writes a state as a safetensors file. The file appears atomically, and survives a power cut after `Ok`.
/// Returns its length in bytes.
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
    let path = path.as_ref();
    Snapshot::new(0).model(state.clone()).check()?;
    let mut nodes = Nodes::default();
    let mut tree = nodes.tree(Snapshot::MODEL, state);
    let mut names = Vec::with_capacity(nodes.arrays.len());
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
    let paths = nodes.arrays.iter().map(|(path, _)| path.as_str());
    rename(&mut tree, &paths.zip(names.iter().map(String::as_str)).collect());

    let mut header = Map::new();
    header.insert(METADATA.into(), json!({ "format": "pt", STRUCTURE: tree.to_string() }));
    let mut offset = 0;
    for (name, (_, tensor)) in names.iter().zip(&nodes.arrays) {
        let refused =
            |reason: &str| SaveError::Encode { tensor: name.clone(), reason: reason.into() };
        let dtype = name_of(tensor.dtype())
            .ok_or_else(|| refused("safetensors has no 128-bit complex numbers"))?;
        let end = offset + tensor.data().len();
        let entry =
            json!({ "dtype": dtype, "shape": tensor.shape(), "data_offsets": [offset, end] });
        offset = end;
        if header.insert(name.clone(), entry).is_some() {
            return Err(refused("safetensors reserves that name"));
        }
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > HEADER_MAX {
        let len = header.len() as u64;
        return Err(SaveError::TooLarge { what: "the header".into(), len, limit: HEADER_MAX });
    }

    // A link is followed, as by a metrics file: publishing renames, which would replace it.
    let path = &*storage.resolve(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent_of(path).join(format!(".{name}.{}.tmp", std::process::id()));
    let mut staged = StagedFile::replacing(storage, &temporary, path)?;
    staged.append(&(header.len() as u64).to_le_bytes())?;
    staged.append(&header)?;
    for (_, tensor) in &nodes.arrays {
        staged.append(tensor.data())?;
    }
    let len = staged.len();
    staged.commit(path)?;
    Ok(len)
}

/// The path of keys to each tensor, joined by dots, in the order of the state.
fn dotted(state: &StateDict, above: &str, names: &mut Vec<String>) {
    for (key, node) in state.iter() {
        dotted_node(node, format!("{above}{key}"), names);
    }
}

fn dotted_node(node: &State, name: String, names: &mut Vec<String>) {
    match node {
        State::Tensor(_) => names.push(name),
        State::Dict(dict) => dotted(dict, &format!("{name}."), names),
        State::List(list) => {
            for (number, node) in list.iter().enumerate() {
                dotted_node(node, format!("{name}.{number}"), names);
            }
        }
        _ => {}
    }
}

/// Replaces the array paths in the leaves of a structure with the names of the file's tensors.
fn rename(tree: &mut Value, names: &HashMap<&str, &str>) {
    match tree {
        Value::Array(nodes) => nodes.iter_mut().for_each(|node| rename(node, names)),
        Value::Object(object) => {
            if let Some(Value::String(path)) = object.get_mut("tensor") {
                if let Some(name) = names.get(path.as_str()) {
                    *path = (*name).to_owned();
                }
            } else if let Some(nodes) = object.get_mut("nodes") {
                rename(nodes, names);
            }
        }
        _ => {}
    }
}

/// Reads a safetensors file from any writer: nested if this crate wrote it, otherwise flat, in the order
/// of the tensors in the file. The format has no checksums, so damage to the values goes undetected.
///
/// # Errors
/// [`LoadError::Damaged`] if the file is not a complete safetensors file; [`LoadError::Repository`] if the
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
    let path = path.as_ref();
    let file = storage.open(path)?;
    let damaged = |reason: String| LoadError::Damaged {
        location: path.display().to_string(),
        damage: Damage::Malformed { entry: "header".into(), reason },
    };
    let (header, data_start) = read_header(&*file).map_err(|error| match error {
        HeaderError::Failed(error) => error.into(),
        HeaderError::Malformed(reason) => damaged(reason),
    })?;
    let data_len = file.len()? - data_start;
    let entries = header.entries(data_len).map_err(damaged)?;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, Entry { dtype, shape, data_offsets: [start, end] }) in entries {
        let dtype =
            dtype_of(&dtype).ok_or_else(|| damaged(format!("unknown element type `{dtype}`")))?;
        let mut memory = Aligned::zeroed((end - start) as usize);
        file.read_at(data_start + start, memory.bytes_mut())?;
        let tensor = Tensor::new(dtype, shape, memory.into_bytes())
            .map_err(|error| damaged(format!("`{name}`: {error}")))?;
        tensors.push((name, tensor));
    }
    let structure = header.metadata.as_ref().and_then(|metadata| metadata.get(STRUCTURE));
    let Some(structure) = structure else {
        return Ok(tensors
            .into_iter()
            .map(|(name, tensor)| (Key::Name(name.into()), tensor))
            .collect());
    };
    let tree: Value =
        serde_json::from_str(structure).map_err(|error| damaged(error.to_string()))?;
    let mut tensors: HashMap<String, Option<Tensor>> =
        tensors.into_iter().map(|(name, tensor)| (name, Some(tensor))).collect();
    let rebuilt = structure::rebuild_dict(&tree, &mut |name| match tensors.get_mut(name) {
        Some(tensor) => {
            tensor.take().ok_or_else(|| StructureError::DuplicateTensor { path: name.into() })
        }
        None => Err(StructureError::MissingTensor { path: name.into() }),
    });
    rebuilt.map_err(|error| damaged(error.to_string()))
}

#[derive(Debug, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Why a header could not be read.
enum HeaderError {
    Failed(qstore_storage::Error),
    Malformed(String),
}

impl From<qstore_storage::Error> for HeaderError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Failed(error)
    }
}

/// The header, and the offset where the data begins.
fn read_header(file: &dyn FileHandle) -> Result<(Header, u64), HeaderError> {
    let len = file.len()?;
    if len < 8 {
        return Err(HeaderError::Malformed("the file is too short".into()));
    }
    let mut prefix = [0; 8];
    file.read_at(0, &mut prefix)?;
    let header_len = u64::from_le_bytes(prefix);
    if header_len > HEADER_MAX || header_len > len - 8 {
        return Err(HeaderError::Malformed("the header does not fit into the file".into()));
    }
    let mut header = vec![0; header_len as usize];
    file.read_at(8, &mut header)?;
    let header = serde_json::from_slice(&header)
        .map_err(|error| HeaderError::Malformed(error.to_string()))?;
    Ok((header, 8 + header_len))
}

impl Header {
    /// The tensors in the order of their data. They cover all of it without gaps or overlaps.
    fn entries(&self, data_len: u64) -> Result<Vec<(String, Entry)>, String> {
        let entry = |(name, value): (&String, &Value)| {
            let entry = Entry::deserialize(value).map_err(|error| format!("`{name}`: {error}"))?;
            Ok((name.clone(), entry))
        };
        let mut entries = self.tensors.iter().map(entry).collect::<Result<Vec<_>, String>>()?;
        entries.sort_by_key(|(_, entry)| entry.data_offsets);
        let mut end = 0;
        for (name, Entry { data_offsets, .. }) in &entries {
            if data_offsets[0] != end || data_offsets[1] < end {
                return Err(format!("`{name}` does not begin where the previous tensor ends"));
            }
            end = data_offsets[1];
        }
        if end != data_len {
            return Err(format!(
                "the tensors have {end} bytes, the file has {data_len} bytes of data"
            ));
        }
        Ok(entries)
    }
}

const DTYPES: [(Dtype, &str); 16] = [
    (Dtype::Bool, "BOOL"),
    (Dtype::Int8, "I8"),
    (Dtype::Int16, "I16"),
    (Dtype::Int32, "I32"),
    (Dtype::Int64, "I64"),
    (Dtype::UInt8, "U8"),
    (Dtype::UInt16, "U16"),
    (Dtype::UInt32, "U32"),
    (Dtype::UInt64, "U64"),
    (Dtype::Float8E4M3, "F8_E4M3"),
    (Dtype::Float8E5M2, "F8_E5M2"),
    (Dtype::BFloat16, "BF16"),
    (Dtype::Float16, "F16"),
    (Dtype::Float32, "F32"),
    (Dtype::Float64, "F64"),
    (Dtype::Complex64, "C64"),
];

fn name_of(dtype: Dtype) -> Option<&'static str> {
    DTYPES.iter().find(|(known, _)| *known == dtype).map(|(_, name)| *name)
}

fn dtype_of(name: &str) -> Option<Dtype> {
    DTYPES.iter().find(|(_, known)| *known == name).map(|(dtype, _)| *dtype)
}

#[cfg(test)]
mod tests;
