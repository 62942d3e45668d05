//! The model all checkpoints are made of: a GPT-2 of 24.6 million parameters, 98.5 MB.

use crate::Result;
use qstore_schema::{StateDict, Tensor};
use std::f32::consts::TAU;

/// How many tensors it has.
pub(crate) const TENSORS: usize = 148;

const LAYERS: usize = 12;
const WIDTH: usize = 384;
const VOCABULARY: usize = 8_192;
const CONTEXT: usize = 512;

/// Names, shapes and values of the 148 tensors: normally distributed, rounded to bf16 and stored as
/// f32, as published weights often are; the same in every run.
pub(crate) fn bf16_like() -> Result<StateDict> {
    let mut random = fastrand::Rng::with_seed(2);
    let mut model = StateDict::new();
    for (name, shape) in shapes() {
        let values = weights(shape.iter().product(), &mut random);
        model.insert(name, Tensor::from_vec(values, shape)?);
    }
    Ok(model)
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("wte.weight".to_owned(), vec![VOCABULARY, WIDTH]),
        ("wpe.weight".to_owned(), vec![CONTEXT, WIDTH]),
    ];
    for layer in 0..LAYERS {
        let mut linear = |name: &str, from: usize, to: usize| {
            shapes.push((format!("h.{layer}.{name}.weight"), vec![from, to]));
            shapes.push((format!("h.{layer}.{name}.bias"), vec![to]));
        };
        linear("attn.c_attn", WIDTH, 3 * WIDTH);
        linear("attn.c_proj", WIDTH, WIDTH);
        linear("mlp.c_fc", WIDTH, 4 * WIDTH);
        linear("mlp.c_proj", 4 * WIDTH, WIDTH);
        for norm in ["ln_1", "ln_2"] {
            shapes.push((format!("h.{layer}.{norm}.weight"), vec![WIDTH]));
            shapes.push((format!("h.{layer}.{norm}.bias"), vec![WIDTH]));
        }
    }
    shapes.push(("ln_f.weight".to_owned(), vec![WIDTH]));
    shapes.push(("ln_f.bias".to_owned(), vec![WIDTH]));
    shapes
}

/// Box and Muller's normal numbers, standard deviation 0.02.
fn weights(count: usize, random: &mut fastrand::Rng) -> Vec<f32> {
    let mut weights = Vec::with_capacity(count + 1);
    while weights.len() < count {
        let radius = 0.02 * (-2.0 * (1.0 - random.f32()).ln()).sqrt();
        let (sin, cos) = (TAU * random.f32()).sin_cos();
        weights.extend([radius * sin, radius * cos].map(bf16));
    }
    weights.truncate(count);
    weights
}

/// The value with the lower half of its bits cut off.
fn bf16(value: f32) -> f32 {
    f32::from_bits(value.to_bits() & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_148_tensors_and_98_megabytes() {
        let shapes = shapes();
        let elements: usize = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!((shapes.len(), 4 * elements), (TENSORS, 98_546_688));
    }

    #[test]
    fn weights_are_bf16_and_not_all_alike() {
        let weights = weights(1_001, &mut fastrand::Rng::with_seed(1));
        assert_eq!(weights.len(), 1_001);
        assert!(
            weights
                .iter()
                .all(|weight| weight.is_finite() && weight.to_bits().trailing_zeros() >= 16)
        );
        assert!(weights.iter().any(|weight| *weight > 0.01));
        assert!(weights.iter().any(|weight| *weight < -0.01));
    }
}
