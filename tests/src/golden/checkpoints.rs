//! Golden checkpoints: both layouts, every codec, element type and kind of node, nested states, and damage of
//! every kind. Each is in a separate directory, as epoch 1.

use super::{check_refusal, damaged, plain_state, put};
use crate::stored_zip::{self, Parts};
use qstore::schema::{Dtype, State, StateDict, Tensor};
use qstore::storage::{EntryKind, FileSystem, MemoryFs, read_all};
use qstore::zarr::Compression;
use qstore::{CheckpointManager, CheckpointSettings, Checkpoints, Layout, Snapshot};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/c";
const ZIP: &str = "epoch_0001.zarr.zip";
const TREE: &str = "epoch_0001";

/// A tensor of every type, with irregular bytes.
fn every_type() -> StateDict {
    let tensor = |(number, dtype): (usize, &Dtype)| {
        let bytes: Vec<u8> = (0..dtype.size() * 6)
            .map(|at| if *dtype == Dtype::Bool { at as u8 % 2 } else { (at * 37 + number) as u8 })
            .collect();
        let tensor = Tensor::new(*dtype, [2, 3], bytes).expect("six elements");
        (dtype.name(), tensor)
    };
    Dtype::ALL.iter().enumerate().map(tensor).collect()
}

/// Like the state of an optimizer: lists, integer keys, scalars, 0-dimensional and empty tensors.
fn nested() -> StateDict {
    let quarters: Vec<f32> = (0_u8..20).map(|n| f32::from(n) / 4.0).collect();
    let moments = StateDict::from_iter([
        ("exp_avg", Tensor::from_vec(quarters, [4, 5]).expect("twenty elements")),
        ("step", Tensor::scalar(7_i64)),
        ("none", Tensor::from_vec(Vec::<f32>::new(), [0, 3]).expect("no element")),
    ]);
    let mut group = StateDict::from_iter([("lr", State::from(1e-3)), ("amsgrad", false.into())]);
    group.insert("params", State::List(vec![0_i64.into(), 1_i64.into()]));
    group.insert("nothing", State::Null);
    let mut state = StateDict::from_iter([("state", StateDict::from_iter([(0_i64, moments)]))]);
    state.insert("param_groups", State::List(vec![group.into()]));
    state
}

/// The kinds of nodes that came with version 3.
fn later_kinds() -> StateDict {
    let nan = f64::from_bits(0x7ff8_0000_0000_0007);
    let inner = State::Tuple(vec![State::Null, State::Bytes(vec![0, 255].into())]);
    let tensor = Tensor::scalar(1.5_f32).into();
    let mut state = StateDict::from_iter([("betas", State::Tuple(vec![inner, tensor]))]);
    state.insert("none", State::Tuple(Vec::new()));
    state.insert("seed", State::integer(i128::from(u64::MAX) + 1));
    state.insert("low", State::integer(i128::MIN));
    state.insert("amplitude", State::Complex([-0.0, nan]));
    state.insert("no bytes", State::Bytes(Vec::new().into()));
    state
}

/// Keys that cannot be file names.
fn names() -> StateDict {
    let long = "n".repeat(200);
    ["w", "W", "a/b", "..", "größe", "zarr.json", "CON", &long]
        .into_iter()
        .zip(0_u8..)
        .map(|(name, number)| (name.to_owned(), Tensor::scalar(number)))
        .map(|(name, tensor)| (qstore::schema::Key::Name(name.into()), tensor))
        .collect()
}

fn saved(model: StateDict, optimizer: Option<StateDict>, settings: CheckpointSettings) -> Parts {
    let memory = MemoryFs::new();
    let settings = settings.workers(1).chunk_bytes(64);
    let manager = CheckpointManager::open_in(Arc::new(memory.clone()), DIR, settings);
    let manager = manager.expect("the memory has a directory");
    let metadata = metadata();
    let mut snapshot = Snapshot::new(1).model(model).metadata(metadata);
    if let Some(optimizer) = optimizer {
        snapshot = snapshot.optimizer(optimizer).part("scheduler", scheduler());
    }
    let ticket = manager.save(snapshot).expect("it can be saved");
    ticket.wait(Duration::from_secs(60)).expect("the memory has room");
    let mut parts = Parts::new();
    collect(&memory, DIR, "", &mut parts);
    parts.retain(|(name, _)| name.starts_with(TREE));
    parts
}

