//! Forged checkpoints, whose checksums are correct and whose content is not: an early error, and no
//! allocation based on the forged content.

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
        archive.append_document(name.clone(), &data).unwrap();
        // A chunk ends with its own checksum, which is the one to record.
        let own_checksum = if name.ends_with(ZARR_JSON) { 0 } else { 4 };
        let covered = &data[..data.len().saturating_sub(own_checksum)];
        manifest.note(name, data.len(), crc32c::crc32c(covered));
    }
    archive.append_document(MANIFEST.into(), &manifest.seal()).unwrap();
    drop(archive.finish().unwrap().commit().unwrap());
}

fn refusal(catalog: &Catalog) -> String {
    let error = load_checkpoint(catalog, NUMBER, 2).unwrap_err();
    let verified = verify_checkpoint(catalog, NUMBER, 2).unwrap_err();
    assert_eq!(error.to_string(), verified.to_string());
    assert!(error.damage().is_some(), "{error}");
    error.to_string()
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
    });
    let refusal = refusal(&dir);
    assert!(refusal.contains(reason), "{pointer} = {value}: {refusal}");
}

#[test]
fn a_rewritten_but_unchanged_checkpoint_is_read() {
    let dir = saved();
    rewrite(&dir, |_| {});
    assert_eq!(load_checkpoint(&dir, NUMBER, 2).unwrap().model().unwrap().tensor_bytes(), 400);
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
    check(&model, &json!({"keys": [], "nodes": []}), "is not in the manifest");
    check(&model, &json!([leaf]), "does not start with a dict");
    check(
        &model,
        &json!({"keys": ["a"], "nodes": [{"tensor": "gone"}]}),
        "`gone/zarr.json` is missing",
    );
    check(&format!("{ROOT}/parts/1/tree"), &json!(7), "does not start with a dict");
    check(&format!("{ROOT}/parts/1/name"), &json!("model"), "has the part `model` twice");
    check(&format!("{ROOT}/parts"), &json!(null), "lists no parts");
    check(&format!("{ROOT}/metadata"), &json!("x"), "does not start with a dict");
    check("/attributes/qstore/number", &json!(2), "its number does not match the manifest");
    check("/attributes/timestamp", &json!("now"), "is malformed");
    check("/consolidated_metadata/metadata", &json!({}), "`model/w/zarr.json` is missing");
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
        let codec =
            crate::format::codec::Codec::new(Compression::ZSTD, qstore_schema::Dtype::Float32);
        entries[0].1 = codec.encode(Cow::Borrowed(&[1; 800])).unwrap().parts().concat();
    });
    assert!(refusal(&dir).contains("does not have the length of a chunk"));
}
