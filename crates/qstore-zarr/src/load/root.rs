//! Which arrays a checkpoint has, and how they make up the state.
//!
//! Nothing is trusted before it is checked: an array exists only if all its chunks exist, with plausible
//! lengths.

use crate::container::sealed::Sealed;
use crate::format::ZARR_JSON;
use crate::format::codec::ArrayForm;
use crate::format::root_document::{ParsedRoot, PartTree};
use crate::format::seconds;
use crate::format::structure::{self, StructureError};
use qstore_checkpoint::seal::MANIFEST;
use qstore_checkpoint::{CheckpointInfo, Damage, LoadError, Parts};
use qstore_schema::Tensor;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use zarrs::array::ArrayMetadataV3;

/// The root of a checkpoint, parsed.
#[derive(Debug)]
pub(crate) struct Root {
    parsed: ParsedRoot,
}

/// Array metadata parsed so far, by its text.
type Forms<'a> = HashMap<&'a str, Result<ArrayForm, String>>;

/// One tensor to be read.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) path: String,
    pub(crate) form: ArrayForm,
    /// The entries of its chunks, in order.
    pub(crate) entries: Vec<usize>,
    /// The size of the tensor in bytes.
    pub(crate) len: usize,
}

impl Root {
    pub(crate) fn read(sealed: &Sealed) -> Result<Self, LoadError> {
        let bytes = sealed.document(ZARR_JSON)?;
        let parsed = ParsedRoot::parse(&bytes, sealed.manifest.version())
            .map_err(|error| malformed(sealed, error))?;
        if parsed.facts.number != sealed.manifest.number {
            return Err(malformed(sealed, "its number does not match the manifest"));
        }
        Ok(Self { parsed })
    }

    fn parts_in_order(&self) -> &[PartTree] {
        &self.parsed.structure.parts
    }

