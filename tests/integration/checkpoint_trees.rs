//! States of every shape, read by zarr-python, TensorStore and zarrs: trees of random depth, groups that
//! have tensors beside groups, names that sort oddly, empty groups and scalars; from the root and by path,
//! in both layouts.
//!
//! Regression: zarr-python found no group in a checkpoint of JAX's Adam, whose groups have a tensor beside
//! dicts, because the consolidated metadata named all groups before all arrays.

use qstore::zarr::Layout;
use qstore::{CheckpointManager, CheckpointSettings, Dtype, Snapshot, State, StateDict, Tensor};
use qstore_tests::readers;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zarrs::array::{Array, ArrayBytes};
use zarrs::group::Group;
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{StoreKey, WritableStorageTraits};

const LONG: Duration = Duration::from_secs(60);

/// Names around each other and around `/` in the order of bytes, and names that are escaped.
const NAMES: [&str; 22] = [
    "a",
    "a.b",
    "a-b",
    "a/b",
    "a b",
    "A",
    "a0",
    "a~",
    "~",
    "0",
    "10",
    "9",
    "c",
    "ü",
    "日本",
    "zarr.json",
    "count",
    "mu",
    "nu",
    "_",
    "%",
    ".",
];

/// How many random states there are, besides the ones that were found broken.
fn cases() -> u64 {
    let asked = std::env::var("QSTORE_TREE_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

fn tensor(random: &mut fastrand::Rng) -> Tensor {
    let types = [Dtype::Float32, Dtype::Int64, Dtype::UInt8, Dtype::Bool, Dtype::Float64];
    let dtype = types[random.usize(..types.len())];
    let shape: Vec<usize> = (0..random.usize(..3)).map(|_| random.usize(..5)).collect();
    let mut bytes = vec![0; shape.iter().product::<usize>() * dtype.size()];
    random.fill(&mut bytes);
    if dtype == Dtype::Bool {
        for byte in &mut bytes {
            *byte &= 1;
        }
    }
    Tensor::new(dtype, shape, bytes).unwrap()
}

/// A dict with anything in it, in any order.
fn dict(random: &mut fastrand::Rng, depth: usize) -> StateDict {
    let mut dict = StateDict::new();
    for _ in 0..random.usize(..6) {
        let name = NAMES[random.usize(..NAMES.len())];
        let node: State = match random.u8(..10) {
            0 => random.f64().into(),
            1 => StateDict::new().into(),
            2..=5 if depth > 0 => self::dict(random, depth - 1).into(),
            6 if depth > 0 => {
                State::List((0..2).map(|_| self::dict(random, depth - 1).into()).collect())
            }
            _ => tensor(random).into(),
        };
        if random.u8(..5) == 0 {
            dict.insert(random.i64(-1..12), node);
        } else {
            dict.insert(name, node);
        }
    }
    dict
}

/// States that were found broken, and others of the kind.
fn known() -> Vec<Vec<(&'static str, StateDict)>> {
    let scalar = |value: f32| Tensor::scalar(value);
    let weights = || StateDict::from_iter([("w", scalar(1.0)), ("b", scalar(2.0))]);
    let mut adam = StateDict::from_iter([("count", Tensor::scalar(7_i32))]);
    adam.insert("mu", weights());
    adam.insert("nu", weights());
    let block = || {
        let mut block = StateDict::from_iter([("scale", scalar(3.0))]);
        block.insert("attention", weights());
        block.insert("zero", scalar(4.0));
        block
    };
    let blocks = || StateDict::from_iter([("block0", block()), ("block1", block())]);
    let mut chain = StateDict::from_iter([("w", scalar(5.0))]);
    for _ in 0..12 {
        let mut above = StateDict::from_iter([("z", scalar(6.0))]);
        above.insert("m", chain);
        above.insert("a", scalar(7.0));
        chain = above;
    }
    vec![
        vec![("model", weights()), ("optimizer", adam)],
        vec![("model", blocks()), ("ema", blocks())],
        vec![("model", chain), ("a", StateDict::new()), ("z", weights())],
        vec![("model", StateDict::new())],
    ]
}

#[test]
fn states_of_every_shape_are_read_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let seed = std::env::var("QSTORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut states = known();
    states.extend((0..cases()).map(|_| {
        let parts = ["model", "optimizer", "a", "a.b"].into_iter();
        parts.take(random.usize(1..=4)).map(|name| (name, dict(&mut random, 4))).collect()
    }));
    let mut expected = Vec::new();
    for (number, parts) in states.iter().enumerate() {
        for layout in [Layout::SingleFile, Layout::Directory] {
            let mut snapshot = Snapshot::new(1);
            for (name, state) in parts {
                snapshot = snapshot.part(*name, state.clone());
            }
            let tensors = qstore_checkpoint::path::tensors(&snapshot.parts);
            let home = dir.path().join(format!("{number}-{layout:?}"));
            let path = save(&home, layout, snapshot);
            let groups = groups(&tensors);
            read_with_zarrs(&path, &tensors, &groups);
            let arrays: Map<String, Value> =
                tensors.iter().map(|(path, tensor)| (path.clone(), array(tensor))).collect();
            let attributes = json!({"epoch": 1});
            expected.push(json!({
                "path": path, "attributes": attributes, "arrays": arrays, "groups": groups,
            }));
        }
    }
    let file = readers::expect(dir.path(), &json!(expected));
    let said = readers::run("checkpoint.py", &[&file]);
    println!("{} cases: states in both layouts, {}", expected.len(), said.trim());
}

fn save(home: &Path, layout: Layout, snapshot: Snapshot) -> PathBuf {
    let settings = CheckpointSettings::default().layout(layout).chunk_bytes(64);
    let mut manager = CheckpointManager::open(home, settings).unwrap();
    let parts = snapshot.parts.clone();
    manager.save(snapshot).unwrap().wait(LONG).unwrap();
    assert_eq!(format!("{:?}", manager.load(1).unwrap().parts), format!("{parts:?}"));
    manager.close(LONG).unwrap();
    home.join(if layout == Layout::SingleFile { "epoch_0001.zarr.zip" } else { "epoch_0001" })
}

/// The groups that have an array below them.
fn groups(tensors: &[(String, Tensor)]) -> BTreeSet<String> {
    let above = |path: &String| {
        let ends: Vec<_> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        ends
    };
    tensors.iter().flat_map(|(path, _)| above(path)).collect()
}

fn array(tensor: &Tensor) -> Value {
    let hex = tensor.data().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a string takes everything
        text
    });
    json!({"dtype": tensor.dtype().name(), "shape": tensor.shape(), "hex": hex})
}

