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
//! | integer beyond 64 bits | `{"integer": "-0x10000000000000000"}`, in hexadecimal |
//! | complex number | `{"complex": ["3ff0000000000000", "0000000000000000"]}`, the bits of its two parts |
//! | tuple | `{"tuple": […]}` |
//! | bytes | `{"bytes": "rng/state"}`, the path of an array of `uint8` |
//!
//! The last four came with version 3 of the format, which is written only where one of them occurs.

use qstore_checkpoint::Parts;
use qstore_checkpoint::path::Siblings;
use qstore_schema::{BigInt, Dtype, Key, State, StateDict, Tensor};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

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

    /// The nodes of a list or a tuple.
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
            State::BigInt(number) => json!({ "integer": number.as_str() }),
            State::Float(number) => json!({ "float": bits_of(*number) }),
            State::Complex([re, im]) => json!({ "complex": [bits_of(*re), bits_of(*im)] }),
            State::Text(text) => json!(text.as_str()),
            State::Bytes(bytes) => {
                let path = self.array(path(), Tensor::from_bytes(bytes.clone()));
                json!({ "bytes": path })
            }
            State::Tensor(tensor) => {
                let path = self.array(path(), tensor.clone());
                json!({ "tensor": path })
            }
            State::List(list) => self.list(&path(), list),
            State::Tuple(nodes) => json!({ "tuple": self.list(&path(), nodes) }),
            State::Dict(dict) => self.dict(&path(), dict),
            _ => unreachable!("a checked state has no unknown node"),
        }
    }

    /// Adds an array with the groups above it, and returns its path.
    fn array(&mut self, path: String, tensor: Tensor) -> String {
        let groups = path.match_indices('/').map(|(end, _)| path[..end].to_string());
        self.groups.extend(groups);
        self.arrays.push((path.clone(), tensor));
        path
    }
}

/// The bits of a float in hexadecimal.
fn bits_of(number: f64) -> String {
    format!("{:016x}", number.to_bits())
}

/// Whether a state has a node of a kind that came with version 3 of the format.
pub(crate) fn needs_version_3(state: &StateDict) -> bool {
    state.iter().any(|(_, node)| is_of_version_3(node))
}

fn is_of_version_3(node: &State) -> bool {
    match node {
        State::List(nodes) => nodes.iter().any(is_of_version_3),
        State::Dict(dict) => needs_version_3(dict),
        State::Null
        | State::Bool(_)
        | State::Int(_)
        | State::Float(_)
        | State::Text(_)
        | State::Tensor(_) => false,
        _ => true,
    }
}

/// The path of the array that a node of a tree is, if it is one.
fn leaf(object: &Map<String, Value>) -> Option<&Value> {
    object.get("tensor").or_else(|| object.get("bytes"))
}

/// The nodes directly below a node of a tree.
fn nodes_below(object: &Map<String, Value>) -> Option<&Value> {
    object.get("nodes").or_else(|| object.get("tuple"))
}

/// Replaces the paths of the arrays in a tree.
pub(crate) fn rename(tree: &mut Value, names: &HashMap<&str, &str>) {
    match tree {
        Value::Array(nodes) => nodes.iter_mut().for_each(|node| rename(node, names)),
        Value::Object(object) => {
            let kinds = ["tensor", "bytes"];
            if let Some(kind) = kinds.into_iter().find(|kind| object.contains_key(*kind)) {
                let name = object[kind].as_str().and_then(|path| names.get(path));
                if let Some(name) = name {
                    object[kind] = json!(name);
                }
                return;
            }
            for kind in ["nodes", "tuple"] {
                if let Some(nodes) = object.get_mut(kind) {
                    return rename(nodes, names);
                }
            }
        }
        _ => {}
    }
}

