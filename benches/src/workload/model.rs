//! The model all checkpoints are made of: a GPT-2 of 24.6 million parameters, 98.5 MB, or of 253
//! million, 1.01 GB; and the kinds of numbers that are in such files.

use crate::Result;
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};
use serde_json::json;
use std::f32::consts::TAU;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// How many tensors it has.
pub(crate) const TENSORS: usize = 148;

const LAYERS: usize = 12;
const CONTEXT: usize = 512;

/// One of its larger tensors, a 200th of the whole.
pub(crate) const ONE_TENSOR: &str = "model/h.5.attn.c_proj.weight";

/// How large the model is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// What the names of its rows end with.
    pub(crate) suffix: &'static str,
    pub(crate) rounds: usize,
    width: usize,
    vocabulary: usize,
}

pub(crate) const MB_12: Size = Size { suffix: "12mb", rounds: 8, width: 128, vocabulary: 4_096 };
pub(crate) const MB_100: Size = Size { suffix: "100mb", rounds: 8, width: 384, vocabulary: 8_192 };
pub(crate) const GB_1: Size = Size { suffix: "1gb", rounds: 5, width: 1_216, vocabulary: 32_768 };

/// What the numbers are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Normally distributed.
    Normal,
    /// The same, rounded to bf16 and stored as f32, as published weights often are.
    Bf16,
    /// Squares of small normal numbers, as Adam's second moments are.
    Moments,
    /// Normal numbers, nine in ten of which are zero.
    Zeros,
}

impl Kind {
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Normal, "normal"),
        (Self::Bf16, "bf16"),
        (Self::Moments, "moments"),
        (Self::Zeros, "zeros90"),
    ];

    /// `count` numbers of that kind; the same in every run.
    pub(crate) fn numbers(self, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(3);
        let mut numbers = weights(count, &mut random);
        for number in &mut numbers {
            *number = match self {
                Self::Bf16 => bf16(*number),
                Self::Moments => *number * *number * 1e-3,
                Self::Zeros if random.u8(..10) > 0 => 0.0,
                Self::Normal | Self::Zeros => *number,
            };
        }
        numbers
    }
}

/// Names, shapes and values of the 148 tensors, bf16-like; the same in every run.
pub(crate) fn bf16_like(size: Size) -> Result<StateDict> {
    let mut random = fastrand::Rng::with_seed(2);
    let mut model = StateDict::new();
    for (name, shape) in shapes(size) {
        let mut values = weights(shape.iter().product(), &mut random);
        for value in &mut values {
            *value = bf16(*value);
        }
        model.insert(name, Tensor::from_vec(values, shape)?);
    }
    Ok(model)
}

fn shapes(size: Size) -> Vec<(String, Vec<usize>)> {
    let Size { width, vocabulary, .. } = size;
    let mut shapes = vec![
        ("wte.weight".to_owned(), vec![vocabulary, width]),
        ("wpe.weight".to_owned(), vec![CONTEXT, width]),
    ];
    for layer in 0..LAYERS {
        let mut linear = |name: &str, from: usize, to: usize| {
            shapes.push((format!("h.{layer}.{name}.weight"), vec![from, to]));
            shapes.push((format!("h.{layer}.{name}.bias"), vec![to]));
        };
        linear("attn.c_attn", width, 3 * width);
        linear("attn.c_proj", width, width);
        linear("mlp.c_fc", width, 4 * width);
        linear("mlp.c_proj", 4 * width, width);
        for norm in ["ln_1", "ln_2"] {
            shapes.push((format!("h.{layer}.{norm}.weight"), vec![width]));
            shapes.push((format!("h.{layer}.{norm}.bias"), vec![width]));
        }
    }
    shapes.push(("ln_f.weight".to_owned(), vec![width]));
    shapes.push(("ln_f.bias".to_owned(), vec![width]));
    shapes
}

/// Box and Muller's normal numbers, standard deviation 0.02.
fn weights(count: usize, random: &mut fastrand::Rng) -> Vec<f32> {
    let mut weights = Vec::with_capacity(count + 1);
    while weights.len() < count {
        let radius = 0.02 * (-2.0 * (1.0 - random.f32()).ln()).sqrt();
        let (sin, cos) = (TAU * random.f32()).sin_cos();
        weights.extend([radius * sin, radius * cos]);
    }
    weights.truncate(count);
    weights
}

/// Writes the tensors back to back, and a JSON list of names and shapes, for programs in
/// other languages.
pub(crate) fn write(bytes: &Path, index: &Path, tensors: &[(&str, &Tensor)]) -> Result {
    let mut file = File::create(bytes)?;
    let mut names = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        file.write_all(tensor.data())?;
        names.push(json!([name, tensor.shape()]));
    }
    Ok(fs::write(index, json!(names).to_string())?)
}

/// Reads what [`write()`] wrote.
pub(crate) fn read(bytes: &Path, index: &Path) -> Result<StateDict> {
    let names: Vec<(String, Vec<usize>)> = serde_json::from_str(&fs::read_to_string(index)?)?;
    let data = fs::read(bytes)?;
    let (mut model, mut rest) = (StateDict::new(), data.as_slice());
    for (name, shape) in names {
        let len = 4 * shape.iter().product::<usize>();
        let (tensor, behind) = rest.split_at_checked(len).ok_or("the model's file is too short")?;
        model.insert(name, Tensor::new(Dtype::Float32, shape, tensor.to_vec())?);
        rest = behind;
    }
    Ok(model)
}

/// Names and tensors of a model that has nothing else.
pub(crate) fn tensors(model: &StateDict) -> Result<Vec<(&str, &Tensor)>> {
    let mut tensors = Vec::with_capacity(model.len());
    for node in model.iter() {
        let (Key::Name(name), State::Tensor(tensor)) = node else {
            return Err("the model is to have named tensors and nothing else".into());
        };
        tensors.push((name.as_str(), tensor));
    }
    Ok(tensors)
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
        for (size, bytes) in [(MB_100, 98_546_688), (GB_1, 1_014_348_288)] {
            let shapes = shapes(size);
            let elements: usize =
                shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!((shapes.len(), 4 * elements), (TENSORS, bytes));
        }
    }

    #[test]
    fn a_model_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let (bytes, index) = (dir.path().join("model"), dir.path().join("model.json"));
        let tensor = |value: f32| Tensor::from_vec(vec![value; 6], [2, 3]).unwrap();
        let model = StateDict::from_iter([("a", tensor(1.5)), ("b.c", tensor(-0.0))]);
        write(&bytes, &index, &tensors(&model).unwrap()).unwrap();
        assert_eq!(read(&bytes, &index).unwrap(), model);
        fs::write(&bytes, [0; 40]).unwrap();
        assert!(read(&bytes, &index).is_err());
    }

    #[test]
    fn weights_are_bf16_and_not_all_alike() {
        let weights = Kind::Bf16.numbers(1_001);
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
