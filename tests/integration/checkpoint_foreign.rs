//! Checkpoints of other programs: plain Zarr groups written by zarr-python are loaded when they are requested by
//! name, and only then.

use qstore::zarr::{LoadError, MissingChunks, load_zarr_group};
use qstore::{CheckpointManager, CheckpointSettings, Snapshot, StateDict, Tensor};
use qstore_tests::readers;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn floats(tensor: &Tensor) -> Vec<f64> {
    match tensor.dtype().name() {
        "float32" => tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
        "float64" => tensor.to_vec::<f64>().unwrap(),
        "int64" => tensor.to_vec::<i64>().unwrap().into_iter().map(|v| v as f64).collect(),
        "uint8" => tensor.to_vec::<u8>().unwrap().into_iter().map(f64::from).collect(),
        "complex64" => tensor.to_vec::<[f32; 2]>().unwrap().iter().map(|v| v[0].into()).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn groups_that_zarr_python_wrote_are_loaded_on_request() {
    let tmp = tempfile::tempdir().unwrap();
    readers::run("zarr_groups.py", &[tmp.path()]);
    for name in ["v2-blosc", "v2-default", "v3-blosc", "v3-default"] {
        let loaded = load_zarr_group(tmp.path().join(name), MissingChunks::Refuse).unwrap();
        let timestamp = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!((loaded.number(), loaded.info.timestamp), (7, timestamp), "{name}");
        assert_eq!(loaded.metadata().float("val_loss"), Some(0.25));
        assert_eq!(loaded.metadata().len(), 2, "{:?}", loaded.metadata());
        for number in [0, 1, 3, 4, 6] {
            let tensor = loaded.model().unwrap().tensor(format!("layer.{number}")).unwrap();
            assert_eq!(tensor.shape(), [7, 5]);
            let whole = |value: f64| if [3, 4].contains(&number) { value.floor() } else { value };
            let expected: Vec<f64> =
                (0..35).map(|i| whole(f64::from(number) + 0.25 * f64::from(i))).collect();
            assert_eq!(floats(tensor), expected, "{name} {number}");
        }
        let half = loaded.model().unwrap().tensor("layer.2").unwrap();
        assert_eq!((half.dtype().name(), half.data()[..2].to_vec()), ("float16", vec![0, 0x40]));
        let flags = loaded.model().unwrap().tensor("layer.5").unwrap().to_vec::<bool>().unwrap();
        assert!(flags.into_iter().all(|flag| flag));
        let step = loaded.model().unwrap().tensor("step").unwrap();
        assert_eq!((step.shape(), step.to_vec::<i32>().unwrap()), (&[][..], vec![42]));
        let optimizer = loaded.optimizer().unwrap();
        let moments = optimizer.dict("state").unwrap().dict("0").unwrap();
        assert_eq!(floats(moments.tensor("exp_avg").unwrap()), [9.0, 9.25, 9.5, 9.75]);
    }
    holes(&tmp.path().join("v3-holes"));
    damage(&tmp.path().join("v3-blosc"));
}

/// A chunk that zarr-python omitted and one that was lost look the same, so the caller has to choose.
fn holes(path: &Path) {
    let error = load_zarr_group(path, MissingChunks::Refuse).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    let loaded = load_zarr_group(path, MissingChunks::Fill).unwrap();
    let values = floats(loaded.model().unwrap().tensor("layer.0").unwrap());
    assert_eq!((values[0], values[1..].iter().sum::<f64>()), (1.0, 0.0));
}

fn damage(path: &Path) {
    let refuse = |what: &str| {
        let error = load_zarr_group(path, MissingChunks::Refuse).unwrap_err();
        assert!(error.damage().is_some(), "{what}: {error}");
    };
    let array = path.join("model/layer.0");
    let metadata = fs::read(array.join("zarr.json")).unwrap();
    let text = String::from_utf8(metadata.clone()).unwrap();
    for (from, to) in [("\"node_type\": \"array\"", "]"), ("7", "7000000000")] {
        fs::write(array.join("zarr.json"), text.replacen(from, to, 1)).unwrap();
        refuse(from);
    }
    // An element type that this version does not know is not damage.
    fs::write(array.join("zarr.json"), text.replacen("float32", "string", 1)).unwrap();
    let error = load_zarr_group(path, MissingChunks::Refuse).unwrap_err();
    assert!(matches!(error, LoadError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("elements of type `string`"), "{error}");
    fs::write(array.join("zarr.json"), metadata).unwrap();
    let chunk = array.join("c/1/0");
    let bytes = fs::read(&chunk).unwrap();
    fs::write(&chunk, &bytes[..bytes.len() / 2]).unwrap();
    refuse("half a chunk");
    fs::remove_file(&chunk).unwrap();
    refuse("no chunk");
    std::os::unix::fs::symlink(array.join("c/0/0"), &chunk).unwrap();
    refuse("a link");
    assert!(load_zarr_group(path.join("none"), MissingChunks::Refuse).is_err());
}

/// They do not interfere: they are not listed, not replaced, and not counted by retention.
#[test]
fn a_directory_with_old_checkpoints_can_be_used_for_new_ones() {
    let tmp = tempfile::tempdir().unwrap();
    readers::run("zarr_groups.py", &[tmp.path()]);
    let dir = tmp.path();
    fs::rename(dir.join("v3-blosc"), dir.join("epoch_0007")).unwrap();
    let settings = CheckpointSettings::default().keep_last(1);
    let manager = CheckpointManager::open(dir, settings).unwrap();
    let model = || StateDict::from_iter([("w", Tensor::scalar(1.0_f32))]);
    for epoch in [7, 8] {
        let ticket = manager.save(Snapshot::new(epoch).model(model())).unwrap();
        ticket.wait(Duration::from_mins(1)).unwrap();
        assert_eq!(manager.list_checkpoints().unwrap(), [epoch]);
    }
    let old = load_zarr_group(dir.join("epoch_0007"), MissingChunks::Refuse).unwrap();
    assert_eq!(old.model().unwrap().len(), 8);
}
