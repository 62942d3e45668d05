//! States for tests, and bit-by-bit comparison.

use proptest::prelude::*;
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};
use qstore_zarr::{SaveTicket, Saved};
use std::time::Duration;

/// A small model whose numbers come from `seed`.
pub(crate) fn model(seed: u64) -> StateDict {
    let values: Vec<f32> = (0..40).map(|i| seed as f32 * 100.0 + i as f32).collect();
    let mut model = StateDict::from_iter([("w", Tensor::from_vec(values, [4, 10]).unwrap())]);
    model.insert("seed", Tensor::scalar(seed as i64));
    model.insert("frozen", Tensor::from_vec(vec![7_u16; 9], [3, 3]).unwrap());
    model
}

/// The seed of a [`model`].
pub(crate) fn seed_of(state: &StateDict) -> u64 {
    let seed = state.tensor("seed").unwrap().to_vec::<i64>().unwrap()[0] as u64;
    assert_same(state, &model(seed));
    seed
}

/// An optimizer's state as `PyTorch` lays it out.
pub(crate) fn optimizer() -> StateDict {
    let moments = StateDict::from_iter([
        ("step", State::from(Tensor::scalar(7.0_f32))),
        ("exp_avg", Tensor::from_vec(vec![0.5_f64; 6], [2, 3]).unwrap().into()),
    ]);
    let mut group = StateDict::from_iter([("lr", State::from(1e-3)), ("name", "adam".into())]);
    group.insert("betas", vec![State::from(0.9), State::from(0.999)]);
    group.insert("params", vec![State::from(0_i64), State::from(1_i64)]);
    group.insert("fused", State::Null);
    let mut optimizer = StateDict::from_iter([("state", StateDict::from_iter([(0_i64, moments)]))]);
    optimizer.insert("param_groups", vec![State::from(group)]);
    optimizer
}

/// Whether two states are equal, floats by their bits.
pub(crate) fn is_same(one: &State, other: &State) -> bool {
    match (one, other) {
        (State::Float(one), State::Float(other)) => one.to_bits() == other.to_bits(),
        (State::Complex(one), State::Complex(other)) => {
            one.map(f64::to_bits) == other.map(f64::to_bits)
        }
        (State::List(one), State::List(other)) | (State::Tuple(one), State::Tuple(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (State::Dict(one), State::Dict(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|((key, one), (other_key, other))| key == other_key && is_same(one, other))
        }
        (one, other) => one == other,
    }
}

#[track_caller]
pub(crate) fn assert_same(one: &StateDict, other: &StateDict) {
    assert!(is_same(&one.clone().into(), &other.clone().into()), "{one:?}\nis not\n{other:?}");
}

/// Any tensor: every element type, up to four dimensions, 0-d and empty ones.
fn tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0_usize..6, 0..5);
    (prop::sample::select(Dtype::ALL), shape, any::<u64>()).prop_map(|(dtype, shape, seed)| {
        let len = shape.iter().product::<usize>() * dtype.size();
        let mut state = seed | 1;
        let byte = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = (state >> 56) as u8;
            if dtype == Dtype::Bool { byte & 1 } else { byte }
        };
        let data: Vec<u8> = (0..len).map(byte).collect();
        Tensor::new(dtype, shape, data).unwrap()
    })
}

fn key() -> impl Strategy<Value = Key> {
    let hostile = prop::sample::select(vec![
        "..",
        ".",
        "/",
        "a/b",
        "zarr.json",
        "manifest.json",
        "__meta",
        "c",
        "W",
        "w",
        "0",
        "\0",
        "nul",
        "x.",
        "ü",
        "%",
        "~2",
        "w~2",
    ]);
    prop_oneof![
        hostile.prop_map(Key::from),
        any::<String>().prop_filter("a name", |name| !name.is_empty()).prop_map(Key::from),
        any::<i64>().prop_map(Key::Int),
        (0_i64..3).prop_map(Key::Int),
    ]
}

/// Any state, up to four levels deep.
pub(crate) fn any_state(with_tensors: bool) -> impl Strategy<Value = StateDict> {
    let scalar = prop_oneof![
        Just(State::Null),
        any::<bool>().prop_map(State::from),
        any::<i64>().prop_map(State::from),
        any::<i128>().prop_map(State::integer),
        any::<[u64; 2]>().prop_map(|bits| State::Complex(bits.map(f64::from_bits))),
        any::<u64>().prop_map(|bits| State::Float(f64::from_bits(bits))),
        prop::sample::select(vec![f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE])
            .prop_map(State::Float),
        any::<String>().prop_map(State::from),
    ];
    let leaf = if with_tensors {
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        let bytes = bytes.prop_map(|bytes| State::Bytes(bytes.into()));
        prop_oneof![4 => tensor().prop_map(State::from), 1 => bytes, 2 => scalar].boxed()
    } else {
        scalar.boxed()
    };
    let node = leaf.prop_recursive(4, 40, 6, |node| {
        prop_oneof![
            prop::collection::vec(node.clone(), 0..5).prop_map(State::List),
            prop::collection::vec(node.clone(), 0..4).prop_map(State::Tuple),
            prop::collection::vec((key(), node), 0..6)
                .prop_map(|nodes| State::Dict(StateDict::from_iter(nodes))),
        ]
    });
    prop::collection::vec((key(), node), 0..6).prop_map(StateDict::from_iter)
}

/// Waits for saves that must succeed.
pub(crate) trait Durable {
    /// The checkpoint, once it is durable.
    fn durable(&self) -> Saved;
}

impl Durable for SaveTicket {
    fn durable(&self) -> Saved {
        let outcome = self.wait(Duration::from_mins(1)).expect("the save succeeds");
        outcome.saved().expect("the save was neither skipped nor superseded")
    }
}