/// The paths of the arrays in a tree, in order.
pub(crate) fn leaves<'t>(tree: &'t Value, found: &mut Vec<&'t str>) {
    match tree {
        Value::Array(nodes) => nodes.iter().for_each(|node| leaves(node, found)),
        Value::Object(object) => {
            if let Some(path) = leaf(object).and_then(Value::as_str) {
                found.push(path);
            } else if let Some(nodes) = nodes_below(object) {
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
    #[error("the structure has an integer in a form other than {0}")]
    Integer(String),
    #[error("the structure has a complex number that does not have two parts")]
    Complex,
    #[error("the structure has a tuple that is not a list of nodes")]
    Tuple,
    #[error("the structure has bytes at `{path}`, which is not a flat array of uint8")]
    Bytes { path: String },
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
    if let Some(path) = object.get("bytes") {
        let path = path.as_str().ok_or(StructureError::NoPath)?;
        return bytes(path, &take(path)?.into());
    }
    if let Some(bits) = object.get("float") {
        return Ok(State::Float(float(bits)?));
    }
    if let Some(parts) = object.get("complex") {
        let Some([re, im]) = parts.as_array().map(Vec::as_slice) else {
            return Err(StructureError::Complex);
        };
        return Ok(State::Complex([float(re)?, float(im)?]));
    }
    if let Some(text) = object.get("integer") {
        let number = text.as_str().unwrap_or_default().parse::<BigInt>();
        let number = number.map_err(|error| StructureError::Integer(error.to_string()))?;
        return Ok(State::BigInt(number));
    }
    if let Some(nodes) = object.get("tuple") {
        return match rebuild(nodes, take)? {
            State::List(nodes) if object["tuple"].is_array() => Ok(State::Tuple(nodes)),
            _ => Err(StructureError::Tuple),
        };
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

fn float(bits: &Value) -> Result<f64, StructureError> {
    let bits = bits.as_str().and_then(|bits| u64::from_str_radix(bits, 16).ok());
    bits.map(f64::from_bits).ok_or(StructureError::Float)
}

fn bytes(path: &str, array: &State) -> Result<State, StructureError> {
    let is_flat = |tensor: &Tensor| tensor.dtype() == Dtype::UInt8 && tensor.shape().len() == 1;
    match array {
        State::Tensor(tensor) if is_flat(tensor) => Ok(State::Bytes(tensor.data().clone())),
        _ => Err(StructureError::Bytes { path: path.into() }),
    }
}

/// The plain values of a state as ordinary JSON, for other programs. Tensors and bytes, which are arrays, are
/// left out, and so are groups that contain nothing else. Values that JSON cannot express are written as Zarr
/// writes them (`"NaN"`, `"Infinity"`, `"-Infinity"`), a complex number as a list of its two parts, an integer of
/// more than 64 bits as a text in hexadecimal digits; an integer key becomes its decimal text, with `~2` appended
/// if that name is taken.
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
        State::BigInt(number) => match number.to_i128().map(u64::try_from) {
            Some(Ok(number)) => json!(number),
            _ => json!(number.as_str()),
        },
        State::Float(number) => plain_float(*number),
        State::Complex([re, im]) => json!([plain_float(*re), plain_float(*im)]),
        State::Text(text) => json!(text.as_str()),
        State::List(nodes) | State::Tuple(nodes) if nodes.is_empty() => json!([]),
        State::List(nodes) | State::Tuple(nodes) => {
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
        State::Tensor(_) | State::Bytes(_) => return None,
        _ => Value::Null,
    })
}

fn plain_float(number: f64) -> Value {
    if number.is_nan() {
        json!("NaN")
    } else if number.is_infinite() {
        json!(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(number)
    }
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
    fn the_kinds_of_version_3_come_back_and_those_of_version_2_do_not_need_it() {
        let nan = f64::from_bits(0x7ff8_dead_beef_0001);
        let inner = State::Tuple(vec![State::Bytes(vec![1, 2].into()), State::Tuple(Vec::new())]);
        let kinds = [
            State::integer(-(1 << 64)),
            State::integer(i128::from(u64::MAX)),
            State::Complex([-0.0, nan]),
            State::Bytes(Vec::new().into()),
            inner,
        ];
        for node in kinds {
            let list = State::List(vec![State::Null, node]);
            let state = StateDict::from_iter([("d", StateDict::from_iter([("l", list)]))]);
            assert!(needs_version_3(&state), "{state:?}");
            let mut nodes = Nodes::default();
            let tree = nodes.tree("model", &state);
            let mut arrays: HashMap<_, _> = nodes.arrays.into_iter().collect();
            let rebuilt = rebuild_dict(&tree, &mut |path| Ok(arrays.remove(path).unwrap()));
            // NaN is not equal to itself, so the texts are compared.
            assert_eq!(format!("{:?}", rebuilt.unwrap()), format!("{state:?}"));
            assert!(arrays.is_empty());
        }
        let mut old = StateDict::from_iter([("a", State::List(vec![State::Null, 1.5.into()]))]);
        old.insert("b", StateDict::from_iter([("w", Tensor::scalar(1_u8))]));
        assert!(!needs_version_3(&old));
    }

    #[test]
    fn arrays_are_renamed_at_any_depth() {
        let mut state = StateDict::from_iter([("b", State::Bytes(vec![1].into()))]);
        state.insert("t", State::Tuple(vec![Tensor::scalar(1_u8).into()]));
        let mut tree = Nodes::default().tree("m", &state);
        rename(&mut tree, &HashMap::from([("m/b", "one"), ("m/t/0", "two")]));
        let mut found = Vec::new();
        leaves(&tree, &mut found);
        assert_eq!(found, ["one", "two"]);
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
        optimizer.insert("key", State::Bytes(vec![1].into()));
        optimizer.insert("seed", State::integer(1 << 64));
        optimizer.insert("shots", State::integer(1 << 63));
        optimizer.insert("z", State::Tuple(vec![State::Complex([0.5, f64::NAN])]));
        let expected = json!({
            "lr": 0.5, "mixed": [1, null], "seed": "0x10000000000000000",
            "shots": 1_u64 << 63, "z": [[0.5, "NaN"]],
        });
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
        let tuple = vec![State::Bytes(vec![1].into()), Tensor::scalar(4_u8).into()];
        state.insert("t", State::Tuple(tuple));
        state.insert("T", State::Bytes(vec![2].into()));
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
            json!({"keys": ["a"], "nodes": [{"integer": "0x7"}]}),
            json!({"keys": ["a"], "nodes": [{"integer": 7}]}),
            json!({"keys": ["a"], "nodes": [{"complex": ["3ff0000000000000"]}]}),
            json!({"keys": ["a"], "nodes": [{"complex": [1.0, 2.0]}]}),
            json!({"keys": ["a"], "nodes": [{"complex": {}}]}),
            json!({"keys": ["a"], "nodes": [{"tuple": {"tuple": []}}]}),
            json!({"keys": ["a"], "nodes": [{"tuple": 3}]}),
            json!({"keys": ["a"], "nodes": [{"bytes": "gone"}]}),
            json!({"keys": ["a"], "nodes": [{"bytes": 1}]}),
            json!({"tuple": []}),
        ] {
            assert!(rebuild_dict(&tree, &mut no_tensors).is_err(), "{tree}");
        }
    }
}
