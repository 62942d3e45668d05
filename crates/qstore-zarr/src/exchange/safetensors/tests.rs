//! Round trips, files from other writers, and malformed files.

use super::header::DTYPES;
use super::*;
use qstore_checkpoint::Parts;
use qstore_schema::Dtype;
use qstore_storage::testing::{Failure, Fault, FaultFs};
use qstore_storage::{MemoryFs, read_all};

const PATH: &str = "/m.safetensors";

fn optimizer() -> StateDict {
    let moments = StateDict::from_iter([("exp_avg", Tensor::scalar(0.5_f64))]);
    let mut state = StateDict::from_iter([("state", StateDict::from_iter([(0_i64, moments)]))]);
    let group = StateDict::from_iter([("lr", State::from(1e-3)), ("fused", State::Null)]);
    state.insert("param_groups", vec![State::from(group)]);
    // Two tensors that would get the same name.
    state.insert("a.b", Tensor::scalar(1_u8));
    state.insert("a", StateDict::from_iter([("b", Tensor::scalar(2_u8))]));
    state
}

fn all_dtypes() -> StateDict {
    let mut state = StateDict::new();
    for (dtype, name) in DTYPES {
        for shape in [&[][..], &[0, 3], &[2, 3]] {
            let len = shape.iter().product::<usize>() * dtype.size();
            let data: Vec<u8> = (0..len).map(|i| (i % 2) as u8).collect();
            state.insert(format!("{name}{shape:?}"), Tensor::new(dtype, shape, data).unwrap());
        }
    }
    state
}

fn file(bytes: &[u8]) -> MemoryFs {
    let memory = MemoryFs::new();
    memory.create_new(Path::new(PATH)).unwrap().write_at(0, bytes).unwrap();
    memory
}

fn of_header(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn a_state_round_trips_and_is_durable() {
    for state in [StateDict::new(), optimizer(), all_dtypes()] {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let len = export_safetensors_in(&storage, PATH, &state).unwrap();
        let cut = memory.power_cut();
        assert_eq!(read_all(&cut, Path::new(PATH)).unwrap().len() as u64, len);
        assert_eq!(import_safetensors_in(&cut, PATH).unwrap(), state);
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
    }
}

#[test]
fn tensors_the_format_does_not_support_are_refused() {
    let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let export = |state: StateDict| export_safetensors_in(&storage, PATH, &state).unwrap_err();
    let complex = StateDict::from_iter([("z", Tensor::scalar([1.0_f64, 2.0]))]);
    assert!(export(complex).to_string().contains("no 128-bit complex"));
    let reserved = StateDict::from_iter([(METADATA, Tensor::scalar(1_u8))]);
    assert!(export(reserved).to_string().contains("reserves that name"));
    assert!(storage.list(Path::new("/")).unwrap().is_empty());
}

#[test]
fn a_file_from_another_writer_becomes_a_flat_state_in_file_order() {
    let header = r#"{"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},
        "a.w":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"__metadata__":{"format":"pt"}}  "#;
    let memory = file(&of_header(header, &[0, 0, 128, 63, 7, 8]));
    let state = import_safetensors_in(&memory, PATH).unwrap();
    let keys: Vec<_> = state.iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["a.w", "b"]);
    assert_eq!(state.tensor("a.w").unwrap().as_slice::<f32>().unwrap(), [1.0]);
    assert_eq!(state.tensor("b").unwrap().as_slice::<u8>().unwrap(), [7, 8]);
}

