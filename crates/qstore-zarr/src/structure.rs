//! A state as a tree that JSON can hold, exactly: order, kinds of keys, lists, every bit of a float.
//!
//! Zarr knows groups and arrays; it has no lists, no integer keys, no order and no place for a NaN's
//! payload. So the tensors become arrays, and the tree, kept in the root's attributes, says how they
//! hang together:
//!
//! | node | in JSON |
//! |---|---|
//! | null, flag, whole number, text | itself |
//! | float | `{"float": "3ff0000000000000"}`, its bits in hexadecimal |
//! | list | `[…]` |
//! | dict | `{"keys": ["name", 0], "nodes": […]}`; a number is an integer key |
//! | tensor | `{"tensor": "model/layer.0.weight"}`, the array's path |

use crate::Error;
use crate::names::Siblings;
use qstore_schema::{Key, State, StateDict, Tensor};
use serde_json::{Map, Value, json};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeSet;

/// How deep a state may be. Each level takes up to two of JSON, and readers stop at 128 or earlier.
const DEPTH_MAX: usize = 48;

/// numpy, through which most readers go, takes no more.
const DIMENSIONS_MAX: usize = 64;

/// The arrays and groups of a checkpoint, found while the trees are drawn.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub(crate) arrays: Vec<(String, Tensor)>,
    /// Groups below the root; a parent sorts before its children.
    pub(crate) groups: BTreeSet<String>,
}

impl Nodes {
    /// The tree of a [checked](check) state that lies in the group `group`, which appears with it.
    pub(crate) fn tree(&mut self, group: &str, state: &StateDict) -> Value {
        self.groups.insert(group.into());
        self.dict(group, state)
    }

    fn dict(&mut self, group: &str, dict: &StateDict) -> Value {
        let mut siblings = Siblings::default();
        let mut keys = Vec::with_capacity(dict.len());
        let mut nodes = Vec::with_capacity(dict.len());
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

/// Whether a state can be saved: all names are given, the depth and the number of dimensions are
/// bounded, and metadata holds no tensors.
pub(crate) fn check(part: Part, state: &StateDict) -> Result<(), Error> {
    Check { part, at: vec![part.name().into()] }.dict(state)
}

/// A part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Model,
    Optimizer,
    Metadata,
}

impl Part {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Optimizer => "optimizer",
            Self::Metadata => "metadata",
        }
    }
}

struct Check {
    part: Part,
    /// The keys down to the current node, for messages.
    at: Vec<SmolStr>,
}

impl Check {
    fn dict(&mut self, dict: &StateDict) -> Result<(), Error> {
        for (key, node) in dict.iter() {
            let name = match key {
                Key::Name(name) if name.is_empty() => {
                    return Err(Error::EmptyName { at: self.at() });
                }
                Key::Name(name) => name.clone(),
                Key::Int(number) => format_smolstr!("{number}"),
            };
            self.node(name, node)?;
        }
        Ok(())
    }

    fn node(&mut self, name: SmolStr, node: &State) -> Result<(), Error> {
        self.at.push(name);
        if self.at.len() > DEPTH_MAX {
            return Err(Error::TooDeep { at: self.at(), limit: DEPTH_MAX });
        }
        match node {
            State::Tensor(_) if self.part == Part::Metadata => {
                return Err(Error::TensorInMetadata { at: self.at() });
            }
            State::Tensor(tensor) if tensor.shape().len() > DIMENSIONS_MAX => {
                let reason = format!("it has more than {DIMENSIONS_MAX} dimensions");
                return Err(Error::Encode { tensor: self.at(), reason });
            }
            State::Null
            | State::Bool(_)
            | State::Int(_)
            | State::Float(_)
            | State::Text(_)
            | State::Tensor(_) => {}
            State::List(list) => {
                for (number, node) in list.iter().enumerate() {
                    self.node(format_smolstr!("{number}"), node)?;
                }
            }
            State::Dict(dict) => self.dict(dict)?,
            _ => return Err(Error::UnknownNode { at: self.at() }),
        }
        self.at.pop();
        Ok(())
    }

    fn at(&self) -> String {
        self.at.join(".")
    }
}

/// The arrays a tree names, in order.
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

/// The state a tree stands for; `take` gives the tensor of a path.
pub(crate) fn rebuild_dict(
    tree: &Value,
    take: &mut impl FnMut(&str) -> Option<Tensor>,
) -> Result<StateDict, String> {
    match rebuild(tree, take)? {
        State::Dict(dict) => Ok(dict),
        _ => Err("the structure does not begin with a dict".into()),
    }
}