    /// The paths of the arrays, in the order of the state.
    pub(crate) fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        for part in self.parts_in_order() {
            structure::leaves(&part.tree, &mut paths);
        }
        paths
    }

    /// The arrays in the structure, all of whose chunks exist. Every entry of the container must be one of
    /// these chunks, or the checked metadata of a node.
    pub(crate) fn arrays(&self, sealed: &Sealed) -> Result<Vec<Array>, LoadError> {
        let paths = self.paths();
        // bounded: the entries were read
        let mut is_known = vec![false; sealed.container.count()];
        let mut know = |name: &str| {
            if let Some(index) = sealed.container.find(name) {
                is_known[index] = true;
            }
        };
        know(ZARR_JSON);
        know(MANIFEST);
        let documents = self.parsed.nodes.keys().map(|path| format!("{path}/{ZARR_JSON}"));
        sealed.container.announce(documents.filter_map(|name| sealed.container.find(&name)));
        for (path, node) in &self.parsed.nodes {
            let name = format!("{path}/{ZARR_JSON}");
            compare(sealed, &name, node)?;
            know(&name);
        }
        let mut arrays = Vec::new();
        let mut seen = HashSet::new();
        let mut forms = Forms::new();
        for path in paths {
            if !seen.insert(path) {
                return Err(malformed(
                    sealed,
                    StructureError::DuplicateTensor { path: path.into() },
                ));
            }
            let array = self.array_in(sealed, path, &mut forms)?;
            for entry in &array.entries {
                is_known[*entry] = true;
            }
            arrays.push(array);
        }
        for (path, node) in &self.parsed.nodes {
            if !seen.contains(path.as_str()) && is_array(node) {
                let (name, reason) =
                    (format!("{path}/{ZARR_JSON}"), "the structure does not name this array");
                return Err(sealed.container.damaged(Damage::malformed(&name, reason)));
            }
        }
        match is_known.iter().position(|known| !known) {
            None => Ok(arrays),
            Some(index) => {
                let entry = sealed.container.name(index).to_owned();
                Err(sealed.container.damaged(Damage::Unexpected { entry }))
            }
        }
    }

    /// One array, all of whose chunks exist.
    pub(crate) fn array(&self, sealed: &Sealed, path: &str) -> Result<Array, LoadError> {
        self.array_in(sealed, path, &mut Forms::new())
    }

    fn array_in<'a>(
        &'a self,
        sealed: &Sealed,
        path: &str,
        forms: &mut Forms<'a>,
    ) -> Result<Array, LoadError> {
        let name = format!("{path}/{ZARR_JSON}");
        let damaged = |damage| sealed.container.damaged(damage);
        let Some(metadata) = self.parsed.nodes.get(path) else {
            return Err(damaged(Damage::Missing { entry: name }));
        };
        let form = forms.entry(metadata.get()).or_insert_with(|| form_of(metadata)).clone();
        let form = form.map_err(|reason| damaged(Damage::Malformed { entry: name, reason }))?;
        let mut entries = Vec::new();
        let mut len = 0;
        for index in 0..form.grid.count() {
            // Chunks are looked up before they count toward any allocation.
            let key = format!("{path}/{}", form.grid.key(index));
            let Some(entry) = sealed.container.find(&key) else {
                return Err(damaged(Damage::Missing { entry: key }));
            };
            let stored = sealed.container.len_of(entry);
            if !form.codec.is_plausible(stored, form.grid.chunk_len()) {
                let reason = "no chunk can have this length";
                return Err(damaged(Damage::malformed(&key, reason)));
            }
            len = form.grid.range(index).end;
            entries.push(entry);
        }
        Ok(Array { path: path.into(), form, entries, len })
    }

    /// Like [`array`](Self::array), but also checks the array's own `zarr.json`.
    pub(crate) fn checked_array(&self, sealed: &Sealed, path: &str) -> Result<Array, LoadError> {
        if let Some(node) = self.parsed.nodes.get(path) {
            compare(sealed, &format!("{path}/{ZARR_JSON}"), node)?;
        }
        self.array(sealed, path)
    }

    /// The parts; `take` returns the tensor at a path.
    pub(crate) fn parts(
        &self,
        sealed: &Sealed,
        take: &mut impl FnMut(&str) -> Result<Tensor, StructureError>,
    ) -> Result<Parts, LoadError> {
        let mut parts = Parts::new();
        for PartTree { name, tree, .. } in self.parts_in_order() {
            let state =
                structure::rebuild_dict(tree, take).map_err(|reason| malformed(sealed, reason))?;
            if parts.insert(name.as_str(), state).is_some() {
                return Err(malformed(sealed, format!("it has the part `{name}` twice")));
            }
        }
        Ok(parts)
    }

    pub(crate) fn info(&self, sealed: &Sealed) -> Result<CheckpointInfo, LoadError> {
        let facts = &self.parsed.facts;
        let metadata = &self.parsed.structure.metadata;
        let metadata = structure::rebuild_dict(metadata, &mut structure::no_tensors)
            .map_err(|reason| malformed(sealed, reason))?;
        let mut info = CheckpointInfo::new(facts.number, sealed.manifest.save_seq);
        info.timestamp = seconds::time(facts.timestamp);
        info.save_duration = seconds::duration(facts.save_duration_ms / 1e3);
        info.parts = self
            .parts_in_order()
            .iter()
            .map(|part| (part.name.clone(), part.tensor_bytes))
            .collect();
        info.stored_bytes = sealed.container.len();
        info.attempt = sealed.manifest.attempt();
        info.metadata = metadata;
        Ok(info)
    }
}

/// Compares the own document of a node with its copy in the root: a reader may use either.
fn compare(sealed: &Sealed, name: &str, in_root: &RawValue) -> Result<(), LoadError> {
    let own = sealed.document(name)?;
    // They are the same text, but for what other versions of this crate may have written.
    // mutant: consolidated_metadata_not_compared
    if own == in_root.get().as_bytes() {
        return Ok(());
    }
    let parsed = serde_json::from_slice::<Value>(&own);
    match (parsed, serde_json::from_str::<Value>(in_root.get())) {
        (Ok(own), Ok(in_root)) if own == in_root => Ok(()),
        _ => {
            let reason = "it is not the one in the consolidated metadata of the root";
            Err(sealed.container.damaged(Damage::malformed(name, reason)))
        }
    }
}

fn is_array(node: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Node<'a> {
        node_type: &'a str,
    }
    serde_json::from_str::<Node<'_>>(node.get()).is_ok_and(|node| node.node_type == "array")
}

fn form_of(metadata: &RawValue) -> Result<ArrayForm, String> {
    let metadata: ArrayMetadataV3 =
        serde_json::from_str(metadata.get()).map_err(|error| error.to_string())?;
    ArrayForm::parse(&metadata)
}

pub(crate) fn malformed(sealed: &Sealed, reason: impl std::fmt::Display) -> LoadError {
    sealed.container.damaged(Damage::malformed(ZARR_JSON, reason))
}