#[test]
fn a_malformed_or_truncated_file_is_refused() {
    let refuse = |bytes: &[u8]| {
        let error = import_safetensors_in(&file(bytes), PATH).unwrap_err();
        assert!(error.damage().is_some(), "{error}");
        error.to_string()
    };
    let entry =
        |offsets: &str| format!(r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{offsets}}}}}"#);
    for (offsets, reason) in [
        ("[0,3]", "the file has 2 bytes"),
        ("[1,2]", "does not begin"),
        ("[2,0]", "does not begin"),
        ("[0,18446744073709551615]", "the file has 2 bytes"),
        ("[0]", "`a`"),
    ] {
        let said = refuse(&of_header(&entry(offsets), &[1, 2]));
        assert!(said.contains(reason), "{offsets}: {said}");
    }
    refuse(&of_header(&entry("[0,2]").replace("U8", "F4"), &[1, 2]));
    refuse(&of_header(&entry("[0,2]").replace("[2]", "[3]"), &[1, 2]));
    refuse(&of_header("{", &[]));
    refuse(&of_header(r#"{"__metadata__":{"qstore_structure":"[1]"}}"#, &[]));
    refuse(&[1, 2, 3]);
    refuse(&u64::MAX.to_le_bytes());
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    export_safetensors_in(&storage, PATH, &optimizer()).unwrap();
    let whole = read_all(&memory, Path::new(PATH)).unwrap();
    for len in 0..whole.len() {
        refuse(&whole[..len]);
    }
}

/// A file as other programs write it after they have changed some tensors: the metadata are those of the
/// export.
fn edited(change: impl Fn(&mut Vec<(String, Value, Vec<u8>)>)) -> MemoryFs {
    let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let fc = StateDict::from_iter([
        ("weight", State::from(Tensor::from_vec(vec![1.0_f32, 2.0], [2]).unwrap())),
        ("bias", Tensor::scalar(3.0_f32).into()),
        ("lr", 0.5.into()),
    ]);
    export_safetensors_in(&storage, PATH, &StateDict::from_iter([("fc", fc)])).unwrap();
    let bytes = read_all(&*storage, Path::new(PATH)).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let data = &bytes[8 + header_len..];
    let mut tensors = Vec::new();
    for (name, entry) in header.as_object().unwrap() {
        let offset = |at: usize| entry["data_offsets"][at].as_u64().map(|offset| offset as usize);
        if let (Some(start), Some(end)) = (offset(0), offset(1)) {
            tensors.push((name.clone(), entry.clone(), data[start..end].to_vec()));
        }
    }
    change(&mut tensors);
    let mut edited = json!({ METADATA: header[METADATA] });
    let mut data = Vec::new();
    for (name, mut entry, bytes) in tensors {
        entry["data_offsets"] = json!([data.len(), data.len() + bytes.len()]);
        edited[name] = entry;
        data.extend(bytes);
    }
    file(&of_header(&edited.to_string(), &data))
}

fn mismatch(storage: &MemoryFs) -> (Vec<String>, Vec<String>) {
    match import_safetensors_in(storage, PATH).unwrap_err() {
        LoadError::StructureMismatch { added, missing, .. } => (added, missing),
        other => panic!("{other}"),
    }
}

fn one_more(name: &str) -> (String, Value, Vec<u8>) {
    (name.into(), json!({ "dtype": "U8", "shape": [1] }), vec![7])
}

#[test]
fn tensors_that_were_added_removed_or_renamed_are_named_and_can_be_had_flat() {
    let untouched = edited(|_| {});
    assert_eq!(import_safetensors_in(&untouched, PATH).unwrap().dict("fc").unwrap().len(), 3);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let check = |storage: MemoryFs, added: &[&str], missing: &[&str], flat: &[&str]| {
        assert_eq!(mismatch(&storage), (names(added), names(missing)));
        let state = import_safetensors_flat_in(&storage, PATH).unwrap();
        let mut keys: Vec<_> = state.iter().map(|(key, _)| key.to_string()).collect();
        keys.sort();
        assert_eq!(keys, flat);
    };
    let added = edited(|tensors| tensors.push(one_more("fc.lora_a")));
    check(added, &["fc.lora_a"], &[], &["fc.bias", "fc.lora_a", "fc.weight"]);
    let removed = edited(|tensors| tensors.retain(|(name, ..)| name != "fc.bias"));
    check(removed, &[], &["fc.bias"], &["fc.weight"]);
    let renamed = edited(|tensors| {
        let bias = tensors.iter_mut().find(|(name, ..)| name == "fc.bias").unwrap();
        bias.0.insert_str(0, "model.");
    });
    check(renamed, &["model.fc.bias"], &["fc.bias"], &["fc.weight", "model.fc.bias"]);
    let emptied = edited(Vec::clear);
    check(emptied, &[], &["fc.weight", "fc.bias"], &[]);
    let replaced = edited(|tensors| *tensors = vec![one_more("x")]);
    check(replaced, &["x"], &["fc.weight", "fc.bias"], &["x"]);
}

#[test]
fn tensors_of_another_type_or_shape_are_taken_as_the_file_has_them() {
    let changed = edited(|tensors| {
        for (name, entry, bytes) in tensors {
            if name == "fc.weight" {
                (*entry, *bytes) = (json!({ "dtype": "BF16", "shape": [3, 1] }), vec![9; 6]);
            } else {
                (*entry, *bytes) = (json!({ "dtype": "F4", "shape": [4] }), vec![1, 2]);
            }
        }
    });
    let state = import_safetensors_in(&changed, PATH).unwrap();
    let fc = state.dict("fc").unwrap();
    let weight = fc.tensor("weight").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (Dtype::BFloat16, &[3, 1][..]));
    let bias = RawTensor::of(fc.get("bias").unwrap()).unwrap();
    assert_eq!(
        (bias.dtype.as_str(), bias.shape.as_slice(), &bias.data[..]),
        ("F4", &[4][..], &[1, 2][..])
    );
    assert_eq!(fc.float("lr"), Some(0.5));
}

