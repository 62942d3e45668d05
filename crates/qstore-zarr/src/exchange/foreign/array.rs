//! One array of another writer as a tensor.
//!
//! zarrs decodes it. Before that, its chunks must exist and be large enough for what it claims, and after a
//! failure it is decided whose fault it was: the file system's, the file's, or that of this version, which
//! does not know everything that Zarr allows.

use super::{Group, MissingChunks};
use crate::exchange::foreign::group_store::GroupStore;
use crate::format::aligned::can_allocate;
use crate::format::codec::RATIO_MAX;
use qstore_checkpoint::LoadError;
use qstore_schema::{Dtype, Tensor};
use serde_json::Value;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use zarrs::array::{Array, ArrayBytes, ArrayCreateError, ArrayError, CodecError};
use zarrs::plugin::ZarrVersion;

/// The codecs that are decoded, of both versions of Zarr. Only for messages: zarrs decides.
const CODECS: [&str; 9] = [
    "bytes",
    "transpose",
    "sharding_indexed",
    "blosc",
    "gzip",
    "zlib",
    "zstd",
    "crc32c",
    "numcodecs.zlib",
];
const SHARDING: &str = "sharding_indexed";

const ADVICE: &str =
    "write it again with a codec and an element type that are known here, or update Q-Store";

impl Group {
    pub(super) fn tensor(&self, path: &Path, document: &Value) -> Result<Tensor, LoadError> {
        let name = path.to_string_lossy().into_owned();
        let damaged = |error: &dyn Display| self.damaged(&name, error);
        let array = Array::open(Arc::clone(&self.store), &format!("/{name}"))
            .map_err(|error| self.not_opened(&name, document, &error))?;
        let dtype = array.data_type().name(ZarrVersion::V3).unwrap_or_default();
        let dtype: Dtype = dtype.parse().map_err(|_| self.unknown_type(&name, document))?;
        let shape = array.shape().iter().map(|length| usize::try_from(*length));
        let shape: Vec<usize> = shape.collect::<Result<_, _>>().map_err(|error| damaged(&error))?;
        let claimed =
            bytes_of(dtype, array.shape()).ok_or_else(|| self.too_large(&name, u64::MAX))?;
        // Each thread that decodes has a chunk of its own, and a chunk may be larger than the array.
        let first = shape.iter().map(|_| 0).collect::<Vec<_>>();
        let chunk = array.chunk_grid().chunk_shape_u64(&first).ok().flatten();
        let chunk = chunk.map_or(Some(0), |shape| bytes_of(dtype, &shape)).unwrap_or(u64::MAX);
        if claimed > 0 {
            self.check_chunks(&array, &name, document, claimed.max(chunk))?;
            let needed = claimed.saturating_add(chunk);
            if !can_allocate(needed) {
                return Err(self.too_large(&name, needed));
            }
        }
        // Some malformed shards make zarrs panic.
        let decode = || array.retrieve_array_subset(&array.subset_all());
        let bytes: ArrayBytes<'_> = catch_unwind(AssertUnwindSafe(decode))
            .map_err(|_| damaged(&"its chunks cannot be decoded"))?
            .map_err(|error| self.not_decoded(&name, document, &error))?;
        let bytes = bytes.into_fixed().map_err(|error| damaged(&error))?.into_owned();
        Tensor::new(dtype, shape, bytes).map_err(|error| damaged(&error))
    }

    /// Checks that every chunk exists, and that the chunks can decompress to the bytes that are claimed.
    fn check_chunks(
        &self,
        array: &Array<GroupStore>,
        name: &str,
        document: &Value,
        claimed: u64,
    ) -> Result<(), LoadError> {
        if self.missing == MissingChunks::Fill {
            return Ok(());
        }
        let grid = array.chunk_grid_shape();
        let mut stored = 0_u64;
        let mut indices = grid.to_vec();
        indices.fill(0);
        loop {
            let key = array.chunk_key(&indices);
            let Some(len) = self.store.len_of(key.as_str())? else {
                return Err(self.missing(key.to_string()));
            };
            stored = stored.saturating_add(len);
            let at = (0..grid.len()).rev().find(|at| indices[*at] + 1 < grid[*at]);
            let Some(at) = at else { break };
            indices[at] += 1;
            indices[at + 1..].fill(0);
        }
        if claimed <= stored.saturating_mul(RATIO_MAX) {
            return Ok(());
        }
        if codec_names(document).iter().any(|codec| codec == SHARDING) {
            let what = format!("the shards of `{name}` leave out nearly all of it");
            return Err(self.unsupported(what, "load it with `MissingChunks::Fill`"));
        }
        Err(self.damaged(
            name,
            "its shape, or that of a chunk, is larger than its chunks can decompress to",
        ))
    }

