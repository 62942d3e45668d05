//! Checkpoints in both layouts: as they are, and with a manifest that matches whatever is there, so that the
//! code behind the checksums is reached.

use super::parts::{pack, unpack};
use crate::stored_zip::{MANIFEST, Parts, repacked, resealed, sealed_manifest, zip};
use qstore::schema::{State, StateDict, Tensor};
use qstore::storage::{EntryKind, FileSystem, MemoryFs, create_dir_all, read_all};
use qstore::zarr::{CheckpointReader, Compression, MissingChunks, load_zarr_group_in};
use qstore::{CheckpointManager, CheckpointSettings, Checkpoints, Layout, Select, Snapshot};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const DIR: &str = "/c";
const ZIP: &str = "/c/epoch_0001.zarr.zip";
const TREE: &str = "/c/epoch_0001";
const ROOT: &str = "zarr.json";

/// A checkpoint that declares more than this is not loaded here: it would rightly use that much memory.
const TENSOR_BYTES_MAX: u64 = 16 << 20;

pub(super) fn read_zip(bytes: &[u8]) {
    let memory = MemoryFs::new();
    put(&memory, ZIP, bytes);
    read(&memory);
}

/// Lists, opens, loads and verifies epoch 1.
fn read(memory: &MemoryFs) {
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let checkpoints =
        Checkpoints::open_in(storage, DIR).expect("the directory is there").workers(1);
    let listed = checkpoints.list_checkpoints().expect("the memory can be read");
    let Ok(reader) = checkpoints.reader(1) else {
        assert!(checkpoints.load(1).is_err(), "what cannot be opened is not loaded");
        return;
    };
    assert_eq!(listed, [1], "what can be opened is listed");
    let _ = reader.info();
    let Ok(tensors) = reader.tensors() else {
        assert!(checkpoints.load(1).is_err(), "a malformed tensor is not loaded");
        return;
    };
    let claimed = tensors.iter().fold(0_u64, |sum, tensor| sum.saturating_add(tensor.bytes));
    if claimed > TENSOR_BYTES_MAX {
        return;
    }
    let verified = checkpoints.verify(1);
    let loaded = checkpoints.load(1);
    assert_eq!(verified.is_ok(), loaded.is_ok(), "{verified:?}");
    if let Ok(loaded) = loaded {
        assert_eq!(loaded.parts.tensor_bytes(), claimed);
        let some = checkpoints.load_tensors(1, &Select::All).expect("all could be loaded");
        assert_eq!(some.len(), tensors.len());
    }
}

pub(super) fn zip_seeds() -> Vec<Vec<u8>> {
    let zip = |compression| {
        let memory = saved(Layout::SingleFile, compression);
        read_all(&memory, Path::new(ZIP)).expect("it is there")
    };
    [Compression::NONE, Compression::ZSTD, Compression::LZ4, Compression::GZIP].map(zip).into()
}

/// Opens it by a path that says nothing, then loads and verifies it.
pub(super) fn read_by_path(bytes: &[u8]) {
    let memory = MemoryFs::new();
    put(&memory, "/c/best", bytes);
    let Ok(reader) = CheckpointReader::open_in(Arc::new(memory), "/c/best") else { return };
    let reader = reader.workers(1);
    let Ok(tensors) = reader.tensors() else {
        assert!(reader.checkpoint().is_err(), "a malformed tensor is not loaded");
        return;
    };
    let claimed = tensors.iter().fold(0_u64, |sum, tensor| sum.saturating_add(tensor.bytes));
    if claimed > TENSOR_BYTES_MAX {
        return;
    }
    let (verified, loaded) = (reader.verify(), reader.checkpoint());
    // Entries that are not part of it do no harm to a load.
    assert!(verified.is_err() || loaded.is_ok(), "{loaded:?}");
    let stored = reader.verify_stored();
    assert!(verified.is_err() || stored.is_ok(), "{stored:?}");
}

