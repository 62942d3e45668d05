//! `AdamW` with a state that can be saved (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
//!
//! candle's own keeps its moments private, so a training could only go on with moments of zero. This one does the same
//! operations in the same order, and gives the same bits: a test compares them.

use crate::error::CandleError;
use crate::vars::{Named, matched, named, set, tensors_of};
use candle_core::backprop::GradStore;
use candle_core::{Result as CandleResult, Tensor, Var};
use candle_nn::{ParamsAdamW, VarMap};
use qstore_schema::{State, StateDict};

const STEP: &str = "step";
const LR: &str = "lr";
const FIRST: &str = "first_moment";
const SECOND: &str = "second_moment";

/// The optimizer `AdamW` over the variables of a model, by their names.
#[derive(Debug)]
pub struct AdamW {
    vars: Named,
    first: Named,
    second: Named,
    step: u32,
    params: ParamsAdamW,
}

impl AdamW {
    /// For the floating-point variables that the model has now. Build the model first.
    ///
    /// # Errors
    /// If candle cannot allocate the moments.
    pub fn of(vars: &VarMap, params: ParamsAdamW) -> CandleResult<Self> {
        let mut vars = named(vars);
        vars.retain(|_, var| var.dtype().is_float());
        let zeros = || -> CandleResult<Named> {
            let zeros = |(name, var): (&String, &Var)| {
                Ok((name.clone(), Var::zeros(var.shape(), var.dtype(), var.device())?))
            };
            vars.iter().map(zeros).collect()
        };
        let (first, second) = (zeros()?, zeros()?);
        Ok(Self { vars, first, second, step: 0, params })
    }

    /// Computes the gradients of a loss, and does a step.
    ///
    /// # Errors
    /// What candle fails with.
    pub fn backward_step(&mut self, loss: &Tensor) -> CandleResult<()> {
        self.step(&loss.backward()?)
    }

    /// Changes the variables by their gradients. A variable without a gradient stays as it is, and so do its moments.
    ///
    /// # Errors
    /// What candle fails with.
    pub fn step(&mut self, grads: &GradStore) -> CandleResult<()> {
        self.step += 1;
        let ParamsAdamW { lr, beta1, beta2, eps, weight_decay } = self.params;
        let power = self.step as i32;
        let scale_m = 1.0 / (1.0 - beta1.powi(power));
        let scale_v = 1.0 / (1.0 - beta2.powi(power));
        for (name, var) in &self.vars {
            let Some(grad) = grads.get(var) else { continue };
            let (first, second) = (&self.first[name], &self.second[name]);
            let m = ((first.as_tensor() * beta1)? + (grad * (1.0 - beta1))?)?;
            let v = ((second.as_tensor() * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
            let m_hat = (&m * scale_m)?;
            let v_hat = (&v * scale_v)?;
            let decayed = (var.as_tensor() * (1.0 - lr * weight_decay))?;
            let adjusted = (m_hat / (v_hat.sqrt()? + eps)?)?;
            let next = (decayed - (adjusted * lr)?)?;
            first.set(&m)?;
            second.set(&v)?;
            var.set(&next)?;
        }
        Ok(())
    }

    /// The number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &ParamsAdamW {
        &self.params
    }

    /// Changes the parameters from the next step on.
    pub fn set_params(&mut self, params: ParamsAdamW) {
        self.params = params;
    }

    /// The learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.params.lr
    }

    /// Changes the learning rate from the next step on.
    pub fn set_learning_rate(&mut self, lr: f64) {
        self.params.lr = lr;
    }

    /// A copy of what the next step depends on besides the weights: the number of steps, the learning rate, and both
    /// moments of each variable by name. The other parameters are constants of the program.
    ///
    /// # Errors
    /// [`CandleError::OfCandle`], [`CandleError::Candle`].
    pub fn state(&self) -> Result<StateDict, CandleError> {
        Ok(StateDict::from_iter([
            (STEP, State::Int(self.step.into())),
            (LR, State::Float(self.params.lr)),
            (FIRST, State::Dict(tensors_of(&self.first)?)),
            (SECOND, State::Dict(tensors_of(&self.second)?)),
        ]))
    }

