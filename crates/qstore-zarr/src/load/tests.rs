//! Forged checkpoints, whose checksums are correct and whose content is not: an early error, and no
//! allocation based on the forged content.

use super::reader::CheckpointReader;
use super::*;
use crate::container::archive::ArchiveWriter;
use crate::container::manifest::Manifest;
use crate::format::ZARR_JSON;
use crate::save::save_checkpoint;
use crate::save::settings::CheckpointSettings;
use qstore_checkpoint::repository::MemoryRepository;
use qstore_checkpoint::seal::MANIFEST;
use qstore_checkpoint::{Layout, Snapshot};
use qstore_schema::StateDict;
use qstore_settings::Compression;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

const NUMBER: u64 = 1;
const ROOT: &str = "/attributes/qstore/structure";
const ARRAY: &str = "/consolidated_metadata/metadata/model~1w";

fn saved() -> Catalog {
    let catalog = Catalog::read_only(Arc::new(MemoryRepository::new()));
    let tensor = Tensor::from_vec(vec![1.0_f32; 100], [10, 10]).unwrap();
    let rng = StateDict::from_iter([("seed", 7_i64)]);
    let snapshot =
        Snapshot::new(NUMBER).model(StateDict::from_iter([("w", tensor)])).part("rng", rng);
    drop(save_checkpoint(&catalog, &CheckpointSettings::default(), &snapshot).unwrap());
    catalog
}

/// Rewrites the checkpoint with other entries and a manifest that matches them.
fn rewrite(catalog: &Catalog, change: impl Fn(&mut Vec<(String, Vec<u8>)>)) {
    rewrite_with(catalog, change, |_, data| crc32fast::hash(data));
}

fn rewrite_with(
    catalog: &Catalog,
    change: impl Fn(&mut Vec<(String, Vec<u8>)>),
    crc32: impl Fn(&str, &[u8]) -> u32,
) {
    let sealed = catalog.open(NUMBER).unwrap();
    let all = 0..sealed.container.count();
    let mut entries: Vec<_> = all
        .filter(|index| sealed.container.name(*index) != MANIFEST)
        .map(|index| {
            let name = sealed.container.name(index).to_owned();
            (name, sealed.container.read_document(index).unwrap())
        })
        .collect();
    change(&mut entries);
    let name = catalog.name_of(NUMBER, Layout::SingleFile).unwrap();
    let mut archive = ArchiveWriter::new(catalog.repository.begin_file(&name).unwrap());
    let mut manifest = Manifest::new(NUMBER);
    for (name, data) in entries {
        archive.append(name.clone(), crc32(&name, &data), &[&data]).unwrap();
        // A chunk ends with its own checksum, which is the one to record.
        let own_checksum = if name.ends_with(ZARR_JSON) { 0 } else { 4 };
        let covered = &data[..data.len().saturating_sub(own_checksum)];
        manifest.note(name, data.len(), crc32c::crc32c(covered));
    }
    archive.append_document(MANIFEST.into(), &manifest.seal()).unwrap();
    drop(archive.finish().unwrap().commit().unwrap());
}

fn refusal(catalog: &Catalog) -> String {
    let error = load_checkpoint(catalog, NUMBER, &Loading::default()).unwrap_err();
    let verified = verify_checkpoint(catalog, NUMBER, 2).unwrap_err();
    assert_eq!(error.to_string(), verified.to_string());
    assert!(error.damage().is_some(), "{error}");
    error.to_string()
}

/// Makes the own documents of all nodes those in the root's consolidated metadata.
fn copy_from_root(root: &Value, entries: &mut [(String, Vec<u8>)]) {
    for (path, node) in root["consolidated_metadata"]["metadata"].as_object().unwrap() {
        let name = format!("{path}/{ZARR_JSON}");
        for (_, own) in entries.iter_mut().filter(|(entry, _)| *entry == name) {
            *own = node.to_string().into_bytes();
        }
    }
}

