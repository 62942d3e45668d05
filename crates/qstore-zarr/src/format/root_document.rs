//! The root's `zarr.json`: what the checkpoint is, the documents of all nodes below it, and how its tensors
//! make up the state. Both forms are here, the one that is written and the one that is read.
//!
//! ```json
//! {"zarr_format":3,"node_type":"group",
//!  "attributes":{"epoch":42,"timestamp":1.7e9,"save_duration_ms":12.5,"metadata":{"val_loss":0.25},
//!    "qstore":{"number":42,"structure":{
//!      "parts":[{"name":"model","tensor_bytes":4000,"tree":{…}}, …],"metadata":{…}}}},
//!  "consolidated_metadata":{"kind":"inline","must_understand":false,"metadata":{"model":{…}, …}}}
//! ```
//! `epoch` is `step` if the repository counts steps. `metadata` is for other programs;
//! `qstore.structure` is exact, in the form of [`structure`](crate::format::structure).
//!
//! Version 1 has no `qstore.number`, and its structure has exactly `model`, `optimizer` (null if there is
//! none) and `metadata`.

use crate::format::documents::{ALWAYS_JSON, Document};
use qstore_checkpoint::{Counter, Snapshot};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The root document in the form that is written.
#[derive(Debug, Serialize)]
pub(crate) struct RootDocument<'a> {
    zarr_format: u8,
    node_type: &'a str,
    attributes: WrittenAttributes<'a>,
    consolidated_metadata: WrittenNodes<'a>,
}

#[derive(Debug, Serialize)]
struct WrittenAttributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    timestamp: f64,
    save_duration_ms: f64,
    metadata: Value,
    qstore: WrittenOwn<'a>,
}

#[derive(Debug, Serialize)]
struct WrittenOwn<'a> {
    number: u64,
    structure: &'a Structure,
}

#[derive(Debug, Serialize)]
struct WrittenNodes<'a> {
    kind: &'a str,
    must_understand: bool,
    #[serde(serialize_with = "as_map")]
    metadata: &'a [(String, Document)],
}

/// The exact structure of everything that was saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Structure {
    pub(crate) parts: Vec<PartTree>,
    pub(crate) metadata: Value,
}

/// One part's tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartTree {
    pub(crate) name: String,
    /// The size of its tensors in memory, in bytes.
    pub(crate) tensor_bytes: u64,
    pub(crate) tree: Value,
}

/// Facts about the checkpoint as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) number: u64,
    /// Unix seconds.
    pub(crate) timestamp: f64,
    pub(crate) save_duration_ms: f64,
}

impl<'a> RootDocument<'a> {
    /// The root of a checkpoint with these nodes below it. `metadata` is in plain form.
    pub(crate) fn new(
        counter: Counter,
        facts: &Facts,
        metadata: Value,
        structure: &'a Structure,
        nodes: &'a [(String, Document)],
    ) -> Self {
        let Facts { number, timestamp, save_duration_ms } = *facts;
        let (epoch, step) = match counter {
            Counter::Step => (None, Some(number)),
            _ => (Some(number), None),
        };
        let qstore = WrittenOwn { number, structure };
        Self {
            zarr_format: 3,
            node_type: "group",
            attributes: WrittenAttributes {
                epoch,
                step,
                timestamp,
                save_duration_ms,
                metadata,
                qstore,
            },
            consolidated_metadata: WrittenNodes {
                kind: "inline",
                must_understand: false,
                metadata: nodes,
            },
        }
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect(ALWAYS_JSON)
    }
}