/// A part of plain values and of raw bytes.
fn scheduler() -> StateDict {
    let mut scheduler = StateDict::from_iter([("last_epoch", State::from(41_i64))]);
    scheduler
        .insert("rng", Tensor::from_vec((0..32).collect::<Vec<u8>>(), [32]).expect("32 bytes"));
    scheduler
}

fn metadata() -> StateDict {
    let nan = f64::from_bits(0x7ff8_0000_dead_beef);
    StateDict::from_iter([("val_loss", State::from(nan)), ("note", "first".into())])
}

fn collect(memory: &MemoryFs, root: &str, dir: &str, parts: &mut Parts) {
    for entry in memory.list(&Path::new(root).join(dir)).expect("it is there") {
        let name = entry.name.to_str().expect("plain names");
        let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        if entry.kind == EntryKind::Dir {
            collect(memory, root, &path, parts);
        } else {
            let bytes = read_all(memory, &Path::new(root).join(&path)).expect("it is there");
            parts.push((path, bytes));
        }
    }
}

/// Writes the golden checkpoints below `root`. Returns their expected contents by name.
pub fn make_checkpoints(root: &Path) -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, parts: &Parts, expected: Value| {
        for (path, bytes) in parts {
            put(root, &format!("checkpoints/{name}/{path}"), bytes);
        }
        all.insert(format!("checkpoints/{name}"), expected);
    };
    let holds = |model: &StateDict, optimizer: Option<&StateDict>| {
        let mut parts = vec![("model", plain_state::dict(model))];
        if let Some(optimizer) = optimizer {
            parts.push(("optimizer", plain_state::dict(optimizer)));
            parts.push(("scheduler", plain_state::dict(&scheduler())));
        }
        json!({"parts": parts, "metadata": plain_state::dict(&metadata())})
    };
    let settings = CheckpointSettings::default;
    for (name, compression) in [
        ("none", Compression::NONE),
        ("zstd", Compression::ZSTD),
        ("lz4", Compression::LZ4),
        ("gzip", Compression::GZIP),
    ] {
        let (model, optimizer) = (nested(), nested());
        let parts =
            saved(model.clone(), Some(optimizer.clone()), settings().compression(compression));
        add(name, &parts, holds(&model, Some(&optimizer)));
    }
    let types = saved(every_type(), None, settings());
    add("every_type", &types, holds(&every_type(), None));
    add("names", &saved(names(), None, settings()), holds(&names(), None));
    add("later_kinds", &saved(later_kinds(), None, settings()), holds(&later_kinds(), None));
    let trees = settings().layout(Layout::Directory);
    let later = saved(later_kinds(), None, trees);
    add("later_kinds_in_a_directory", &later, holds(&later_kinds(), None));
    let in_directory = settings().layout(Layout::Directory);
    let directory = saved(nested(), None, in_directory.clone());
    add("directory", &directory, holds(&nested(), None));
    let shared = saved(nested(), None, in_directory.deduplicate(true));
    add("directory_with_digests", &shared, holds(&nested(), None));

    let refuse = |error: &str, says: &str| json!({"error": error, "says": says});
    let zip = saved(nested(), None, settings().compression(Compression::NONE)).remove(0).1;
    let one = |bytes: Vec<u8>| vec![(ZIP.to_owned(), bytes)];
    let chunk = 66; // the first entry's data begins at 64
    let flipped = damaged(&zip, |bytes| bytes[chunk] ^= 1);
    let says = "of tensor `model/state/0/exp_avg` does not match its checksum";
    add("damaged/bit_in_a_chunk", &one(flipped), refuse("Damaged", says));
    let cut = damaged(&zip, |bytes| bytes.truncate(bytes.len() / 2));
    add("damaged/cut_in_half", &one(cut), refuse("Damaged", "its end"));
    let longer = damaged(&zip, |bytes| bytes.push(0));
    add("damaged/a_byte_longer", &one(longer), refuse("Damaged", "its end"));
    let flipped = damaged(&zip, |bytes| {
        let at = find(bytes, b"\"version\":2");
        bytes[at + 10] = b'7';
    });
    let says = "it does not match its own checksum";
    add("damaged/bit_in_the_manifest", &one(flipped), refuse("Damaged", says));

    let mut parts: Parts = directory.clone();
    for (path, _) in &mut parts {
        *path = path.trim_start_matches(TREE).trim_start_matches('/').to_owned();
    }
    let manifest = parts.iter().position(|(path, _)| path == stored_zip::MANIFEST);
    let (_, sealed) = parts.remove(manifest.expect("it has one"));
    let text = String::from_utf8(sealed).expect("it is JSON");
    let later = stored_zip::reseal(&text.replace("\"version\":2", "\"version\":4"));
    // The chunk keys are those of a directory, which the archive's reader accepts as well.
    let later = one(stored_zip::zip(&parts, &later));
    add("damaged/of_a_later_version", &later, refuse("UnsupportedVersion", "version 4"));

    let without = |what: &str| -> Parts {
        let gone = format!("{TREE}/{what}");
        directory.iter().filter(|(path, _)| *path != gone).cloned().collect()
    };
    let gone = without("model/state/0/exp_avg/c.0.0");
    let says = "`model/state/0/exp_avg/c.0.0` of tensor `model/state/0/exp_avg` is missing";
    add("damaged/a_chunk_that_is_gone", &gone, refuse("Damaged", says));
    let gone = without(stored_zip::MANIFEST);
    add("damaged/no_manifest", &gone, refuse("Damaged", "there is none"));
    let mut swapped = directory.clone();
    let place = |name: &str| directory.iter().position(|(path, _)| path.ends_with(name));
    let (first, second) = (place("exp_avg/c.0.0"), place("exp_avg/c.1.0"));
    let (first, second) = (first.expect("two chunks"), second.expect("two chunks"));
    // Each ends with its own, correct checksum; only the manifest distinguishes them.
    let bytes = std::mem::take(&mut swapped[first].1);
    swapped[first].1 = std::mem::replace(&mut swapped[second].1, bytes);
    let says = "of tensor `model/state/0/exp_avg` does not match its checksum";
    add("damaged/another_chunk_in_its_place", &swapped, refuse("Damaged", says));
    all
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    let found = bytes.windows(text.len()).position(|window| window == text);
    found.expect("the text is there")
}

