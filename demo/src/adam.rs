//! The Adam optimizer (Kingma and Ba 2015, "Adam: a method for stochastic optimization").
//!
//! The whole state is three plain fields, `step`, `m` and `v`. Saved and restored exactly, together
//! with the parameters, they continue a run as if it had never stopped. There is no weight decay
//! and no learning-rate schedule.

/// Decay rate of the first moment; the value the paper recommends.
const BETA_1: f64 = 0.9;
/// Decay rate of the second moment; the value the paper recommends.
const BETA_2: f64 = 0.999;
/// Keeps the division finite where a gradient has always been zero.
const EPSILON: f64 = 1e-8;

/// The optimizer's state between steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// How many updates were made.
    pub step: u64,
    /// Running mean of the gradient, one per parameter.
    pub m: Vec<f64>,
    /// Running mean of the squared gradient, one per parameter.
    pub v: Vec<f64>,
}

impl Adam {
    /// The state before the first update.
    pub fn new(parameter_count: usize) -> Self {
        Self { step: 0, m: vec![0.0; parameter_count], v: vec![0.0; parameter_count] }
    }

    /// Moves `parameters` one step against `gradient`.
    pub fn update(&mut self, parameters: &mut [f64], gradient: &[f64], learning_rate: f64) {
        debug_assert!(parameters.len() == self.m.len() && gradient.len() == self.m.len());
        self.step += 1;
        // Both means start at zero; dividing by these takes that bias out.
        let correction_1 = 1.0 - BETA_1.powf(self.step as f64);
        let correction_2 = 1.0 - BETA_2.powf(self.step as f64);
        let moments = self.m.iter_mut().zip(&mut self.v);
        for ((parameter, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *m = BETA_1 * *m + (1.0 - BETA_1) * g;
            *v = BETA_2 * *v + (1.0 - BETA_2) * g * g;
            let (m_hat, v_hat) = (*m / correction_1, *v / correction_2);
            *parameter -= learning_rate * m_hat / (v_hat.sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "an untouched parameter keeps its bits")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual}, expected {expected}");
    }

    #[test]
    fn two_steps_match_the_formulas_by_hand() {
        let mut adam = Adam::new(1);
        let mut parameters = [1.0];

        // m = 0.1 · 2, v = 0.001 · 4; corrected: 2 and 4; the step is 0.1 · 2 / √4.
        adam.update(&mut parameters, &[2.0], 0.1);
        check(adam.m[0], 0.2);
        check(adam.v[0], 0.004);
        check(parameters[0], 0.9);

        // m = 0.9 · 0.2 - 0.1, v = 0.999 · 0.004 + 0.001; divided by 0.19 and 0.001999.
        adam.update(&mut parameters, &[-1.0], 0.1);
        check(adam.m[0], 0.08);
        check(adam.v[0], 0.004_996);
        check(parameters[0], 0.9 - 0.1 * (0.08 / 0.19) / (0.004_996_f64 / 0.001_999).sqrt());
        assert_eq!(adam.step, 2);
    }

    #[test]
    fn a_parameter_without_gradient_stays() {
        let mut adam = Adam::new(2);
        let mut parameters = [0.5, 0.5];
        adam.update(&mut parameters, &[0.0, -3.0], 0.1);
        assert_eq!(parameters[0], 0.5);
        assert!(parameters[1] > 0.5);
    }
}
