//! A state as a JSON tree, exactly: order, key types, lists, every bit of a float.
//!
//! Zarr has groups and arrays, but no lists, no integer keys, no order and no way to keep the payload of
//! a NaN. So tensors become arrays, and a tree in the root's attributes restores the rest:
//!
//! | node | in JSON |
//! |---|---|
//! | null, bool, integer, text | itself |
//! | float | `{"float": "3ff0000000000000"}`, its bits in hexadecimal |
//! | list | `[…]` |
//! | dict | `{"keys": ["name", 0], "nodes": […]}`; a number is an integer key |
//! | tensor | `{"tensor": "model/layer.0.weight"}`, the array's path |

use qstore_checkpoint::Parts;
use qstore_checkpoint::path::Siblings;
use qstore_schema::{Key, State, StateDict, Tensor};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The arrays and groups of a checkpoint, collected while the trees are built.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub(crate) arrays: Vec<(String, Tensor)>,
    /// Groups below the root; a parent sorts before its children.
    pub(crate) groups: BTreeSet<String>,
}

impl Nodes {
    /// The trees of all parts, each with its group, in order. The parts have already been checked.
    pub(crate) fn parts<'p>(&mut self, parts: &'p Parts) -> Vec<(&'p str, String, Value)> {
        let mut groups = Siblings::default();
        let mut trees = Vec::with_capacity(parts.len()); // bounded: they are in memory
        for (name, state) in parts.iter() {
            let group = groups.name_for(name);
            let tree = self.tree(&group, state);
            trees.push((name, group, tree));
        }
        trees
    }

    /// The tree of a checked state below the group `group`, which is also added.
    pub(crate) fn tree(&mut self, group: &str, state: &StateDict) -> Value {
        self.groups.insert(group.into());
        self.dict(group, state)
    }

    fn dict(&mut self, group: &str, dict: &StateDict) -> Value {
        let mut siblings = Siblings::default();
        let mut keys = Vec::with_capacity(dict.len()); // bounded: they are in memory
        let mut nodes = Vec::with_capacity(dict.len()); // bounded: they are in memory
        for (key, node) in dict.iter() {
            keys.push(match key {
                Key::Name(name) => json!(name.as_str()),
                Key::Int(number) => json!(number),
            });
            nodes.push(self.node(group, &mut siblings, key, node));
        }
        json!({ "keys": keys, "nodes": nodes })
    }

    fn list(&mut self, group: &str, list: &[State]) -> Value {
        let mut siblings = Siblings::default();
        let numbered = list.iter().enumerate();
        numbered.map(|(number, node)| self.node(group, &mut siblings, &number, node)).collect()
    }

    fn node(
        &mut self,
        group: &str,
        siblings: &mut Siblings,
        key: &dyn ToString,
        node: &State,
    ) -> Value {
        let mut path = || format!("{group}/{}", siblings.name_for(&key.to_string()));
        match node {
            State::Null => Value::Null,
            State::Bool(flag) => json!(flag),
            State::Int(number) => json!(number),
            State::Float(number) => json!({ "float": format!("{:016x}", number.to_bits()) }),
            State::Text(text) => json!(text.as_str()),
            State::Tensor(tensor) => self.tensor(path(), tensor),
            State::List(list) => self.list(&path(), list),
            State::Dict(dict) => self.dict(&path(), dict),
            _ => unreachable!("a checked state has no unknown node"),
        }
    }

    fn tensor(&mut self, path: String, tensor: &Tensor) -> Value {
        let groups = path.match_indices('/').map(|(end, _)| path[..end].to_string());
        self.groups.extend(groups);
        let leaf = json!({ "tensor": path });
        self.arrays.push((path, tensor.clone()));
        leaf
    }
}

/// The paths of the arrays in a tree, in order.
pub(crate) fn leaves<'t>(tree: &'t Value, found: &mut Vec<&'t str>) {
    match tree {
        Value::Array(nodes) => nodes.iter().for_each(|node| leaves(node, found)),
        Value::Object(object) => {
            if let Some(path) = object.get("tensor").and_then(Value::as_str) {
                found.push(path);
            } else if let Some(nodes) = object.get("nodes") {
                leaves(nodes, found);
            }
        }
        _ => {}
    }
}

/// Why a tree cannot be turned into a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StructureError {
    #[error("the structure does not start with a dict")]
    NotADict,
    #[error("the structure names tensor `{path}`, which does not exist")]
    MissingTensor { path: String },
    #[error("the structure names tensor `{path}` twice")]
    DuplicateTensor { path: String },
    #[error("the structure has a tensor without a path")]
    NoPath,
    #[error("the structure has a number that does not fit into 64 bits")]
    Number,
    #[error("the structure has a float whose bits are malformed")]
    Float,
    #[error("the structure has a node of an unknown kind")]
    Node,
    #[error("the structure has a dict with {keys} keys and {nodes} nodes")]
    Lengths { keys: usize, nodes: usize },
    #[error("the structure has a key that is neither a name nor a number")]
    Key,
    #[error("the structure has the key `{key}` twice in one dict")]
    DuplicateKey { key: String },
}

