//! States as exact, plain JSON: tensors as bytes, floats as bits, keys with their kind.

use crate::plain;
use qstore::schema::{Key, State, StateDict, Tensor};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) fn dict(dict: &StateDict) -> Value {
    let entries = dict.iter().map(|(key, state)| {
        let key = match key {
            Key::Name(name) => json!(name.as_str()),
            Key::Int(number) => json!(number),
        };
        json!([key, node(state)])
    });
    json!({ "dict": entries.collect::<Vec<_>>() })
}

fn node(state: &State) -> Value {
    match state {
        State::Bool(flag) => json!(flag),
        State::Int(number) => json!(number),
        State::Float(number) => plain::float(*number),
        State::Text(text) => json!(text.as_str()),
        State::BigInt(number) => json!({ "integer": number.as_str() }),
        State::Complex(parts) => json!({ "complex": parts.map(plain::float) }),
        State::Bytes(bytes) => json!({ "raw": hexadecimal(bytes) }),
        State::Tuple(nodes) => json!({ "tuple": nodes.iter().map(node).collect::<Vec<_>>() }),
        State::Tensor(tensor) => self::tensor(tensor),
        State::List(list) => list.iter().map(node).collect(),
        State::Dict(inner) => dict(inner),
        _ => Value::Null,
    }
}

fn tensor(tensor: &Tensor) -> Value {
    let bytes = hexadecimal(tensor.data());
    json!({ "dtype": tensor.dtype().name(), "shape": tensor.shape(), "bytes": bytes })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
    }
    text
}