/// Opens every group and every array by its path with the crate `zarrs`.
fn read_with_zarrs(path: &Path, tensors: &[(String, Tensor)], groups: &BTreeSet<String>) {
    let store = Arc::new(MemoryStore::new());
    for (name, bytes) in entries(path) {
        store.set(&StoreKey::new(name).unwrap(), bytes.into()).unwrap();
    }
    let root = Group::open(Arc::clone(&store), "/").unwrap();
    assert_eq!(root.attributes()["epoch"], 1);
    for group in groups {
        Group::open(Arc::clone(&store), &format!("/{group}")).unwrap();
    }
    for (name, tensor) in tensors {
        let array = Array::open(Arc::clone(&store), &format!("/{name}")).unwrap();
        let bytes: ArrayBytes<'_> = array.retrieve_array_subset(&array.subset_all()).unwrap();
        let bytes = bytes.into_fixed().unwrap();
        assert_eq!(*bytes, **tensor.data(), "{}: {name}", path.display());
    }
}

/// The entries of a checkpoint in either layout.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    if path.is_file() {
        // Entries follow each other, stored, each with its sizes in front of it.
        let bytes = fs::read(path).unwrap();
        let number = |at: usize, len: usize| {
            bytes[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let mut at = 0;
        while bytes[at..].starts_with(b"PK\x03\x04") {
            let (len, name_len, extra) =
                (number(at + 22, 4), number(at + 26, 2), number(at + 28, 2));
            let data = at + 30 + name_len + extra;
            let name = String::from_utf8(bytes[at + 30..at + 30 + name_len].to_vec()).unwrap();
            found.push((name, bytes[data..data + len].to_vec()));
            at = data + len;
        }
        return found;
    }
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(path.join(&dir)).unwrap() {
            let name = dir.join(entry.unwrap().file_name());
            if path.join(&name).is_dir() {
                dirs.push(name);
            } else {
                let bytes = fs::read(path.join(&name)).unwrap();
                found.push((name.to_str().unwrap().to_owned(), bytes));
            }
        }
    }
    found
}