    /// Goes on from a state. All of it is compared with the model before anything is changed.
    ///
    /// # Errors
    /// [`CandleError::NotAdamW`], and those of [`load_into`](crate::load_into).
    pub fn load_state(&mut self, state: &StateDict) -> Result<(), CandleError> {
        let lacks = |name: &str| CandleError::NotAdamW {
            reason: format!("`{name}` is missing or malformed"),
        };
        let step = state.int(STEP).and_then(|step| u32::try_from(step).ok());
        let step = step.ok_or_else(|| lacks(STEP))?;
        let lr = state.float(LR).ok_or_else(|| lacks(LR))?;
        let moments = |name: &str| state.dict(name).ok_or_else(|| lacks(name));
        let first = matched(&self.first, moments(FIRST)?)?;
        let second = matched(&self.second, moments(SECOND)?)?;
        set(first)?;
        set(second)?;
        (self.step, self.params.lr) = (step, lr);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::Optimizer;

    fn model() -> VarMap {
        let vars = VarMap::new();
        for (name, values) in
            [("w", vec![0.5_f32, -1.0, 2.0, 0.25]), ("b", vec![0.1, -0.2, 0.3, 0.4])]
        {
            let tensor = Tensor::from_vec(values, 4, &Device::Cpu).unwrap();
            let var = Var::from_tensor(&tensor).unwrap();
            vars.data().lock().unwrap().insert(name.into(), var);
        }
        vars
    }

    fn loss(vars: &VarMap) -> Tensor {
        let vars = named(vars);
        let sum = (vars["w"].as_tensor() + vars["b"].sqr().unwrap()).unwrap();
        sum.sin().unwrap().sqr().unwrap().sum_all().unwrap()
    }

    fn bits(vars: &VarMap) -> Vec<u32> {
        let values = |var: &Var| var.to_vec1::<f32>().unwrap();
        named(vars).values().flat_map(values).map(f32::to_bits).collect()
    }

    #[test]
    fn it_takes_the_same_steps_as_that_of_candle() {
        let (ours, theirs) = (model(), model());
        let params = ParamsAdamW { lr: 0.05, ..ParamsAdamW::default() };
        let mut our_optimizer = AdamW::of(&ours, params.clone()).unwrap();
        let mut their_optimizer = candle_nn::AdamW::new(theirs.all_vars(), params).unwrap();
        for _ in 0..50 {
            our_optimizer.backward_step(&loss(&ours)).unwrap();
            their_optimizer.backward_step(&loss(&theirs)).unwrap();
            assert_eq!(bits(&ours), bits(&theirs));
        }
        assert_eq!(our_optimizer.steps(), 50);
    }

    #[test]
    fn it_goes_on_from_its_state_bit_for_bit() {
        let straight = model();
        let mut optimizer = AdamW::of(&straight, ParamsAdamW::default()).unwrap();
        for _ in 0..10 {
            optimizer.backward_step(&loss(&straight)).unwrap();
        }
        optimizer.set_learning_rate(0.01);
        let (weights, state) = (crate::state_of(&straight).unwrap(), optimizer.state().unwrap());

        let resumed = model();
        let mut again = AdamW::of(&resumed, ParamsAdamW::default()).unwrap();
        crate::load_into(&resumed, &weights).unwrap();
        again.load_state(&state).unwrap();
        assert_eq!((again.steps(), again.learning_rate()), (10, 0.01));
        for _ in 0..10 {
            optimizer.backward_step(&loss(&straight)).unwrap();
            again.backward_step(&loss(&resumed)).unwrap();
        }
        assert_eq!(bits(&straight), bits(&resumed));
    }

    #[test]
    fn a_state_of_something_else_changes_nothing() {
        let vars = model();
        let mut optimizer = AdamW::of(&vars, ParamsAdamW::default()).unwrap();
        optimizer.backward_step(&loss(&vars)).unwrap();
        let before = optimizer.state().unwrap();
        let mut other = before.clone();
        other.insert(STEP, -1_i64);
        let error = optimizer.load_state(&other).unwrap_err();
        assert!(error.to_string().contains("`step` is missing or malformed"), "{error}");
        let mut other = before.clone();
        other.insert(STEP, 7_i64);
        other.insert(SECOND, StateDict::new());
        assert!(matches!(optimizer.load_state(&other), Err(CandleError::Missing { .. })));
        assert!(optimizer.state().unwrap() == before);
    }

    #[test]
    fn variables_of_integers_are_not_optimized() {
        let vars = model();
        let counts = Var::zeros(2, DType::I64, &Device::Cpu).unwrap();
        vars.data().lock().unwrap().insert("counts".into(), counts);
        assert_eq!(AdamW::of(&vars, ParamsAdamW::default()).unwrap().vars.len(), 2);
    }
}