fn rebuild(tree: &Value, take: &mut impl FnMut(&str) -> Option<Tensor>) -> Result<State, String> {
    Ok(match tree {
        Value::Null => State::Null,
        Value::Bool(flag) => State::Bool(*flag),
        Value::Number(number) => State::Int(number.as_i64().ok_or("a number beyond 64 bits")?),
        Value::String(text) => State::Text(text.into()),
        Value::Array(nodes) => {
            State::List(nodes.iter().map(|node| rebuild(node, take)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => rebuild_object(object, take)?,
    })
}

fn rebuild_object(
    object: &Map<String, Value>,
    take: &mut impl FnMut(&str) -> Option<Tensor>,
) -> Result<State, String> {
    if let Some(path) = object.get("tensor") {
        let path = path.as_str().ok_or("a tensor without a path")?;
        let tensor = take(path).ok_or_else(|| format!("tensor `{path}` stands twice"))?;
        return Ok(State::Tensor(tensor));
    }
    if let Some(bits) = object.get("float") {
        let bits = bits.as_str().and_then(|bits| u64::from_str_radix(bits, 16).ok());
        return Ok(State::Float(f64::from_bits(bits.ok_or("a float that is none")?)));
    }
    let array = |name| object.get(name).and_then(Value::as_array);
    let (Some(keys), Some(nodes)) = (array("keys"), array("nodes")) else {
        return Err("a node of an unknown kind".into());
    };
    if keys.len() != nodes.len() {
        return Err("a dict with more keys than nodes, or fewer".into());
    }
    let mut dict = StateDict::new();
    for (key, node) in keys.iter().zip(nodes) {
        let key = match key {
            Value::String(name) => Key::Name(name.into()),
            Value::Number(number) => Key::Int(number.as_i64().ok_or("a key beyond 64 bits")?),
            _ => return Err("a key that is no name and no number".into()),
        };
        if dict.insert(key.clone(), rebuild(node, take)?).is_some() {
            return Err(format!("the key `{key}` twice in one dict"));
        }
    }
    Ok(State::Dict(dict))
}

/// A state without tensors as everyday JSON, for readers of other languages. What JSON has no word
/// for is written as Zarr does (`"NaN"`, `"Infinity"`, `"-Infinity"`); an integer key becomes its
/// decimal text, with a `~2` where that name is taken.
pub(crate) fn plain(state: &StateDict) -> Value {
    let mut object = Map::new();
    for (key, node) in state.iter() {
        let mut name = key.to_string();
        let mut number = 2;
        while object.contains_key(&name) {
            name = format!("{key}~{number}");
            number += 1;
        }
        object.insert(name, plain_node(node));
    }
    Value::Object(object)
}

fn plain_node(node: &State) -> Value {
    match node {
        State::Bool(flag) => json!(flag),
        State::Int(number) => json!(number),
        State::Float(number) if number.is_nan() => json!("NaN"),
        State::Float(f64::INFINITY) => json!("Infinity"),
        State::Float(f64::NEG_INFINITY) => json!("-Infinity"),
        State::Float(number) => json!(number),
        State::Text(text) => json!(text.as_str()),
        State::List(nodes) => nodes.iter().map(plain_node).collect(),
        State::Dict(dict) => plain(dict),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> StateDict {
        let mut dict = StateDict::from_iter([("leaf", Tensor::scalar(1_u8))]);
        for _ in 1..depth {
            dict = StateDict::from_iter([("d", dict)]);
        }
        dict
    }

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
        let rebuilt = rebuild_dict(&tree, &mut |_| Some(tensor.clone())).unwrap();
        assert_eq!(rebuilt, optimizer);
    }

    #[test]
    fn every_bit_of_a_float_is_kept() {
        let numbers = [f64::NAN, f64::from_bits(0x7ff8_dead_beef_0001), -0.0, f64::NEG_INFINITY];
        for number in numbers {
            let state = StateDict::from_iter([("x", number)]);
            let tree = Nodes::default().tree("metadata", &state);
            let rebuilt = rebuild_dict(&tree, &mut |_| None).unwrap();
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
            plain(&state),
            json!({"loss": "NaN", "best": "Infinity", "0": "name", "0~2": "number", "nothing": null})
        );
    }

    #[test]
    fn what_cannot_be_saved_is_refused_with_its_place() {
        let refuse = |state: StateDict| check(Part::Model, &state).unwrap_err().to_string();
        let unnamed = StateDict::from_iter([("a", StateDict::from_iter([("", 1_i64)]))]);
        assert!(refuse(unnamed).contains("`model.a` has an entry without a name"));
        assert!(refuse(nested(DEPTH_MAX)).contains("more than 48 levels"));
        let metadata = StateDict::from_iter([("w", Tensor::scalar(1_u8))]);
        let flat = StateDict::from_iter([("w", Tensor::from_vec(vec![1_u8], [1; 65]).unwrap())]);
        assert!(refuse(flat).contains("`model.w` could not be encoded: it has more than 64"));
        let error = check(Part::Metadata, &metadata).unwrap_err();
        assert!(matches!(error, Error::TensorInMetadata { at } if at == "metadata.w"));
    }

    #[test]
    fn the_deepest_state_still_parses_as_json() {
        let state = nested(DEPTH_MAX - 1);
        check(Part::Model, &state).unwrap();
        let tree = Nodes::default().tree("model", &state);
        let text = json!({ "attributes": { "qstore": { "model": tree } } }).to_string();
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn a_tree_that_makes_no_sense_is_refused() {
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
            assert!(rebuild_dict(&tree, &mut |_| None).is_err(), "{tree}");
        }
    }
}
