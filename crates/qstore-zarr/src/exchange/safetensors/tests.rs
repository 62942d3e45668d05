//! Round trips, files from other writers, and malformed files.

use super::*;
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
