//! What every [`CheckpointStore`] must do, as a function that takes any implementation, on any
//! executor.
//!
//! It does not test durability. To do that, stop your store in the middle of a save and inspect the result.

use crate::{CheckpointStore, LoadError, SaveError, Select, Snapshot, StateError};
use qstore_schema::{Dtype, State, StateDict, Tensor};

/// Exercises an empty store that keeps at least the four newest saves.
///
/// # Panics
/// If the implementation breaks a promise of the trait.
pub async fn check(store: &dyn CheckpointStore) {
    nothing_yet(store).await;
    what_goes_in_comes_out(store).await;
    a_number_saved_again(store).await;
    a_part(store).await;
}

async fn nothing_yet(store: &dyn CheckpointStore) {
    assert_eq!(store.list_checkpoints().await.unwrap(), [0_u64; 0], "the store must be empty");
    assert_eq!(store.latest_checkpoint().await.unwrap(), None);
    assert!(store.load_latest().await.unwrap().is_none());
    let missing = [
        store.load(3).await.map(drop),
        store.get_checkpoint_info(3).await.map(drop),
        store.verify(3).await.map(drop),
        store.load_tensors(3, &Select::All).await.map(drop),
    ];
    for outcome in missing {
        assert!(matches!(outcome, Err(LoadError::NotFound { number: 3, .. })), "{outcome:?}");
    }
}

async fn what_goes_in_comes_out(store: &dyn CheckpointStore) {
    let (model, optimizer, metadata) = (model(), optimizer(), metadata());
    let rng = StateDict::from_iter([
        ("bytes", State::from(Tensor::scalar(7_u8))),
        ("seed", 1_i64.into()),
        ("opaque", State::Bytes(vec![0, 255, 7].into())),
        ("nothing", State::Bytes(Vec::new().into())),
        ("words", State::Tuple(vec![State::List(Vec::new()), Tensor::scalar(1_u64).into()])),
    ]);
    let snapshot = Snapshot::new(12)
        .model(model.clone())
        .optimizer(optimizer.clone())
        .part("rng", rng.clone())
        .part("../empty", StateDict::new())
        .metadata(metadata.clone());
    let saved = store.save(snapshot).await.expect("the state can be saved").saved();
    let saved = saved.expect("nothing else is being saved");
    assert_eq!(saved.number, 12);
    let loaded = store.load(12).await.expect("what was saved can be loaded");
    let names: Vec<_> = loaded.parts.names().collect();
    assert_eq!(names, ["model", "optimizer", "rng", "../empty"], "parts keep their order");
    for (name, state) in [("model", &model), ("optimizer", &optimizer), ("rng", &rng)] {
        assert!(is_same(loaded.part(name).unwrap(), state), "the part {name} differs");
    }
    assert!(loaded.part("../empty").unwrap().is_empty());
    assert!(is_same(loaded.metadata(), &metadata), "the metadata differs");
    let bytes = model.tensor_bytes() + optimizer.tensor_bytes() + rng.tensor_bytes();
    for info in
        [store.get_checkpoint_info(12).await.unwrap(), store.verify(12).await.unwrap(), loaded.info]
    {
        assert_eq!((info.number, info.save_seq), (12, saved.save_seq));
        assert_eq!((info.tensor_bytes(), info.model_bytes()), (bytes, model.tensor_bytes()));
        assert!(is_same(&info.metadata, &metadata));
    }
    // A part that was not set is absent, not empty.
    store.save(Snapshot::new(3)).await.unwrap();
    let bare = store.load(3).await.unwrap();
    assert!(bare.parts.is_empty() && bare.model().is_none() && bare.metadata().is_empty());
    assert_eq!(store.list_checkpoints().await.unwrap(), [3, 12]);
    assert_eq!(
        store.latest_checkpoint().await.unwrap(),
        Some(3),
        "the newest save, not the largest"
    );
    let nameless = Snapshot::new(9).model(StateDict::from_iter([("", 1_i64)]));
    let refused = store.save(nameless).await;
    let is_refused = matches!(refused, Err(SaveError::State(StateError::EmptyName { .. })));
    assert!(is_refused, "{refused:?}");
    assert_eq!(store.list_checkpoints().await.unwrap(), [3, 12]);
}