/// Rebuilds the state that a tree describes; `take` returns the tensor at a path, or what stands for it.
pub(crate) fn rebuild_dict<T: Into<State>>(
    tree: &Value,
    take: &mut impl FnMut(&str) -> Result<T, StructureError>,
) -> Result<StateDict, StructureError> {
    match rebuild(tree, take)? {
        State::Dict(dict) => Ok(dict),
        _ => Err(StructureError::NotADict),
    }
}

/// For a tree that names no tensors.
pub(crate) fn no_tensors(path: &str) -> Result<Tensor, StructureError> {
    Err(StructureError::MissingTensor { path: path.into() })
}

fn rebuild<T: Into<State>>(
    tree: &Value,
    take: &mut impl FnMut(&str) -> Result<T, StructureError>,
) -> Result<State, StructureError> {
    Ok(match tree {
        Value::Null => State::Null,
        Value::Bool(flag) => State::Bool(*flag),
        Value::Number(number) => State::Int(number.as_i64().ok_or(StructureError::Number)?),
        Value::String(text) => State::Text(text.into()),
        Value::Array(nodes) => {
            State::List(nodes.iter().map(|node| rebuild(node, take)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => rebuild_object(object, take)?,
    })
}

fn rebuild_object<T: Into<State>>(
    object: &Map<String, Value>,
    take: &mut impl FnMut(&str) -> Result<T, StructureError>,
) -> Result<State, StructureError> {
    if let Some(path) = object.get("tensor") {
        let path = path.as_str().ok_or(StructureError::NoPath)?;
        return Ok(take(path)?.into());
    }
    if let Some(bits) = object.get("float") {
        let bits = bits.as_str().and_then(|bits| u64::from_str_radix(bits, 16).ok());
        return Ok(State::Float(f64::from_bits(bits.ok_or(StructureError::Float)?)));
    }
    let array = |name| object.get(name).and_then(Value::as_array);
    let (Some(keys), Some(nodes)) = (array("keys"), array("nodes")) else {
        return Err(StructureError::Node);
    };
    if keys.len() != nodes.len() {
        let (keys, nodes) = (keys.len(), nodes.len());
        return Err(StructureError::Lengths { keys, nodes });
    }
    let mut dict = StateDict::new();
    for (key, node) in keys.iter().zip(nodes) {
        let key = match key {
            Value::String(name) => Key::Name(name.into()),
            Value::Number(number) => Key::Int(number.as_i64().ok_or(StructureError::Number)?),
            _ => return Err(StructureError::Key),
        };
        if dict.insert(key.clone(), rebuild(node, take)?).is_some() {
            return Err(StructureError::DuplicateKey { key: key.to_string() });
        }
    }
    Ok(State::Dict(dict))
}

/// The plain values of a state as ordinary JSON, for other programs. Tensors, which are arrays, are left
/// out, and so are groups that contain only tensors. Values that JSON cannot express are written as Zarr
/// writes them (`"NaN"`, `"Infinity"`, `"-Infinity"`); an integer key becomes its decimal text, with `~2`
/// appended if that name is taken.
pub(crate) fn plain(state: &StateDict) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, node) in state.iter() {
        let Some(value) = plain_node(node) else { continue };
        let mut name = key.to_string();
        let mut number = 2;
        while object.contains_key(&name) {
            name = format!("{key}~{number}");
            number += 1;
        }
        object.insert(name, value);
    }
    object
}

fn plain_node(node: &State) -> Option<Value> {
    Some(match node {
        State::Bool(flag) => json!(flag),
        State::Int(number) => json!(number),
        State::Float(number) if number.is_nan() => json!("NaN"),
        State::Float(f64::INFINITY) => json!("Infinity"),
        State::Float(f64::NEG_INFINITY) => json!("-Infinity"),
        State::Float(number) => json!(number),
        State::Text(text) => json!(text.as_str()),
        State::List(nodes) if nodes.is_empty() => json!([]),
        State::List(nodes) => {
            // A list keeps its positions; one that contains only tensors is left out.
            let values: Vec<_> = nodes.iter().map(plain_node).collect();
            if values.iter().all(Option::is_none) {
                return None;
            }
            values.into_iter().map(|value| value.unwrap_or(Value::Null)).collect()
        }
        State::Dict(dict) => {
            let values = plain(dict);
            if values.is_empty() && !dict.is_empty() {
                return None;
            }
            Value::Object(values)
        }
        State::Tensor(_) => return None,
        _ => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torch_optimizer_becomes_groups_and_a_tree() {
        let moments = StateDict::from_iter([("exp_avg", Tensor::scalar(0.5_f32))]);
        let group = StateDict::from_iter([("lr", State::from(1e-3)), ("amsgrad", false.into())]);
        let mut optimizer = StateDict::from_iter([("state", StateDict::from_iter([(0, moments)]))]);
        optimizer.insert("param_groups", vec![State::from(group)]);

        let mut nodes = Nodes::default();
        let tree = nodes.tree("optimizer", &optimizer);
        let paths: Vec<_> = nodes.arrays.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["optimizer/state/0/exp_avg"]);
        let groups: Vec<_> = nodes.groups.iter().map(String::as_str).collect();
        assert_eq!(groups, ["optimizer", "optimizer/state", "optimizer/state/0"]);

        let mut found = Vec::new();
        leaves(&tree, &mut found);
        assert_eq!(found, paths);
        let tensor = nodes.arrays[0].1.clone();
        let rebuilt = rebuild_dict(&tree, &mut |_| Ok(tensor.clone())).unwrap();
        assert_eq!(rebuilt, optimizer);
    }

    #[test]
    fn every_bit_of_a_float_is_preserved() {
        let numbers = [f64::NAN, f64::from_bits(0x7ff8_dead_beef_0001), -0.0, f64::NEG_INFINITY];
        for number in numbers {
            let state = StateDict::from_iter([("x", number)]);
            let tree = Nodes::default().tree("metadata", &state);
            let rebuilt = rebuild_dict(&tree, &mut no_tensors).unwrap();
            assert_eq!(rebuilt.float("x").unwrap().to_bits(), number.to_bits());
        }
    }

    #[test]
    fn plain_metadata_is_what_a_reader_expects() {
        let mut state = StateDict::from_iter([("loss", f64::NAN), ("best", f64::INFINITY)]);
        state.insert("0", "name");
        state.insert(0, "number");
        state.insert("nothing", State::Null);
        assert_eq!(
            Value::Object(plain(&state)),
            json!({"loss": "NaN", "best": "Infinity", "0": "name", "0~2": "number", "nothing": null})
        );
        let mut optimizer = StateDict::from_iter([("lr", 0.5)]);
        optimizer.insert("state", StateDict::from_iter([("exp_avg", Tensor::scalar(1.0_f32))]));
        optimizer.insert("mixed", vec![State::from(1_i64), Tensor::scalar(1_u8).into()]);
        let expected = json!({"lr": 0.5, "mixed": [1, null]});
        assert_eq!(Value::Object(plain(&optimizer)), expected, "tensors are arrays, not values");
    }

    #[test]
    fn the_deepest_allowed_state_still_parses_as_json() {
        let mut state = StateDict::from_iter([("leaf", Tensor::scalar(1_u8))]);
        for _ in 2..qstore_checkpoint::DEPTH_MAX {
            state = StateDict::from_iter([("d", state)]);
        }
        qstore_checkpoint::Snapshot::new(0).model(state.clone()).check().unwrap();
        let tree = Nodes::default().tree("model", &state);
        let parts = json!([{ "name": "model", "tree": tree }]);
        let root = json!({ "attributes": { "qstore": { "structure": { "parts": parts } } } });
        assert!(serde_json::from_str::<Value>(&root.to_string()).is_ok());
    }

    #[test]
    fn the_paths_match_those_of_qstore_checkpoint() {
        let list = State::List(vec![
            Tensor::scalar(1_u8).into(),
            2_i64.into(),
            Tensor::scalar(3_u8).into(),
        ]);
        let mut state =
            StateDict::from_iter([("W", State::from(Tensor::scalar(1_u8))), ("w", list)]);
        state.insert("a/b", StateDict::from_iter([("..", Tensor::scalar(2_u8))]));
        let parts = Parts::from_iter([("model", state.clone()), ("Model", state)]);
        let mut nodes = Nodes::default();
        nodes.parts(&parts);
        let paths: Vec<_> = nodes.arrays.into_iter().map(|(path, _)| path).collect();
        let expected: Vec<_> =
            qstore_checkpoint::path::tensors(&parts).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_malformed_tree_is_refused() {
        for tree in [
            json!([]),
            json!({"keys": ["a"], "nodes": []}),
            json!({"keys": [null], "nodes": [1]}),
            json!({"keys": ["a", "a"], "nodes": [1, 2]}),
            json!({"keys": [1.5], "nodes": [1]}),
            json!({"keys": ["a"], "nodes": [{"float": "zz"}]}),
            json!({"keys": ["a"], "nodes": [{"tensor": "gone"}]}),
            json!({"keys": ["a"], "nodes": [{"what": 1}]}),
            json!({"keys": ["a"], "nodes": [u64::MAX]}),
        ] {
            assert!(rebuild_dict(&tree, &mut no_tensors).is_err(), "{tree}");
        }
    }
}