pub(super) fn by_path_seeds() -> Vec<Vec<u8>> {
    let parts = tree(&saved(Layout::Directory, Compression::NONE));
    let mut seeds = zip_seeds();
    seeds.extend([false, true].map(|is_deflated| repacked(&parts, is_deflated)));
    seeds
}

/// The entries except the manifest, which is made to match them.
pub(super) fn read_parts(bytes: &[u8]) {
    let parts = unpack(bytes);
    let memory = MemoryFs::new();
    if put_tree(&memory, &parts, &sealed_manifest(&parts)) {
        read(&memory);
    }
    let memory = MemoryFs::new();
    put(&memory, ZIP, &zip(&parts, &sealed_manifest(&parts)));
    read(&memory);
}

pub(super) fn parts_seeds() -> Vec<Vec<u8>> {
    let seed = |layout, compression| {
        let mut parts = tree(&saved(layout, compression));
        parts.retain(|(name, _)| name != MANIFEST);
        pack(&parts)
    };
    let mut seeds: Vec<_> = [Compression::NONE, Compression::ZSTD, Compression::LZ4]
        .map(|compression| seed(Layout::Directory, compression))
        .into();
    // A bomb: a chunk of zeros that is a thousand times its stored length.
    let zeros = StateDict::from_iter(
        [("zeros", Tensor::from_vec(vec![0_u8; 1 << 20], [1 << 20]))]
            .map(|(name, tensor)| (name, tensor.expect("as many as there are"))),
    );
    let mut parts = tree(&saved_state(zeros, Layout::Directory, Compression::ZSTD));
    parts.retain(|(name, _)| name != MANIFEST);
    seeds.push(pack(&parts));
    seeds
}

/// The entries of a valid checkpoint except the manifest, saved only once: a fuzzer needs them often.
fn good_parts() -> Parts {
    static GOOD: OnceLock<Parts> = OnceLock::new();
    let good = GOOD.get_or_init(|| {
        let mut parts = tree(&saved(Layout::Directory, Compression::NONE));
        parts.retain(|(name, _)| name != MANIFEST);
        parts
    });
    good.clone()
}

/// A manifest in place of the valid one.
pub(super) fn read_manifest(bytes: &[u8]) {
    let parts = good_parts();
    // The last digits are a checksum, wrong or right.
    for manifest in [bytes.to_vec(), resealed(bytes)] {
        let memory = MemoryFs::new();
        assert!(put_tree(&memory, &parts, &manifest), "the entries are those of a good one");
        read(&memory);
        let memory = MemoryFs::new();
        put(&memory, ZIP, &zip(&parts, &manifest));
        read(&memory);
    }
}

pub(super) fn manifest_seeds() -> Vec<Vec<u8>> {
    let parts = tree(&saved(Layout::Directory, Compression::NONE));
    parts.into_iter().filter(|(name, _)| name == MANIFEST).map(|(_, bytes)| bytes).collect()
}

/// A root `zarr.json` in place of the valid one.
pub(super) fn read_root(bytes: &[u8]) {
    let mut parts = good_parts();
    for (name, content) in &mut parts {
        if name == ROOT {
            *content = bytes.to_vec();
        }
    }
    let memory = MemoryFs::new();
    assert!(put_tree(&memory, &parts, &sealed_manifest(&parts)), "all names are good");
    read(&memory);
}

pub(super) fn root_seeds() -> Vec<Vec<u8>> {
    let parts = tree(&saved(Layout::Directory, Compression::NONE));
    parts.into_iter().filter(|(name, _)| name == ROOT).map(|(_, bytes)| bytes).collect()
}

/// A group without a manifest, whose chunks must all be there.
pub(super) fn read_group(bytes: &[u8]) {
    let memory = MemoryFs::new();
    if put_tree(&memory, &unpack(bytes), b"{}") {
        let storage: Arc<dyn FileSystem> = Arc::new(memory);
        let _ = load_zarr_group_in(&storage, TREE, MissingChunks::Refuse);
    }
}

