//! The variables of a model as a state, by their names.

use crate::error::CandleError;
use crate::tensors::{form_of, from_candle, to_candle};
use candle_core::Var;
use candle_nn::VarMap;
use qstore_schema::{Key, State, StateDict};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Variables by their names, which a state has in this order: that of a `VarMap` differs from process to process.
pub(crate) type Named = BTreeMap<String, Var>;

/// The variables of a model. A `Var` is a reference.
pub(crate) fn named(vars: &VarMap) -> Named {
    let vars = vars.data().lock().unwrap_or_else(PoisonError::into_inner);
    vars.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
}

/// A copy of the variables of a model, by name.
///
/// # Errors
/// [`CandleError::OfCandle`], [`CandleError::Candle`].
pub fn state_of(vars: &VarMap) -> Result<StateDict, CandleError> {
    tensors_of(&named(vars))
}

/// Loads a state into the variables of a model, which must have the same names, shapes and element types. All of them are
/// compared before the first is changed.
///
/// # Errors
/// [`CandleError::Missing`], [`CandleError::Unexpected`], [`CandleError::Mismatch`], [`CandleError::OfCheckpoint`]: nothing
/// was loaded. [`CandleError::Candle`].
pub fn load_into(vars: &VarMap, state: &StateDict) -> Result<(), CandleError> {
    set(matched(&named(vars), state)?)
}

pub(crate) fn tensors_of(vars: &Named) -> Result<StateDict, CandleError> {
    let tensor = |(name, var): (&String, &Var)| {
        Ok((Key::Name(name.as_str().into()), State::Tensor(from_candle(var.as_tensor())?)))
    };
    vars.iter().map(tensor).collect()
}

/// Each variable with the value that it will have.
pub(crate) fn matched(
    vars: &Named,
    state: &StateDict,
) -> Result<Vec<(Var, candle_core::Tensor)>, CandleError> {
    let stranger = state.iter().find(|(key, _)| match key {
        Key::Name(name) => !vars.contains_key(name.as_str()),
        Key::Int(_) => true,
    });
    if let Some((key, _)) = stranger {
        return Err(CandleError::Unexpected { name: key.to_string() });
    }
    let mut matched = Vec::with_capacity(vars.len());
    for (name, var) in vars {
        let found = state.tensor(name.as_str());
        let found = found.ok_or_else(|| CandleError::Missing { name: name.clone() })?;
        let tensor = to_candle(found, var.device())?;
        if (tensor.dtype(), tensor.dims()) != (var.dtype(), var.dims()) {
            let (name, expected, found) = (name.clone(), form_of(var), form_of(&tensor));
            return Err(CandleError::Mismatch { name, expected, found });
        }
        matched.push((var.clone(), tensor));
    }
    Ok(matched)
}

pub(crate) fn set(matched: Vec<(Var, candle_core::Tensor)>) -> Result<(), CandleError> {
    for (var, tensor) in matched {
        var.set(&tensor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};

    fn model(names: &[&str], value: f32) -> VarMap {
        let vars = VarMap::new();
        for name in names {
            let var =
                Var::from_tensor(&Tensor::full(value, (2, 3), &Device::Cpu).unwrap()).unwrap();
            vars.data().lock().unwrap().insert((*name).to_owned(), var);
        }
        vars
    }

    fn sums(vars: &VarMap) -> Vec<f32> {
        named(vars).values().map(|var| var.sum_all().unwrap().to_scalar().unwrap()).collect()
    }

    #[test]
    fn what_was_taken_is_loaded_and_not_changed_by_later_steps() {
        let first = model(&["b.weight", "a.weight"], 2.0);
        let state = state_of(&first).unwrap();
        named(&first)["a.weight"]
            .set(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap())
            .unwrap();
        let second = model(&["a.weight", "b.weight"], 0.0);
        load_into(&second, &state).unwrap();
        assert_eq!(sums(&second), [12.0, 12.0]);
    }

    #[test]
    fn a_state_of_another_model_changes_nothing() {
        let vars = model(&["a", "b"], 1.0);
        let check = |state: &StateDict, message: &str| {
            let error = load_into(&vars, state).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(sums(&vars), [6.0, 6.0]);
        };
        check(&state_of(&model(&["a"], 2.0)).unwrap(), "no tensor `b`");
        check(
            &state_of(&model(&["a", "b", "c"], 2.0)).unwrap(),
            "`c`, which the model does not have",
        );
        let mut other = state_of(&model(&["a", "b"], 2.0)).unwrap();
        other.insert("b", qstore_schema::Tensor::scalar(1.0_f64));
        check(&other, "`b` is F64 [] in the state and F32 [2, 3] in the model");
        other.insert("b", 1_i64);
        check(&other, "no tensor `b`");
    }
}
