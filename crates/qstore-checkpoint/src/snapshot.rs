//! The input of a save: named parts and metadata, captured at the call.

use crate::check::{self, Place};
use crate::error::StateError;
use crate::id::{Attempt, CheckpointId, Part, Rank};
use qstore_schema::{Key, State, StateDict};
use smol_str::SmolStr;
use std::time::SystemTime;

/// The state of a training run, to be saved under a number: an epoch or a step, depending on the
/// directory.
///
/// A snapshot has any number of named parts, each with nested tensors and plain values, and metadata,
/// which contains only plain values and is what other programs see first. Tensors are
/// reference-counted and immutable, so building a snapshot copies nothing, and nothing the caller does
/// afterwards changes it.
///
/// ```
/// use qstore_checkpoint::Snapshot;
/// use qstore_schema::{State, StateDict, Tensor};
///
/// let weights = StateDict::from_iter([("w", Tensor::from_vec(vec![1.0_f32; 4], [2, 2])?)]);
/// let scheduler = StateDict::from_iter([("last_epoch", 41_i64)]);
/// let rng = StateDict::from_iter([("state", Tensor::from_vec(vec![7_u8; 32], [32])?)]);
///
/// let snapshot = Snapshot::new(42)
///     .model(weights)
///     .part("scheduler", scheduler)
///     .part("rng", rng)
///     .meta("val_loss", 0.25);
/// assert_eq!(snapshot.parts.names().collect::<Vec<_>>(), ["model", "scheduler", "rng"]);
/// assert_eq!(snapshot.metadata.float("val_loss"), Some(0.25));
/// # Ok::<(), qstore_schema::TensorError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The checkpoint it will become.
    pub id: CheckpointId,
    /// The attempt of the run it is from, if set.
    pub attempt: Option<Attempt>,
    /// When it was taken.
    pub timestamp: SystemTime,
    /// The parts, in the order they were set.
    pub parts: Parts,
    /// The metadata: plain values only.
    pub metadata: StateDict,
}

impl Snapshot {
    /// The name of the part that [`model`](Self::model) sets.
    pub const MODEL: &str = "model";
    /// The name of the part that [`optimizer`](Self::optimizer) sets.
    pub const OPTIMIZER: &str = "optimizer";

    /// An empty snapshot for this epoch or step, taken now.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self {
            id: CheckpointId::new(number),
            attempt: None,
            timestamp: SystemTime::now(),
            parts: Parts::default(),
            metadata: StateDict::new(),
        }
    }

    /// Sets the part `model`.
    #[must_use]
    pub fn model(self, state: StateDict) -> Self {
        self.part(Self::MODEL, state)
    }

    /// Sets the part `optimizer`.
    #[must_use]
    pub fn optimizer(self, state: StateDict) -> Self {
        self.part(Self::OPTIMIZER, state)
    }

    /// Sets a part: a scheduler, a gradient scaler, the state of a random number generator, the
    /// position of a data loader. Replaces an earlier part with the same name.
    #[must_use]
    pub fn part(mut self, name: impl Into<SmolStr>, state: StateDict) -> Self {
        self.parts.insert(name, state);
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn meta(mut self, key: impl Into<Key>, value: impl Into<State>) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// Sets all metadata at once, replacing any set before.
    #[must_use]
    pub fn metadata(mut self, metadata: StateDict) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the attempt of the run that the checkpoint is from.
    #[must_use]
    pub fn attempt(mut self, attempt: Attempt) -> Self {
        if let Some(part) = &mut self.id.part {
            part.attempt = attempt.clone();
        }
        self.attempt = Some(attempt);
        self
    }

    /// Makes this one rank's part of a checkpoint that several ranks save together. A part by itself is
    /// never listed.
    #[must_use]
    pub fn rank(mut self, attempt: Attempt, rank: Rank) -> Self {
        self.attempt = Some(attempt.clone());
        self.id.part = Some(Part { attempt, rank });
        self
    }

    /// The epoch or the step.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.id.number
    }

    /// Checks whether the snapshot can be saved.
    ///
    /// # Errors
    /// For a name that is empty, a state that is nested too deeply or has a node of an unknown kind,
    /// a tensor with too many dimensions, and a tensor in the metadata.
    pub fn check(&self) -> Result<(), StateError> {
        for (name, state) in self.parts.iter() {
            if name.is_empty() {
                return Err(StateError::EmptyName { at: "the snapshot".into() });
            }
            check::state(name, state, Place::Part)?;
        }
        check::state("metadata", &self.metadata, Place::Metadata)
    }
}

/// The named parts of a checkpoint, in the order they were set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parts {
    parts: Vec<(SmolStr, StateDict)>,
}

impl Parts {
    /// No parts.
    #[must_use]
    pub const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Sets a part; returns the state that it replaces.
    pub fn insert(&mut self, name: impl Into<SmolStr>, state: StateDict) -> Option<StateDict> {
        let name = name.into();
        if let Some((_, known)) = self.parts.iter_mut().find(|(known, _)| *known == name) {
            return Some(std::mem::replace(known, state));
        }
        self.parts.push((name, state));
        None
    }

    /// The part with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&StateDict> {
        self.parts.iter().find(|(known, _)| known == name).map(|(_, state)| state)
    }

    /// Removes and returns the part with this name.
    pub fn remove(&mut self, name: &str) -> Option<StateDict> {
        let at = self.parts.iter().position(|(known, _)| known == name)?;
        Some(self.parts.remove(at).1)
    }

    /// All parts with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StateDict)> {
        self.parts.iter().map(|(name, state)| (name.as_str(), state))
    }

    /// The names of the parts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(name, _)| name.as_str())
    }

    /// The number of parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are no parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The size of all tensors in memory, in bytes.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.iter().map(|(_, state)| state.tensor_bytes()).sum()
    }
}

impl<N: Into<SmolStr>> FromIterator<(N, StateDict)> for Parts {
    fn from_iter<I: IntoIterator<Item = (N, StateDict)>>(parts: I) -> Self {
        let mut collected = Self::new();
        for (name, state) in parts {
            collected.insert(name, state);
        }
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::Tensor;

    #[test]
    fn a_part_set_again_is_replaced_and_keeps_its_position() {
        let state = |value: i64| StateDict::from_iter([("x", value)]);
        let snapshot = Snapshot::new(1).model(state(1)).part("rng", state(2)).model(state(3));
        let parts: Vec<_> = snapshot.parts.iter().collect();
        assert_eq!(parts, [("model", &state(3)), ("rng", &state(2))]);
    }

    #[test]
    fn errors_name_what_cannot_be_saved() {
        let tensor = || StateDict::from_iter([("w", Tensor::scalar(1_u8))]);
        assert!(Snapshot::new(0).part("metadata", tensor()).check().is_ok());
        let error = Snapshot::new(0).metadata(tensor()).check().unwrap_err();
        assert!(matches!(error, StateError::TensorInMetadata { at } if at == "metadata.w"));
        let error = Snapshot::new(0).part("", tensor()).check().unwrap_err();
        assert!(matches!(error, StateError::EmptyName { .. }));
    }

    #[test]
    fn a_part_has_the_attempt_of_its_snapshot() {
        let attempt = |name: &str| Attempt::new(name).unwrap();
        let rank = Rank::new(0, 2).unwrap();
        let snapshot = Snapshot::new(1).rank(attempt("a"), rank).attempt(attempt("b"));
        assert_eq!(snapshot.attempt.as_ref(), Some(&attempt("b")));
        assert_eq!(snapshot.id.part.as_ref().unwrap().attempt, attempt("b"));
    }
}