#[test]
fn a_name_that_is_listed_twice_is_refused() {
    let empty = r#"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
    for header in [
        format!(r#"{{"a":{empty},"a":{empty}}}"#),
        r#"{"__metadata__":{"a":"b"},"__metadata__":{}}"#.into(),
    ] {
        let error = import_safetensors_in(&file(&of_header(&header, &[])), PATH).unwrap_err();
        assert!(error.damage().is_some(), "{error}");
    }
}

/// Of the types that have no [`Dtype`], a tensor each, and one of a type of the future.
fn raw_tensors() -> Vec<(&'static str, RawTensor)> {
    let raw = |dtype: &str, shape: &[usize], len: usize| {
        let data: Vec<u8> = (0..len).map(|at| (at * 37 + dtype.len()) as u8).collect();
        RawTensor { dtype: dtype.into(), shape: shape.into(), data: data.into() }
    };
    vec![
        ("scale", raw("F8_E8M0", &[2, 3], 6)),
        ("w4", raw("F4", &[2, 8], 8)),
        ("w6", raw("F6_E2M3", &[4], 3)),
        ("v6", raw("F6_E3M2", &[8, 1], 6)),
        ("fnuz", raw("F8_E4M3FNUZ", &[], 1)),
        ("other", raw("F8_E5M2FNUZ", &[0, 7], 0)),
        ("future", raw("I2", &[9], 4)),
    ]
}

#[test]
fn a_tensor_of_a_type_without_a_name_here_keeps_its_bytes_and_is_written_again_as_it_was() {
    let mut header = Map::new();
    let mut data = vec![0, 0, 128, 63];
    header.insert("plain".into(), json!({ "dtype": "F32", "shape": [1], "data_offsets": [0, 4] }));
    for (name, raw) in raw_tensors() {
        let end = data.len() + raw.data.len();
        let offsets = [data.len(), end];
        let entry = json!({ "dtype": raw.dtype, "shape": raw.shape, "data_offsets": offsets });
        header.insert(name.into(), entry);
        data.extend_from_slice(&raw.data);
    }
    let theirs = file(&of_header(&Value::Object(header).to_string(), &data));
    let state = import_safetensors_in(&theirs, PATH).unwrap();
    assert_eq!(state.tensor("plain").unwrap().as_slice::<f32>().unwrap(), [1.0]);
    for (name, raw) in raw_tensors() {
        assert_eq!(RawTensor::of(state.get(name).unwrap()), Some(raw));
    }
    // Nested, next to each other in a list, and out again.
    let list: Vec<State> = raw_tensors().into_iter().map(|(_, raw)| raw.into()).collect();
    let nested =
        StateDict::from_iter([("flat", State::from(state.clone())), ("list", list.into())]);
    let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    for state in [state, nested] {
        export_safetensors_in(&storage, PATH, &state).unwrap();
        assert_eq!(import_safetensors_in(&*storage, PATH).unwrap(), state);
        let file = Import::open(&*storage, Path::new(PATH)).unwrap();
        let written = |entry: &Entry| (entry.dtype.clone(), entry.shape.clone());
        let written: Vec<_> = file.header.tensors.iter().map(|(_, entry)| written(entry)).collect();
        for (_, RawTensor { dtype, shape, .. }) in raw_tensors() {
            assert!(written.contains(&(dtype, shape)));
        }
    }
}

#[test]
fn a_checkpoint_keeps_the_type_of_a_raw_tensor() {
    use crate::{CheckpointManager, CheckpointSettings};
    let tmp = tempfile::tempdir().unwrap();
    let model: StateDict = raw_tensors().into_iter().collect();
    let manager = CheckpointManager::open(tmp.path(), CheckpointSettings::default()).unwrap();
    let ticket = manager.save(Snapshot::new(1).model(model.clone())).unwrap();
    ticket.wait(std::time::Duration::from_mins(1)).unwrap();
    let loaded: Parts = manager.load(1).unwrap().parts;
    assert_eq!(loaded.get(Snapshot::MODEL), Some(&model));
}

#[test]
fn a_raw_tensor_with_too_few_bytes_is_damage() {
    for (dtype, shape, len) in
        [("F4", "[3]", 1), ("F4", "[3]", 2), ("F6_E2M3", "[2]", 2), ("F8_E8M0", "[2]", 1)]
    {
        let header =
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{len}]}}}}"#);
        let error = import_safetensors_in(&file(&of_header(&header, &vec![0; len])), PATH);
        assert!(error.unwrap_err().damage().is_some(), "{dtype} {shape} {len}");
    }
}