fn as_map<S: Serializer>(nodes: &[(String, Document)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(nodes.iter().map(|(path, document)| (path, &**document)))
}

/// The root document in the form that is read, of any version.
#[derive(Debug)]
pub(crate) struct ParsedRoot {
    pub(crate) facts: Facts,
    pub(crate) structure: Structure,
    /// The unparsed `zarr.json` of each node. Most arrays of a model share the same text.
    pub(crate) nodes: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct ReadRoot {
    attributes: ReadAttributes,
    consolidated_metadata: ReadNodes,
}

#[derive(Debug, Deserialize)]
struct ReadAttributes {
    epoch: Option<u64>,
    timestamp: f64,
    save_duration_ms: f64,
    qstore: ReadOwn,
}

#[derive(Debug, Deserialize)]
struct ReadOwn {
    number: Option<u64>,
    structure: ReadStructure,
    model_bytes: Option<u64>,
    optimizer_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ReadStructure {
    parts: Option<Vec<PartTree>>,
    /// Of version 1.
    model: Option<Value>,
    /// Of version 1.
    optimizer: Option<Value>,
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct ReadNodes {
    metadata: BTreeMap<String, Box<RawValue>>,
}

impl ParsedRoot {
    /// Parses the root of a checkpoint with this format version.
    pub(crate) fn parse(bytes: &[u8], version: u64) -> Result<Self, RootError> {
        let ReadRoot { attributes, consolidated_metadata } = serde_json::from_slice(bytes)?;
        let ReadAttributes { epoch, timestamp, save_duration_ms, qstore } = attributes;
        let ReadOwn { number, structure, model_bytes, optimizer_bytes } = qstore;
        let ReadStructure { parts, model, optimizer, metadata } = structure;
        let (number, parts) = if version == 1 {
            let part = |name: &str, tree: Option<Value>, bytes: Option<u64>| {
                let (name, tensor_bytes) = (name.to_owned(), bytes.unwrap_or(0));
                tree.map(|tree| PartTree { name, tensor_bytes, tree })
            };
            let model = part(Snapshot::MODEL, model, model_bytes).ok_or(RootError::NoParts)?;
            let optimizer = part(Snapshot::OPTIMIZER, optimizer, optimizer_bytes);
            (epoch, [Some(model), optimizer].into_iter().flatten().collect())
        } else {
            (number, parts.ok_or(RootError::NoParts)?)
        };
        let number = number.ok_or(RootError::NoNumber)?;
        Ok(Self {
            facts: Facts { number, timestamp, save_duration_ms },
            structure: Structure { parts, metadata },
            nodes: consolidated_metadata.metadata,
        })
    }
}

/// Why a root could not be parsed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("its structure lists no parts")]
    NoParts,
    #[error("it has no number")]
    NoNumber,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::documents::Documents;
    use serde_json::json;
    use zarrs::metadata::v3::GroupMetadataV3;

    fn structure() -> Structure {
        let tree = json!({ "keys": [], "nodes": [] });
        let part = |name: &str| PartTree { name: name.into(), tensor_bytes: 8, tree: tree.clone() };
        Structure { parts: vec![part("model"), part("rng")], metadata: tree.clone() }
    }

    fn facts() -> Facts {
        Facts { number: 7, timestamp: 1.5, save_duration_ms: 2.5 }
    }

    #[test]
    fn a_root_document_round_trips() {
        let (facts, structure) = (facts(), structure());
        let nodes = [("model".to_owned(), Documents::group()), ("rng".into(), Documents::group())];
        let root = RootDocument::new(Counter::Epoch, &facts, json!({}), &structure, &nodes);
        let read = ParsedRoot::parse(root.text().as_bytes(), 2).unwrap();
        assert_eq!((read.facts, read.structure), (facts, structure));
        assert_eq!(read.nodes.keys().collect::<Vec<_>>(), ["model", "rng"]);
    }

    #[test]
    fn other_readers_find_a_group_with_everything_in_it() {
        let (facts, structure) = (facts(), structure());
        let nodes = [("model".to_owned(), Documents::group())];
        let metadata = json!({ "loss": 0.25 });
        for counter in Counter::ALL {
            let metadata = metadata.clone();
            let text = RootDocument::new(counter, &facts, metadata, &structure, &nodes).text();
            let group: GroupMetadataV3 = serde_json::from_str(&text).unwrap();
            assert_eq!(group.attributes[counter.name()], 7);
            assert_eq!(group.attributes["metadata"]["loss"], 0.25);
            let root: Value = serde_json::from_str(&text).unwrap();
            let consolidated = &root["consolidated_metadata"];
            assert_eq!(consolidated["kind"], "inline");
            assert_eq!(consolidated["must_understand"], false);
            assert_eq!(consolidated["metadata"]["model"], json!(GroupMetadataV3::new()));
        }
    }

    #[test]
    fn version_1_has_three_fixed_parts() {
        let text = |optimizer: Value| {
            json!({
                "attributes": { "epoch": 3, "timestamp": 0.0, "save_duration_ms": 0.0, "qstore": {
                    "model_bytes": 4, "optimizer_bytes": 8,
                    "structure": { "model": {}, "optimizer": optimizer, "metadata": {} } } },
                "consolidated_metadata": { "metadata": {} }
            })
            .to_string()
        };
        let parse = |optimizer| ParsedRoot::parse(text(optimizer).as_bytes(), 1).unwrap();
        let names = |root: &ParsedRoot| -> Vec<_> {
            root.structure.parts.iter().map(|part| part.name.clone()).collect()
        };
        assert_eq!(names(&parse(json!({}))), ["model", "optimizer"]);
        assert_eq!(names(&parse(Value::Null)), ["model"]);
        assert_eq!(parse(json!({})).facts.number, 3);
        assert!(ParsedRoot::parse(text(json!({})).as_bytes(), 2).is_err());
    }
}