    fn too_large(&self, name: &str, needed: u64) -> LoadError {
        LoadError::OutOfMemory { location: self.location(), what: format!("`{name}`"), needed }
    }

    /// The document is JSON, so what zarrs does not understand in it is something that it does not know.
    fn not_opened(&self, name: &str, document: &Value, error: &ArrayCreateError) -> LoadError {
        match (self.store.take_failure(), error) {
            (Some(failed), _) => failed.into(),
            (None, ArrayCreateError::DataTypeCreateError(_)) => self.unknown_type(name, document),
            // The fill value of a type that is not known here is not understood, either.
            (
                None,
                ArrayCreateError::InvalidFillValueMetadata { .. }
                | ArrayCreateError::StorageError(_),
            ) if !has_known_type(document) => self.unknown_type(name, document),
            (None, _) => self.unknown(name, document, error),
        }
    }

    fn not_decoded(&self, name: &str, document: &Value, error: &ArrayError) -> LoadError {
        match (self.store.take_failure(), error) {
            (Some(failed), _) => failed.into(),
            (
                None,
                ArrayError::CodecError(
                    CodecError::UnsupportedDataType(..) | CodecError::UnsupportedDataTypeCodec(..),
                ),
            ) => self.unknown(name, document, error),
            (None, _) => self.damaged(name, error),
        }
    }

    fn unknown_type(&self, name: &str, document: &Value) -> LoadError {
        let dtype = document.get("data_type").or_else(|| document.get("dtype"));
        let dtype = match dtype {
            Some(Value::Object(named)) => named.get("name"),
            dtype => dtype,
        };
        let dtype = match dtype {
            Some(Value::String(name)) => name.clone(),
            Some(other) => other.to_string(),
            None => "unknown".into(),
        };
        self.unsupported(format!("`{name}` has elements of type `{dtype}`"), ADVICE)
    }

    /// Something in the metadata of an array is not known; names the codec, if it is that.
    fn unknown(&self, name: &str, document: &Value, error: &dyn Display) -> LoadError {
        let codecs = codec_names(document);
        let unknown = codecs.iter().find(|codec| !CODECS.contains(&codec.as_str()));
        let what = match unknown {
            Some(codec) => format!("`{name}` is encoded with the codec `{codec}`"),
            None => format!("`{name}` has metadata that are not known here ({error})"),
        };
        self.unsupported(what, ADVICE)
    }
}

/// Whether the element type may be one of ours: by its name in Zarr version 3; one of version 2 is any text.
fn has_known_type(document: &Value) -> bool {
    match (document.get("data_type"), document.get("dtype")) {
        (Some(name), _) => name.as_str().is_some_and(|name| name.parse::<Dtype>().is_ok()),
        (None, dtype) => dtype.is_none_or(Value::is_string),
    }
}

/// The bytes in memory of an array of this shape.
fn bytes_of(dtype: Dtype, shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(dtype.size() as u64, |bytes, length| bytes.checked_mul(*length))
}

/// The names of all codecs of an array, those inside of shards included.
fn codec_names(document: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let v2 = [document.get("filters"), document.get("compressor")];
    for found in [document.get("codecs")].into_iter().chain(v2).flatten() {
        collect_names(found, &mut names);
    }
    names
}

fn collect_names(codecs: &Value, names: &mut Vec<String>) {
    match codecs {
        Value::Array(codecs) => codecs.iter().for_each(|codec| collect_names(codec, names)),
        Value::String(name) => names.push(name.clone()),
        Value::Object(codec) => {
            let name = codec.get("name").or_else(|| codec.get("id"));
            names.extend(name.and_then(Value::as_str).map(ToOwned::to_owned));
            let inside = codec.get("configuration");
            for kind in ["codecs", "index_codecs"] {
                if let Some(codecs) = inside.and_then(|inside| inside.get(kind)) {
                    collect_names(codecs, names);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn codecs_are_named_wherever_they_are() {
        let inner =
            json!({"codecs": ["bytes", {"name": "bz2"}], "index_codecs": [{"name": "crc32c"}]});
        let v3 = json!({"codecs": [{"name": SHARDING, "configuration": inner}]});
        assert_eq!(codec_names(&v3), [SHARDING, "bytes", "bz2", "crc32c"]);
        let v2 = json!({"filters": [{"id": "delta"}], "compressor": {"id": "lz4"}});
        assert_eq!(codec_names(&v2), ["delta", "lz4"]);
        assert!(codec_names(&json!({"filters": null, "compressor": null})).is_empty());
    }
}
