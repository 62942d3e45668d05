//! The root's `zarr.json`: which arrays a checkpoint has, and how they hang together.
//!
//! Nothing is believed before it is compared: an array exists only if all its chunks are there, with
//! lengths that can be true.

use crate::codec::ArrayForm;
use crate::load::CheckpointInfo;
use crate::manifest::{MANIFEST, Sealed};
use crate::save::ZARR_JSON;
use crate::structure;
use crate::{Damage, Error};
use qstore_schema::{StateDict, Tensor};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use zarrs::array::ArrayMetadataV3;

/// The root's `zarr.json`, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Root {
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
    /// Of each node its `zarr.json`, not parsed: most arrays of a model have the same one as others.
    metadata: BTreeMap<String, Box<RawValue>>,
}

/// Metadata of arrays that were parsed before, by their text.
type Forms<'a> = HashMap<&'a str, Result<ArrayForm, String>>;

/// One tensor to be read.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) path: String,
    pub(crate) form: ArrayForm,
    /// Its chunks' entries, in order.
    pub(crate) entries: Vec<usize>,
    /// Bytes of the tensor.
    pub(crate) len: usize,
}

impl Root {
    pub(crate) fn read(sealed: &Sealed) -> Result<Self, Error> {
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

    /// The paths of the arrays, in the order of the state.
    pub(crate) fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        structure::leaves(&self.structure().model, &mut paths);
        structure::leaves(&self.structure().optimizer, &mut paths);
        paths
    }

    /// The arrays that the structure names, all of whose chunks are there. Every entry of the
    /// container must be one of those chunks, or the checked metadata of a node.
    pub(crate) fn arrays(&self, sealed: &Sealed) -> Result<Vec<Array>, Error> {
        let paths = self.paths();
        let mut is_known = vec![false; sealed.container.count()];
        let mut know = |name: &str| {
            if let Some(index) = sealed.container.find(name) {
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
        let mut forms = Forms::new();
        for path in paths {
            if !seen.insert(path) {
                return Err(malformed(sealed, format!("tensor `{path}` stands twice")));
            }
            let array = self.array_in(sealed, path, &mut forms)?;
            for entry in &array.entries {
                is_known[*entry] = true;
            }
            arrays.push(array);
        }
        match is_known.iter().position(|known| !known) {
            None => Ok(arrays),
            Some(index) => {
                let entry = sealed.container.name(index).to_owned();
                Err(sealed.container.damaged(Damage::Unexpected { entry }))
            }
        }
    }

    /// One array, all of whose chunks are there.
    pub(crate) fn array(&self, sealed: &Sealed, path: &str) -> Result<Array, Error> {
        self.array_in(sealed, path, &mut Forms::new())
    }

    fn array_in<'a>(
        &'a self,
        sealed: &Sealed,
        path: &str,
        forms: &mut Forms<'a>,
    ) -> Result<Array, Error> {
        let name = format!("{path}/{ZARR_JSON}");
        let damaged = |damage| sealed.container.damaged(damage);
        let Some(metadata) = self.consolidated_metadata.metadata.get(path) else {
            return Err(damaged(Damage::Missing { entry: name }));
        };
        let form = forms.entry(metadata.get()).or_insert_with(|| form_of(metadata)).clone();
        let form = form.map_err(|reason| damaged(Damage::Malformed { entry: name, reason }))?;
        let mut entries = Vec::new();
        let mut len = 0;
        for index in 0..form.grid.count() {
            // Chunks are looked up before they are counted into any allocation.
            let key = format!("{path}/{}", form.grid.key(index));
            let Some(entry) = sealed.container.find(&key) else {
                return Err(damaged(Damage::Missing { entry: key }));
            };
            let stored = sealed.container.len_of(entry);
            if !form.codec.is_plausible(stored, form.grid.chunk_len()) {
                let reason = "its length cannot be that of a chunk";
                return Err(damaged(Damage::malformed(&key, reason)));
            }
            len = form.grid.range(index).end;
            entries.push(entry);
        }
        Ok(Array { path: path.into(), form, entries, len })
    }

    /// As [`array`](Self::array), with its own `zarr.json` checked as well.
    pub(crate) fn checked_array(&self, sealed: &Sealed, path: &str) -> Result<Array, Error> {
        sealed.document(&format!("{path}/{ZARR_JSON}"))?;
        self.array(sealed, path)
    }

    pub(crate) fn model(
        &self,
        sealed: &Sealed,
        take: &mut impl FnMut(&str) -> Option<Tensor>,
    ) -> Result<StateDict, Error> {
        structure::rebuild_dict(&self.structure().model, take)
            .map_err(|reason| malformed(sealed, reason))
    }

    pub(crate) fn optimizer(
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

    pub(crate) fn info(&self, sealed: &Sealed) -> Result<CheckpointInfo, Error> {
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
            stored_bytes: sealed.container.len(),
            save_seq: sealed.manifest.save_seq,
            metadata,
        })
    }
}

fn form_of(metadata: &RawValue) -> Result<ArrayForm, String> {
    let metadata: ArrayMetadataV3 =
        serde_json::from_str(metadata.get()).map_err(|error| error.to_string())?;
    ArrayForm::parse(&metadata)
}

pub(crate) fn malformed(sealed: &Sealed, reason: impl std::fmt::Display) -> Error {
    sealed.container.damaged(Damage::malformed(ZARR_JSON, reason))
}