/// Replaces one value in the root's metadata and expects the load to give this reason for refusing it.
fn check(pointer: &str, value: &Value, reason: &str) {
    let dir = saved();
    rewrite(&dir, |entries| {
        let (_, root) = entries.last_mut().unwrap();
        let mut document: Value = serde_json::from_slice(root).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            _ => parent[key.replace("~1", "/")] = value.clone(),
        }
        *root = document.to_string().into_bytes();
        copy_from_root(&document, entries);
    });
    let refusal = refusal(&dir);
    assert!(refusal.contains(reason), "{pointer} = {value}: {refusal}");
}

#[test]
fn a_rewritten_but_unchanged_checkpoint_is_read() {
    let dir = saved();
    rewrite(&dir, |_| {});
    assert_eq!(
        load_checkpoint(&dir, NUMBER, &Loading::default()).unwrap().model().unwrap().tensor_bytes(),
        400
    );
}

#[test]
fn impossible_shapes_and_chunks_are_refused() {
    let shape = format!("{ARRAY}/shape");
    check(&shape, &json!([1_u64 << 62, 10]), "not contiguous, or too large");
    check(&shape, &json!([1_000_000_000, 10]), "`model/w/c/1/0` of tensor `model/w` is missing");
    check(&shape, &json!([u64::MAX, u64::MAX]), "not contiguous, or too large");
    check(&shape, &json!([10]), "not contiguous");
    check(&shape, &json!([0, 10]), "`model/w/c/0/0` of tensor `model/w` is not in the manifest");
    let chunk_shape = format!("{ARRAY}/chunk_grid/configuration/chunk_shape");
    check(&chunk_shape, &json!([1 << 24, 10]), "too large");
    check(&chunk_shape, &json!([1_u64 << 40, 10]), "too large");
    check(&chunk_shape, &json!([10, 5]), "not contiguous");
    check(&chunk_shape, &json!([20, 10]), "too large");
    check(&chunk_shape, &json!([0, 10]), "is malformed");
}

/// Shape and chunks are consistent, but a chunk of a few bytes would be one of 640 MB, or of 40 TB.
#[test]
fn an_array_too_large_for_its_bytes_or_for_memory_is_refused() {
    let grown = |rows: usize| {
        let dir = saved();
        rewrite(&dir, |entries| {
            let (_, root) = entries.last_mut().unwrap();
            let mut document: Value = serde_json::from_slice(root).unwrap();
            let array = document.pointer_mut(ARRAY).unwrap();
            array["shape"] = json!([rows, 10]);
            array["chunk_grid"]["configuration"]["chunk_shape"] = json!([rows, 10]);
            *root = document.to_string().into_bytes();
            copy_from_root(&document, entries);
        });
        refusal(&dir)
    };
    assert!(grown(1 << 24).contains("no chunk can have this length"));
    assert!(grown(1 << 40).contains("too large"));
}

#[test]
fn unsupported_types_and_codecs_are_refused() {
    let array = |field: &str| format!("{ARRAY}/{field}");
    check(&array("data_type"), &json!("string"), "is malformed");
    check(&array("data_type"), &json!("float64"), "does not have the length of a chunk");
    check(&array("attributes"), &json!({"qstore_dtype": "bfloat16"}), "not stored as float32");
    check(&array("codecs"), &json!(["bytes"]), "unsupported codecs");
    check(&array("codecs"), &json!([]), "is malformed");
    check(&array("chunk_grid/name"), &json!("rectilinear"), "not regular");
    check(&array("chunk_key_encoding"), &json!("v2"), "unsupported chunk key encoding `v2`");
    let dotted = json!({"name": "default", "configuration": {"separator": "."}});
    check(&array("chunk_key_encoding"), &dotted, "`model/w/c.0.0` of tensor `model/w` is missing");
    check(ARRAY, &json!(null), "is malformed");
}

