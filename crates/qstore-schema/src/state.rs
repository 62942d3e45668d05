//! The state of a model or an optimiser: nested maps and lists of tensors, numbers and texts.
//!
//! The shape follows what `PyTorch`'s `state_dict()` returns, integer keys and lists of groups
//! included, so that such a state survives a round trip unchanged.

use crate::Tensor;
use indexmap::IndexMap;
use smol_str::SmolStr;
use std::fmt;

/// A key of a [`StateDict`]: a name or a whole number, which are never equal to each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A name.
    Name(SmolStr),
    /// A whole number, as optimisers use for the parameters they hold.
    Int(i64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Int(number) => write!(f, "{number}"),
        }
    }
}

/// One node of a state.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Nothing.
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(SmolStr),
    /// An array of numbers.
    Tensor(Tensor),
    /// Nodes in order.
    List(Vec<State>),
    /// Nodes by key.
    Dict(StateDict),
}

/// Nodes by key, in the order they were inserted.
///
/// ```
/// use qstore_schema::{State, StateDict, Tensor};
///
/// let moments = StateDict::from_iter([("exp_avg", Tensor::scalar(0.1_f32))]);
/// let mut optimizer = StateDict::new();
/// optimizer.insert("state", StateDict::from_iter([(0_i64, moments)]));
/// optimizer.insert("param_groups", vec![State::from(StateDict::from_iter([("lr", 1e-3)]))]);
///
/// let state = optimizer.dict("state").unwrap();
/// assert!(state.dict(0_i64).unwrap().tensor("exp_avg").is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict {
    nodes: IndexMap<Key, State>,
}

impl StateDict {
    /// A dict without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a node and returns the one that was there.
    pub fn insert(&mut self, key: impl Into<Key>, node: impl Into<State>) -> Option<State> {
        self.nodes.insert(key.into(), node.into())
    }

    /// The node under that key.
    #[must_use]
    pub fn get(&self, key: impl Into<Key>) -> Option<&State> {
        self.nodes.get(&key.into())
    }

    /// The tensor under that key, if the node is one.
    #[must_use]
    pub fn tensor(&self, key: impl Into<Key>) -> Option<&Tensor> {
        match self.get(key) {
            Some(State::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// The dict under that key, if the node is one.
    #[must_use]
    pub fn dict(&self, key: impl Into<Key>) -> Option<&Self> {
        match self.get(key) {
            Some(State::Dict(dict)) => Some(dict),
            _ => None,
        }
    }

    /// The whole number under that key, if the node is one.
    #[must_use]
    pub fn int(&self, key: impl Into<Key>) -> Option<i64> {
        match self.get(key) {
            Some(State::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// The number under that key, if the node is one; a whole number counts.
    #[must_use]
    pub fn float(&self, key: impl Into<Key>) -> Option<f64> {
        match self.get(key) {
            Some(State::Float(number)) => Some(*number),
            Some(State::Int(number)) => Some(*number as f64),
            _ => None,
        }
    }

    /// The text under that key, if the node is one.
    #[must_use]
    pub fn text(&self, key: impl Into<Key>) -> Option<&str> {
        match self.get(key) {
            Some(State::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Keys and nodes in the order they were inserted.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &State)> {
        self.nodes.iter()
    }

    /// How many nodes lie directly in this dict.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of all tensors at any depth.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.nodes.values().map(State::tensor_bytes).sum()
    }
}

impl State {
    /// Bytes of all tensors at any depth.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        match self {
            Self::Tensor(tensor) => tensor.data().len() as u64,
            Self::List(nodes) => nodes.iter().map(Self::tensor_bytes).sum(),
            Self::Dict(dict) => dict.tensor_bytes(),
            _ => 0,
        }
    }
}

impl IntoIterator for StateDict {
    type Item = (Key, State);
    type IntoIter = indexmap::map::IntoIter<Key, State>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.into_iter()
    }
}

impl<K: Into<Key>, N: Into<State>> FromIterator<(K, N)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (K, N)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().map(|(key, node)| (key.into(), node.into())).collect() }
    }
}

macro_rules! from {
    ($target:ident: $($source:ty => |$value:ident| $node:expr;)*) => {$(
        impl From<$source> for $target {
            fn from($value: $source) -> Self { $node }
        }
    )*};
}

from! { Key:
    &str => |name| Self::Name(name.into());
    String => |name| Self::Name(name.into());
    SmolStr => |name| Self::Name(name);
    i64 => |number| Self::Int(number);
}

from! { State:
    bool => |value| Self::Bool(value);
    i64 => |value| Self::Int(value);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.into());
    String => |value| Self::Text(value.into());
    Tensor => |tensor| Self::Tensor(tensor);
    Vec<State> => |nodes| Self::List(nodes);
    StateDict => |dict| Self::Dict(dict);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_spelling_are_different_keys() {
        let mut dict = StateDict::new();
        dict.insert(0_i64, "number");
        dict.insert("0", "name");
        assert_eq!((dict.text(0_i64), dict.text("0")), (Some("number"), Some("name")));
    }

    #[test]
    fn order_of_insertion_is_kept() {
        let dict = StateDict::from_iter([("z", 1_i64), ("a", 2), ("m", 3)]);
        let keys: Vec<_> = dict.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, ["z", "a", "m"]);
    }

    #[test]
    fn bytes_are_counted_at_any_depth() {
        let inner = StateDict::from_iter([("m", Tensor::scalar(1.0_f64))]);
        let list = vec![State::from(inner.clone()), State::from(Tensor::scalar(1_u8))];
        let mut dict = StateDict::from_iter([("list", list)]);
        dict.insert("dict", inner);
        assert_eq!(dict.tensor_bytes(), 8 + 1 + 8);
    }
}
