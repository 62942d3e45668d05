//! The `zarr.json` documents of a checkpoint, as text.
//!
//! Each is stored twice: on its own, and in the root's consolidated metadata. Most arrays of a model have
//! the same document as others, layer after layer, so it is serialized once per kind of array, shared by
//! all of them, and inserted into the root unchanged.

use crate::format::chunking::Grid;
use crate::format::codec::{Codec, array_metadata};
use qstore_schema::Dtype;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use zarrs::metadata::v3::GroupMetadataV3;

/// Every map in a document has text as keys.
pub(super) const ALWAYS_JSON: &str = "numbers, texts and their lists and maps are JSON";

/// The text of a document, shared by the nodes that have the same one.
pub(crate) type Document = Arc<RawValue>;

/// What an array's document depends on, besides its codec.
type Kind = (Dtype, Vec<usize>);

/// The documents of one save. Its settings derive an array's grid from the array's type and shape.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    arrays: HashMap<Kind, Vec<(Codec, Document)>>,
}

impl Documents {
    /// The document of an array.
    pub(crate) fn array(
        &mut self,
        dtype: Dtype,
        shape: &[usize],
        grid: &Grid,
        codec: Codec,
    ) -> Result<Document, String> {
        let known = self.arrays.entry((dtype, shape.to_vec())).or_default();
        if let Some((_, document)) = known.iter().find(|(other, _)| *other == codec) {
            return Ok(Arc::clone(document));
        }
        let document = shared(&array_metadata(dtype, shape, grid, codec)?);
        known.push((codec, Arc::clone(&document)));
        Ok(document)
    }

    /// The document of a group without attributes.
    pub(crate) fn group() -> Document {
        shared(&GroupMetadataV3::new())
    }

    /// The document of a group with these attributes.
    pub(crate) fn group_with(attributes: Map<String, Value>) -> Document {
        shared(&GroupMetadataV3::new().with_attributes(attributes))
    }
}

fn shared(document: &impl Serialize) -> Document {
    to_raw_value(document).expect(ALWAYS_JSON).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_settings::Compression;

    #[test]
    fn arrays_of_the_same_kind_share_one_document() {
        let mut documents = Documents::default();
        let mut of = |dtype, shape: &[usize], codec| {
            let grid = Grid::new(shape, 4, 1 << 20).unwrap();
            documents.array(dtype, shape, &grid, codec).unwrap()
        };
        let lz4 = Codec::new(Compression::LZ4.level(5), Dtype::Float32);
        let first = of(Dtype::Float32, &[2, 3], lz4);
        assert!(Arc::ptr_eq(&first, &of(Dtype::Float32, &[2, 3], lz4)));
        let others = [
            of(Dtype::Int32, &[2, 3], lz4),
            of(Dtype::Float32, &[3, 2], lz4),
            of(Dtype::Float32, &[2, 3], Codec::RAW),
            of(Dtype::Float32, &[2, 3], lz4.unshuffled()),
        ];
        assert!(others.iter().all(|other| other.get() != first.get()));
    }
}
