//! The training state as a checkpoint, and back.

use std::error::Error;

use qstore::{StateDict, Tensor};

use crate::adam::Adam;
use crate::circuit::QUBITS;
use crate::training::State;

/// The model: the circuit's angles, as `[layer, qubit, 2]`.
pub fn model(state: &State) -> Result<StateDict, Box<dyn Error>> {
    let layers = state.parameters.len() / (QUBITS * 2);
    let angles = Tensor::from_slice(&state.parameters, [layers, QUBITS, 2])?;
    Ok(StateDict::from_iter([("angles", angles)]))
}

/// Adam's state, nested like the `state_dict()` of a `PyTorch` optimizer with one parameter.
pub fn optimizer(adam: &Adam, learning_rate: f64) -> Result<StateDict, Box<dyn Error>> {
    let mut parameter = StateDict::new();
    parameter.insert("step", i64::try_from(adam.step)?);
    parameter.insert("exp_avg", Tensor::from_slice(&adam.m, [adam.m.len()])?);
    parameter.insert("exp_avg_sq", Tensor::from_slice(&adam.v, [adam.v.len()])?);
    let mut group = StateDict::from_iter([("lr", learning_rate)]);
    group.insert("params", vec![0_i64.into()]);

    let mut optimizer = StateDict::new();
    optimizer.insert("state", StateDict::from_iter([(0_i64, parameter)]));
    optimizer.insert("param_groups", vec![group.into()]);
    Ok(optimizer)
}

/// The state that a checkpoint of this demo holds.
pub fn restore(model: &StateDict, optimizer: &StateDict) -> Result<State, Box<dyn Error>> {
    let missing = |name: &str| format!("the checkpoint has no `{name}`: it is not from this demo");
    let values = |dict: &StateDict, name: &str| -> Result<Vec<f64>, Box<dyn Error>> {
        Ok(dict.tensor(name).ok_or_else(|| missing(name))?.to_vec()?)
    };
    let parameter = optimizer.dict("state").and_then(|state| state.dict(0_i64));
    let parameter = parameter.ok_or_else(|| missing("state/0"))?;
    let step = parameter.int("step").ok_or_else(|| missing("step"))?;
    Ok(State {
        parameters: values(model, "angles")?,
        adam: Adam {
            step: u64::try_from(step)?,
            m: values(parameter, "exp_avg")?,
            v: values(parameter, "exp_avg_sq")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_bit_for_bit() {
        let numbers = |first: f64| (0..16).map(|n| first / f64::from(n + 1)).collect::<Vec<_>>();
        let adam = Adam { step: 7, m: numbers(-0.0), v: numbers(1e-300) };
        let state = State { parameters: numbers(3.0), adam };
        let restored = restore(&model(&state).unwrap(), &optimizer(&state.adam, 0.1).unwrap());
        let bits = |state: &State| {
            let all = state.parameters.iter().chain(&state.adam.m).chain(&state.adam.v);
            all.map(|number| number.to_bits()).collect::<Vec<_>>()
        };
        let restored = restored.unwrap();
        assert_eq!((bits(&restored), restored.adam.step), (bits(&state), 7));
    }
}
