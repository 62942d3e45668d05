//! Checks whether a state can be saved: no name is empty, depth and dimensions are bounded, and metadata
//! contains neither tensors nor bytes, which are arrays.

use crate::error::StateError;
use qstore_schema::{Key, State, StateDict};
use smol_str::{SmolStr, format_smolstr};

/// The maximum nesting depth of a state. Each level takes up to two levels of JSON, and JSON readers stop
/// at 128 or earlier.
pub const DEPTH_MAX: usize = 48;

/// The most dimensions a tensor may have: the limit of numpy, which most readers use.
pub const DIMENSIONS_MAX: usize = 64;

/// Where a state is in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Part,
    Metadata,
}

pub(crate) fn state(name: &str, state: &StateDict, place: Place) -> Result<(), StateError> {
    Check { place, at: vec![name.into()] }.dict(state)
}

struct Check {
    place: Place,
    /// The keys down to the current node, for messages.
    at: Vec<SmolStr>,
}

impl Check {
    fn dict(&mut self, dict: &StateDict) -> Result<(), StateError> {
        for (key, node) in dict.iter() {
            let name = match key {
                Key::Name(name) if name.is_empty() => {
                    return Err(StateError::EmptyName { at: self.at() });
                }
                Key::Name(name) => name.clone(),
                Key::Int(number) => format_smolstr!("{number}"),
            };
            self.node(name, node)?;
        }
        Ok(())
    }

    fn node(&mut self, name: SmolStr, node: &State) -> Result<(), StateError> {
        self.at.push(name);
        if self.at.len() > DEPTH_MAX {
            return Err(StateError::TooDeep { at: self.at(), limit: DEPTH_MAX });
        }
        match node {
            State::Tensor(_) if self.place == Place::Metadata => {
                return Err(StateError::TensorInMetadata { at: self.at() });
            }
            State::Bytes(_) if self.place == Place::Metadata => {
                return Err(StateError::BytesInMetadata { at: self.at() });
            }
            State::Tensor(tensor) if tensor.shape().len() > DIMENSIONS_MAX => {
                let found = tensor.shape().len();
                return Err(StateError::TooManyDimensions {
                    at: self.at(),
                    found,
                    limit: DIMENSIONS_MAX,
                });
            }
            State::Null
            | State::Bool(_)
            | State::Int(_)
            | State::BigInt(_)
            | State::Float(_)
            | State::Complex(_)
            | State::Text(_)
            | State::Bytes(_)
            | State::Tensor(_) => {}
            State::List(list) | State::Tuple(list) => {
                for (number, node) in list.iter().enumerate() {
                    self.node(format_smolstr!("{number}"), node)?;
                }
            }
            State::Dict(dict) => self.dict(dict)?,
            _ => return Err(StateError::UnknownNode { at: self.at() }),
        }
        self.at.pop();
        Ok(())
    }

    fn at(&self) -> String {
        self.at.join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::Tensor;

    fn nested(depth: usize) -> StateDict {
        let mut dict = StateDict::from_iter([("leaf", Tensor::scalar(1_u8))]);
        for _ in 1..depth {
            dict = StateDict::from_iter([("d", dict)]);
        }
        dict
    }

    #[test]
    fn each_error_names_the_location() {
        let refuse =
            |given: StateDict| state("model", &given, Place::Part).unwrap_err().to_string();
        let unnamed = StateDict::from_iter([("a", StateDict::from_iter([("", 1_i64)]))]);
        assert!(refuse(unnamed).starts_with("`model.a` has an entry with an empty name"));
        assert!(refuse(nested(DEPTH_MAX)).contains("more than 48 levels"));
        assert!(state("model", &nested(DEPTH_MAX - 1), Place::Part).is_ok());
        let flat = StateDict::from_iter([("w", Tensor::from_vec(vec![1_u8], [1; 65]).unwrap())]);
        assert!(refuse(flat).starts_with("tensor `model.w` has 65 dimensions"));
        let tuple = State::Tuple(vec![State::Null, State::Bytes(vec![1].into())]);
        let opaque = StateDict::from_iter([("t", tuple)]);
        assert!(state("model", &opaque, Place::Part).is_ok());
        let error = state("metadata", &opaque, Place::Metadata).unwrap_err().to_string();
        assert!(error.starts_with("metadata contains bytes at `metadata.t.1`"), "{error}");
    }
}