pub(super) fn group_seeds() -> Vec<Vec<u8>> {
    let array = json!({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {}});
    let group = |attributes: Value| {
        json!({"zarr_format": 3, "node_type": "group", "attributes": attributes}).to_string()
    };
    let plain = vec![
        ("zarr.json".to_owned(), group(json!({"epoch": 1, "loss": 0.5})).into_bytes()),
        ("model/zarr.json".to_owned(), group(json!({})).into_bytes()),
        ("model/w/zarr.json".to_owned(), array.to_string().into_bytes()),
        ("model/w/c/0".to_owned(), vec![0; 8]),
        ("model/w/c/1".to_owned(), vec![1; 8]),
    ];
    let sharded = sharded_group(&plain);
    // Our own checkpoint is a Zarr group as well.
    let seed = |compression| pack(&tree(&saved(Layout::Directory, compression)));
    vec![pack(&plain), pack(&sharded), seed(Compression::NONE), seed(Compression::ZSTD)]
}

/// Groups of a few hundred bytes that claim gigabytes.
pub(super) fn group_bombs() -> Vec<(&'static str, Vec<u8>)> {
    let of = |shape: u64, chunk: u64, part: Option<u64>| {
        let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
        let codecs = part.map_or_else(
            || json!([bytes]),
            |part| {
                let index = json!([bytes, {"name": "crc32c"}]);
                let shard =
                    json!({"chunk_shape": [part], "codecs": [bytes], "index_codecs": index});
                json!([{"name": "sharding_indexed", "configuration": shard}])
            },
        );
        let array = json!({"zarr_format": 3, "node_type": "array", "shape": [shape],
            "data_type": "float32", "codecs": codecs, "fill_value": 0.0, "attributes": {},
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk]}},
            "chunk_key_encoding": {"name": "default"}});
        let group = json!({"zarr_format": 3, "node_type": "group", "attributes": {}}).to_string();
        let mut index = vec![0xff; 32];
        index.extend_from_slice(&crc32c::crc32c(&index).to_le_bytes());
        pack(&vec![
            ("zarr.json".to_owned(), group.clone().into_bytes()),
            ("model/zarr.json".to_owned(), group.into_bytes()),
            ("model/w/zarr.json".to_owned(), array.to_string().into_bytes()),
            ("model/w/c/0".to_owned(), index),
        ])
    };
    let words = format!(
        "{{\"zarr_format\":3,\"node_type\":\"group\",\"attributes\":{{\"a\":[{}1]}}}}",
        "NaN,".repeat(15_000)
    );
    vec![
        ("an array of a terabyte", of(1 << 38, 1 << 38, None)),
        ("a chunk larger than its array", of(4, 1 << 38, None)),
        ("a chunk that is half a gigabyte larger than its array", of(4, 1 << 27, None)),
        ("a shard with a million parts", of(1 << 28, 1 << 28, Some(1))),
        ("a shard that has nothing of a gigabyte", of(1 << 28, 1 << 28, Some(1 << 27))),
        (
            "thousands of words that are not JSON",
            pack(&vec![("zarr.json".to_owned(), words.into())]),
        ),
    ]
}