/// Loads and verifies a golden checkpoint.
pub fn check_checkpoint(root: &Path, name: &str, expected: &Value) {
    let checkpoints = Checkpoints::open(root.join(name)).expect("the directory is there");
    let verified = checkpoints.verify(1);
    match checkpoints.load(1) {
        Err(error) => {
            assert_eq!(verified.expect_err(name).to_string(), error.to_string());
            check_refusal(name, &error, expected);
        }
        Ok(loaded) => {
            verified.expect(name);
            assert_eq!(checkpoints.list_checkpoints().expect(name), [1]);
            let parts = loaded.parts.iter().map(|(name, state)| (name, plain_state::dict(state)));
            let parts: Vec<_> = parts.collect();
            // Version 1 had exactly a model and, perhaps, an optimizer.
            let known = ["model", "optimizer"].map(|name| (name, expected[name].clone()));
            let of_version_1: Vec<_> =
                known.into_iter().filter(|(_, state)| !state.is_null()).collect();
            match expected.get("parts") {
                Some(expected) => assert_eq!(json!(parts), *expected, "{name}"),
                None => assert_eq!(parts, of_version_1, "{name}"),
            }
            assert_eq!(plain_state::dict(loaded.metadata()), expected["metadata"], "{name}");
        }
    }
}