/// A file with these tensors of bytes, all of which are holes.
fn sparse(dir: &Path, tensors: &[(&str, u64)]) -> std::path::PathBuf {
    let (mut header, mut end) = (Map::new(), 0);
    for (name, len) in tensors {
        let entry = json!({ "dtype": "U8", "shape": [len], "data_offsets": [end, end + len] });
        end += len;
        header.insert((*name).into(), entry);
    }
    let bytes = of_header(&Value::Object(header).to_string(), &[]);
    let path = dir.join("sparse.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(bytes.len() as u64 + end).unwrap();
    path
}

#[test]
fn a_sparse_file_that_claims_more_than_there_is_memory_is_an_error_of_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    // In one tensor, and in many of which each would fit.
    let many: Vec<_> = (0..3000).map(|number| format!("t{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), 1 << 30)).collect();
    for tensors in [&[("a", 1 << 42)][..], &many] {
        let path = sparse(tmp.path(), tensors);
        match import_safetensors(&path) {
            Err(error @ LoadError::OutOfMemory { .. }) => assert!(error.is_exhausted()),
            // Where the system promises any amount, what the file does not store takes no memory.
            Ok(state) => assert!(state.tensor_bytes() > 1 << 40),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn holes_read_as_zeros_between_the_bytes_that_are_stored() {
    use std::os::unix::fs::FileExt;
    let tmp = tempfile::tempdir().unwrap();
    let path = sparse(tmp.path(), &[("a", 8 << 20), ("b", 3), ("c", 1 << 20)]);
    let start = std::fs::metadata(&path).unwrap().len() - ((9 << 20) + 3);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[1, 2, 3, 4], start + (8 << 20) - 1).unwrap();
    let state = import_safetensors(&path).unwrap();
    let a = state.tensor("a").unwrap().as_slice::<u8>().unwrap();
    assert!(a.iter().position(|byte| *byte != 0) == Some(a.len() - 1) && a[a.len() - 1] == 1);
    assert_eq!(state.tensor("b").unwrap().as_slice::<u8>().unwrap(), [2, 3, 4]);
    assert!(state.tensor("c").unwrap().as_slice::<u8>().unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn an_export_that_was_killed_does_not_block_the_next() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("m.safetensors");
    // What versions before this one left behind, and a file that is left now.
    let pid = std::process::id();
    for name in [format!(".m.safetensors.{pid}.tmp"), ".qstore-00000000000000ab-0.tmp".into()] {
        std::fs::write(tmp.path().join(name), "half a file").unwrap();
    }
    for _ in 0..2 {
        export_safetensors(&path, &optimizer()).unwrap();
        assert_eq!(import_safetensors(&path).unwrap(), optimizer());
    }
    assert!(!tmp.path().join(".qstore-00000000000000ab-0.tmp").exists());
}

#[test]
fn threads_that_export_to_one_path_all_succeed() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("m.safetensors");
    std::thread::scope(|scope| {
        for number in 0..4_i64 {
            let path = &path;
            scope.spawn(move || {
                let state =
                    StateDict::from_iter([("n", State::from(number)), ("w", all_dtypes().into())]);
                for _ in 0..10 {
                    export_safetensors(path, &state).unwrap();
                }
            });
        }
    });
    assert!(import_safetensors(&path).unwrap().int("n").is_some());
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1);
}

#[test]
fn an_export_that_succeeds_despite_a_failure_is_whole_and_alone() {
    let state = optimizer();
    let counted = FaultFs::failing(Arc::new(MemoryFs::new()), Fault::Never, Failure::Io);
    export_safetensors_in(&counted.shared(), PATH, &state).unwrap();
    for at in 0..counted.operations() {
        for kind in [std::io::ErrorKind::Unsupported, std::io::ErrorKind::StorageFull] {
            let memory = MemoryFs::new();
            let faulty =
                FaultFs::failing(Arc::new(memory.clone()), Fault::Once(at), Failure::Kind(kind));
            let exported = export_safetensors_in(&faulty.shared(), PATH, &state);
            let names = memory.list(Path::new("/")).unwrap();
            let whole = memory.metadata(Path::new(PATH)).unwrap().is_some();
            match exported {
                Ok(_) => assert!(whole && names.len() == 1, "operation {at}"),
                Err(SaveError::Repository(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}