/// The same array, transposed and in one shard; attributes as Python writes them.
fn sharded_group(plain: &Parts) -> Parts {
    let shard = json!({"chunk_shape": [2], "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]});
    let array = json!({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0, "attributes": {},
        "codecs": [{"name": "transpose", "configuration": {"order": [0]}},
            {"name": "sharding_indexed", "configuration": shard}]});
    let mut chunk = vec![1; 16];
    let index: Vec<u8> = [0_u64, 8, 8, 8].iter().flat_map(|number| number.to_le_bytes()).collect();
    chunk.extend_from_slice(&index);
    chunk.extend_from_slice(&crc32c::crc32c(&index).to_le_bytes());
    let root = String::from_utf8_lossy(&plain[0].1).replace("0.5", "NaN, \"best\": -Infinity");
    vec![
        (plain[0].0.clone(), root.into_bytes()),
        plain[1].clone(),
        (plain[2].0.clone(), array.to_string().into_bytes()),
        ("model/w/c/0".to_owned(), chunk),
    ]
}

/// Small tensors of several types and shapes, in several chunks, and nested metadata.
fn state() -> StateDict {
    let mut state = StateDict::from_iter([
        ("w", Tensor::from_vec((0..24).map(|n| n as f32).collect(), [4, 6]).expect("24 elements")),
        ("scalar", Tensor::scalar(7_i64)),
        ("none", Tensor::from_vec(Vec::<u8>::new(), [0, 3]).expect("no elements")),
    ]);
    state.insert("list", State::List(vec![1_i64.into(), "two".into(), 3.0.into()]));
    state
}

fn saved(layout: Layout, compression: Compression) -> MemoryFs {
    saved_state(state(), layout, compression)
}

fn saved_state(state: StateDict, layout: Layout, compression: Compression) -> MemoryFs {
    let memory = MemoryFs::new();
    let settings = CheckpointSettings::default().workers(1).layout(layout).compression(compression);
    let settings = if state.tensor_bytes() < 1_000 { settings.chunk_bytes(64) } else { settings };
    let manager = CheckpointManager::open_in(Arc::new(memory.clone()), DIR, settings);
    let manager = manager.expect("the memory has a directory");
    let metadata = StateDict::from_iter([("loss", 0.5)]);
    let ticket =
        manager.save(Snapshot::new(1).model(state).metadata(metadata)).expect("it can be saved");
    ticket.wait(Duration::from_secs(60)).expect("the memory has room");
    memory
}

/// The files of the directory by relative path; the root comes last, as it is written.
fn tree(memory: &MemoryFs) -> Parts {
    fn collect(memory: &MemoryFs, dir: &str, parts: &mut Parts) {
        for entry in memory.list(&Path::new(TREE).join(dir)).expect("it is there") {
            let name = entry.name.to_str().expect("plain names");
            let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            if entry.kind == EntryKind::Dir {
                collect(memory, &path, parts);
            } else {
                let bytes = read_all(memory, &Path::new(TREE).join(&path)).expect("it is there");
                parts.push((path, bytes));
            }
        }
    }
    let mut parts = Parts::new();
    collect(memory, "", &mut parts);
    parts
}

/// Writes the files. Returns `false` if a name is not possible, or if two names conflict.
fn put_tree(memory: &MemoryFs, parts: &Parts, manifest: &[u8]) -> bool {
    let mut all = parts.iter().map(|(name, bytes)| (&**name, &**bytes)).collect::<Vec<_>>();
    all.push((MANIFEST, manifest));
    all.into_iter().all(|(name, bytes)| {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        let path = format!("{TREE}/{name}");
        let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        name.split('/').all(is_plain)
            && create_dir_all(memory, Path::new(dir)).is_ok()
            && memory.create_new(Path::new(&path)).is_ok_and(|file| file.write_at(0, bytes).is_ok())
    })
}

fn put(memory: &MemoryFs, path: &str, bytes: &[u8]) {
    memory.create_dir(Path::new(DIR)).expect("the memory is empty");
    let file = memory.create_new(Path::new(path)).expect("the memory is empty");
    file.write_at(0, bytes).expect("the memory has room");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refused seed would leave everything after the first check untested.
    #[test]
    fn every_seed_is_loaded() {
        for seed in parts_seeds() {
            let parts = unpack(&seed);
            let (memory, other) = (MemoryFs::new(), MemoryFs::new());
            assert!(put_tree(&memory, &parts, &sealed_manifest(&parts)));
            put(&other, ZIP, &zip(&parts, &sealed_manifest(&parts)));
            for memory in [memory, other] {
                Checkpoints::open_in(Arc::new(memory), DIR).unwrap().load(1).unwrap();
            }
        }
        for seed in group_seeds() {
            let memory = MemoryFs::new();
            put_tree(&memory, &unpack(&seed), b"{}");
            let storage: Arc<dyn FileSystem> = Arc::new(memory);
            load_zarr_group_in(&storage, TREE, MissingChunks::Refuse).unwrap();
        }
    }
}