#[test]
fn inconsistent_structures_are_refused() {
    let model = format!("{ROOT}/parts/0/tree");
    let leaf = json!({"tensor": "model/w"});
    check(
        &model,
        &json!({"keys": ["a", "b"], "nodes": [leaf, leaf]}),
        "names tensor `model/w` twice",
    );
    check(&model, &json!({"keys": [], "nodes": []}), "the structure does not name this array");
    check(&model, &json!([leaf]), "does not start with a dict");
    check(
        &model,
        &json!({"keys": ["a"], "nodes": [{"tensor": "gone"}]}),
        "`gone/zarr.json` is missing",
    );
    let bytes = json!({"keys": ["a"], "nodes": [{"bytes": "model/w"}]});
    check(&model, &bytes, "has bytes at `model/w`, which is not a flat array of uint8");
    let tuple = json!({"keys": ["a", "b"], "nodes": [leaf, {"tuple": [{"bytes": "model/w"}]}]});
    check(&model, &tuple, "names tensor `model/w` twice");
    check(&format!("{ROOT}/parts/1/tree"), &json!(7), "does not start with a dict");
    check(&format!("{ROOT}/parts/1/name"), &json!("model"), "has the part `model` twice");
    check(&format!("{ROOT}/parts"), &json!(null), "lists no parts");
    check(&format!("{ROOT}/metadata"), &json!("x"), "does not start with a dict");
    check("/attributes/qstore/number", &json!(2), "its number does not match the manifest");
    check("/attributes/timestamp", &json!("now"), "is malformed");
    check("/consolidated_metadata/metadata", &json!({}), "`model/w/zarr.json` is missing");
}

/// Readers may use either of two descriptions, so they must be the same.
#[test]
fn a_document_that_differs_from_its_copy_in_the_root_is_refused() {
    for (name, change) in [
        ("model/w/zarr.json", "\"shape\":[10,10]"),
        ("model/w/zarr.json", "float32"),
        ("model/zarr.json", "group"),
    ] {
        let dir = saved();
        rewrite(&dir, |entries| {
            let (_, own) = entries.iter_mut().find(|(entry, _)| entry == name).unwrap();
            let text = String::from_utf8(own.clone()).unwrap();
            let other =
                text.replace(change, &change.replace("10,10", "5,20").replace("float", "int"));
            *own = other.replace("\"group\"", "\"other\"").into_bytes();
            assert_ne!(text.as_bytes(), own, "{change}");
        });
        let refusal = refusal(&dir);
        assert!(refusal.contains(name) && refusal.contains("consolidated metadata"), "{refusal}");
        let reader = CheckpointReader::of_number(&dir, NUMBER, Loading::default()).unwrap();
        let loaded = reader.load(&qstore_checkpoint::Select::All);
        assert!(
            loaded.is_err() == name.contains("/w/"),
            "of a part only its own documents are read"
        );
    }
}

#[test]
fn a_document_that_only_looks_different_from_its_copy_is_read() {
    let dir = saved();
    rewrite(&dir, |entries| {
        for (_, own) in entries.iter_mut().filter(|(name, _)| name.ends_with("/zarr.json")) {
            let value: Value = serde_json::from_slice(own).unwrap();
            *own = serde_json::to_vec_pretty(&value).unwrap();
        }
    });
    assert!(load_checkpoint(&dir, NUMBER, &Loading::default()).is_ok());
}

/// Two checksums of the same bytes: ours in the manifest, and that of the archive for other programs.
#[test]
fn an_archive_whose_own_checksum_is_wrong_is_found_by_a_verification() {
    for (entry, load_reads_it) in [("model/w/c/0/0", false), ("model/zarr.json", true)] {
        let dir = saved();
        let wrong = |name: &str, data: &[u8]| crc32fast::hash(data) ^ u32::from(name == entry);
        rewrite_with(&dir, |_| {}, wrong);
        let error = verify_checkpoint(&dir, NUMBER, 2).unwrap_err();
        assert!(
            matches!(error.damage(), Some(Damage::Checksum { entry: found }) if found == entry)
        );
        assert_eq!(load_checkpoint(&dir, NUMBER, &Loading::default()).is_err(), load_reads_it);
    }
}

#[test]
fn an_array_that_the_structure_does_not_name_is_refused() {
    let dir = saved();
    rewrite(&dir, |entries| {
        let (_, root) = entries.last_mut().unwrap();
        let mut document: Value = serde_json::from_slice(root).unwrap();
        // Without elements it has no chunks, by which it would be noticed.
        let mut array = document.pointer(ARRAY).unwrap().clone();
        array["shape"] = json!([0, 10]);
        document["consolidated_metadata"]["metadata"]["model/lost"] = array.clone();
        *root = document.to_string().into_bytes();
        entries.insert(0, ("model/lost/zarr.json".into(), array.to_string().into_bytes()));
    });
    assert!(refusal(&dir).contains("the structure does not name this array"));
}