async fn a_number_saved_again(store: &dyn CheckpointStore) {
    let earlier = store.get_checkpoint_info(12).await.unwrap().save_seq;
    let model = StateDict::from_iter([("w", Tensor::scalar(7_i64))]);
    let saved = store.save(Snapshot::new(12).model(model.clone())).await.unwrap().saved().unwrap();
    assert!(saved.save_seq > earlier, "each save has a greater number");
    let latest = store.load_latest().await.unwrap().expect("there are two checkpoints");
    assert!(latest.skipped.is_empty());
    assert_eq!(latest.checkpoint.number(), 12);
    assert!(is_same(latest.checkpoint.model().unwrap(), &model));
    assert!(latest.checkpoint.optimizer().is_none(), "a part of the earlier save is left over");
    assert_eq!(store.list_checkpoints().await.unwrap(), [3, 12]);
}

async fn a_part(store: &dyn CheckpointStore) {
    let block = StateDict::from_iter([("w", Tensor::scalar(1_u8)), ("b", Tensor::scalar(2_u8))]);
    let mut model = StateDict::from_iter([("head", Tensor::scalar(3_u8))]);
    model.insert("block", block);
    store.save(Snapshot::new(4).model(model)).await.unwrap();
    let group = store.load_tensors(4, &Select::Group("model/block".into())).await.unwrap();
    let found: Vec<_> = group.iter().map(|(path, tensor)| (&**path, tensor.data()[0])).collect();
    assert_eq!(found, [("model/block/w", 1), ("model/block/b", 2)], "in the order of the state");
    let glob = store.load_tensors(4, &Select::Glob("model/h*".into())).await.unwrap();
    assert_eq!(glob[0].1.data()[0], 3);
    let none = store.load_tensors(4, &Select::Name("model/none".into())).await;
    assert!(matches!(none, Err(LoadError::TensorNotFound { number: 4, .. })), "{none:?}");
}

/// Every element type; 0-d, empty and ordinary tensors; names that try to escape the checkpoint.
fn model() -> StateDict {
    let mut model = StateDict::new();
    for dtype in Dtype::ALL {
        for shape in [&[][..], &[0, 2], &[3, 5]] {
            let len = shape.iter().product::<usize>() * dtype.size();
            let is_bool = *dtype == Dtype::Bool;
            let byte = |i: usize| if is_bool { i as u8 & 1 } else { (i * 37 + 255) as u8 };
            let data: Vec<u8> = (0..len).map(byte).collect();
            let tensor = Tensor::new(*dtype, shape, data).expect("the bytes fit the shape");
            model.insert(format!("{dtype}/{shape:?}/../x"), tensor);
        }
    }
    model
}

/// An optimizer state in the layout of `PyTorch`.
fn optimizer() -> StateDict {
    let moments = StateDict::from_iter([
        ("step", State::from(Tensor::scalar(7.0_f32))),
        ("exp_avg", Tensor::scalar(f64::from_bits(0x7ff8_dead_beef_0001)).into()),
    ]);
    let mut group = StateDict::from_iter([("lr", State::from(1e-3)), ("fused", State::Null)]);
    group.insert("betas", vec![State::from(0.9), State::from(0.999)]);
    group.insert("params", vec![State::from(0_i64), State::from(1_i64)]);
    let state = StateDict::from_iter([(0_i64, moments.clone()), (1, moments)]);
    let mut optimizer = StateDict::from_iter([("state", state)]);
    optimizer.insert("param_groups", vec![State::from(group)]);
    optimizer
}

fn metadata() -> StateDict {
    let mut metadata =
        StateDict::from_iter([("loss", State::from(f64::NAN)), ("z", (-0.0).into())]);
    metadata.insert("tag", "größe \0 \u{1f980}");
    metadata.insert(0, i64::MIN);
    metadata.insert("seed", State::integer(i128::MIN));
    metadata.insert("amplitude", State::Complex([f64::NAN, -0.0]));
    metadata.insert("shape", State::Tuple(vec![State::Tuple(Vec::new()), 3_i64.into()]));
    metadata.insert("0", true);
    metadata
}

/// Whether two states are equal; floats are compared by their bits.
fn is_same(one: &StateDict, other: &StateDict) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other.iter())
            .all(|((key, one), (other_key, other))| key == other_key && same_node(one, other))
}

fn same_node(one: &State, other: &State) -> bool {
    match (one, other) {
        (State::Float(one), State::Float(other)) => one.to_bits() == other.to_bits(),
        (State::Complex(one), State::Complex(other)) => {
            one.map(f64::to_bits) == other.map(f64::to_bits)
        }
        (State::List(one), State::List(other)) | (State::Tuple(one), State::Tuple(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| same_node(one, other))
        }
        (State::Dict(one), State::Dict(other)) => is_same(one, other),
        (one, other) => one == other,
    }
}
