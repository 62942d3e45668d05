//! The `zarr.json` documents of a checkpoint, as texts.
//!
//! Each stands in it twice: by itself, and in the root's consolidated metadata. And most arrays of a model
//! have the same one as others, layer for layer. So a text is made once for each kind of array, shared by
//! all of them, and put into the root as it is.

use crate::chunking::Grid;
use crate::codec::{Codec, array_metadata};
use qstore_schema::Dtype;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;
use std::sync::Arc;
use zarrs::metadata::v3::GroupMetadataV3;

/// There is no map in a document whose keys are no texts.
const ALWAYS_JSON: &str = "numbers, texts and their lists and maps are JSON";

/// The text of a document, shared by the nodes that have the same one.
pub(crate) type Document = Arc<RawValue>;

/// What tells most arrays apart.
type Kind = (Dtype, Vec<usize>);

/// The documents of one save: its settings make the grid of an array out of type and shape.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    arrays: HashMap<Kind, Vec<(Codec, Document)>>,
}

impl Documents {
    /// That of an array.
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

    /// That of a group.
    pub(crate) fn group() -> Document {
        shared(&GroupMetadataV3::new())
    }
}

fn shared(document: &impl Serialize) -> Document {
    to_raw_value(document).expect(ALWAYS_JSON).into()
}

/// The root of a hierarchy, with the documents of all nodes below it.
#[derive(Debug, Serialize)]
pub(crate) struct RootDocument<'a> {
    zarr_format: u8,
    node_type: &'a str,
    attributes: Attributes<'a>,
    consolidated_metadata: Consolidated<'a>,
}

/// What the root says of the checkpoint.
#[derive(Debug, Serialize)]
pub(crate) struct Attributes<'a> {
    pub(crate) epoch: u64,
    pub(crate) timestamp: f64,
    pub(crate) save_duration_ms: f64,
    /// As other programs read it.
    pub(crate) metadata: Value,
    pub(crate) qstore: Own<'a>,
}

/// What is for this crate only.
#[derive(Debug, Serialize)]
pub(crate) struct Own<'a> {
    pub(crate) model_bytes: u64,
    pub(crate) optimizer_bytes: u64,
    pub(crate) structure: &'a Value,
}

#[derive(Debug, Serialize)]
struct Consolidated<'a> {
    kind: &'a str,
    must_understand: bool,
    #[serde(serialize_with = "as_map")]
    metadata: &'a [(String, Document)],
}

impl<'a> RootDocument<'a> {
    pub(crate) fn new(attributes: Attributes<'a>, nodes: &'a [(String, Document)]) -> Self {
        let consolidated_metadata =
            Consolidated { kind: "inline", must_understand: false, metadata: nodes };
        Self { zarr_format: 3, node_type: "group", attributes, consolidated_metadata }
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect(ALWAYS_JSON)
    }
}

fn as_map<S: Serializer>(nodes: &[(String, Document)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(nodes.iter().map(|(path, document)| (path, &**document)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;
    use serde_json::json;

    #[test]
    fn arrays_of_a_kind_share_a_text_and_others_do_not() {
        let mut documents = Documents::default();
        let mut of = |dtype, shape: &[usize], codec| {
            let grid = Grid::new(shape, 4, 1 << 20).unwrap();
            documents.array(dtype, shape, &grid, codec).unwrap()
        };
        let lz4 = Codec::new(Compression::Lz4, 5, Dtype::Float32);
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

    #[test]
    fn the_root_is_a_group_with_everything_in_it() {
        let nodes = [("model".to_owned(), Documents::group())];
        let structure = json!({ "model": { "keys": [], "nodes": [] } });
        let qstore = Own { model_bytes: 8, optimizer_bytes: 0, structure: &structure };
        let attributes = Attributes {
            epoch: 7,
            timestamp: 1.5,
            save_duration_ms: 2.5,
            metadata: json!({ "loss": 0.25 }),
            qstore,
        };
        let text = RootDocument::new(attributes, &nodes).text();
        let group: GroupMetadataV3 = serde_json::from_str(&text).unwrap();
        assert_eq!(group.attributes["epoch"], 7);
        assert_eq!(group.attributes["metadata"]["loss"], 0.25);
        assert_eq!(group.attributes["qstore"]["structure"], structure);
        let root: Value = serde_json::from_str(&text).unwrap();
        let consolidated = &root["consolidated_metadata"];
        assert_eq!(consolidated["kind"], "inline");
        assert_eq!(consolidated["must_understand"], false);
        assert_eq!(consolidated["metadata"]["model"], json!(GroupMetadataV3::new()));
    }
}