#[test]
fn a_root_that_is_not_json_or_nested_too_deeply_is_refused() {
    for root in [Vec::new(), b"{}".to_vec(), vec![b'['; 1 << 20], vec![0xff; 100]] {
        let dir = saved();
        rewrite(&dir, |entries| entries.last_mut().unwrap().1.clone_from(&root));
        assert!(refusal(&dir).contains("`zarr.json` is malformed"));
    }
}

// The manifest does not list the missing chunk either, as if both had been forged.
#[test]
fn a_missing_chunk_is_an_error_and_never_zeros() {
    let dir = saved();
    rewrite(&dir, |entries| entries.retain(|(name, _)| !name.contains("/c/")));
    assert!(refusal(&dir).contains("entry `model/w/c/0/0` of tensor `model/w` is missing"));
    let dir = saved();
    rewrite(&dir, |entries| entries.insert(0, ("model/w/c/9/9".into(), vec![1])));
    assert!(refusal(&dir).contains("entry `model/w/c/9/9` of tensor `model/w` is not in"));
}

#[test]
fn a_chunk_of_another_tensor_is_refused_by_its_length() {
    let dir = saved();
    rewrite(&dir, |entries| entries[0].1.truncate(3));
    assert!(refusal(&dir).contains("does not match its checksum"));
    let dir = saved();
    rewrite(&dir, |entries| {
        let codec = crate::format::codec::Codec::new(Compression::ZSTD, Dtype::Float32);
        entries[0].1 = codec.encode(Cow::Borrowed(&[1; 800])).unwrap().parts().concat();
    });
    assert!(refusal(&dir).contains("does not have the length of a chunk"));
}

/// Memory that remembers where its blocks are, and has room for a number of bytes.
#[derive(Debug)]
struct Limited {
    room: usize,
    addresses: std::sync::Mutex<Vec<usize>>,
}

struct Block(Vec<u64>, usize);

impl memory::TensorMemory for Limited {
    fn allocate(&self, len: usize) -> Option<Box<dyn memory::TensorBlock>> {
        let block = (len <= self.room).then(|| Block(vec![0; len.div_ceil(8)], len))?;
        self.addresses.lock().unwrap().push(block.0.as_ptr() as usize);
        Some(Box::new(block))
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::must_cast_slice(&self.0)[..self.1]
    }
}

impl memory::TensorBlock for Block {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::must_cast_slice_mut(&mut self.0)[..self.1]
    }

    fn into_bytes(self: Box<Self>) -> bytes::Bytes {
        bytes::Bytes::from_owner(*self)
    }
}

#[test]
fn tensors_are_put_into_the_memory_of_the_caller() {
    let manager = crate::CheckpointManager::over(
        Arc::new(MemoryRepository::new()),
        CheckpointSettings::default(),
    )
    .unwrap();
    let model = StateDict::from_iter([
        ("w", Tensor::from_vec(vec![1.5_f32; 1_000], [1_000]).unwrap()),
        ("b", Tensor::scalar(2.0_f64)),
    ]);
    let saved = manager.save(Snapshot::new(NUMBER).model(model.clone())).unwrap();
    saved.wait(std::time::Duration::from_secs(60)).unwrap();

    let memory = Arc::new(Limited { room: 4_000, addresses: std::sync::Mutex::default() });
    let loading = manager.checkpoints().clone().memory(Arc::clone(&memory) as _);
    let loaded = loading.load(NUMBER).unwrap();
    assert_eq!(loaded.model().unwrap(), &model);
    let addresses = memory.addresses.lock().unwrap().clone();
    for (_, tensor) in loaded.model().unwrap().tensors() {
        assert!(addresses.contains(&(tensor.data().as_ptr() as usize)), "{tensor:?}");
    }

    let memory = Arc::new(Limited { room: 3_999, addresses: std::sync::Mutex::default() });
    let error = manager.checkpoints().clone().memory(memory).load(NUMBER).unwrap_err();
    let LoadError::OutOfMemory { needed, .. } = error else { panic!("{error}") };
    assert_eq!(needed, 4_000);
}
