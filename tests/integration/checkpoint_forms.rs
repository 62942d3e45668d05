//! Zarr groups in every form that zarr-python writes: read exactly, or refused with a reason that is not
//! damage.

use qstore::zarr::{LoadError, MissingChunks, load_zarr_group};
use qstore::{State, StateDict, Tensor};
use qstore_tests::readers;
use std::fs;
use std::path::{Path, PathBuf};

fn groups(dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), path);
    let mut groups: Vec<_> = entries.map(named).collect();
    groups.sort();
    groups
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.dtype().name() {
        "float32" => tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
        "float64" => tensor.to_vec::<f64>().unwrap(),
        "int32" => tensor.to_vec::<i32>().unwrap().into_iter().map(f64::from).collect(),
        "int64" => tensor.to_vec::<i64>().unwrap().into_iter().map(|v| v as f64).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn every_form_is_read_exactly_or_refused_as_unknown() {
    let tmp = tempfile::tempdir().unwrap();
    readers::run("zarr_forms.py", &[tmp.path()]);
    let read = groups(&tmp.path().join("read"));
    assert_eq!(read.len(), 26);
    for (name, path) in read {
        let loaded = load_zarr_group(&path, MissingChunks::Refuse)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(loaded.number(), 7, "{name}");
        let found = numbers(loaded.model().unwrap().tensor("w").unwrap());
        let first = if name == "v3-sharded-holes" { 60 } else { 0 };
        let expected = |at: usize| if at < first { 0.0 } else { at as f64 };
        assert!(found.iter().enumerate().all(|(at, found)| *found == expected(at)), "{name}");
        if name.ends_with("words") {
            words(loaded.metadata());
        }
    }
    let refused = groups(&tmp.path().join("refused"));
    assert_eq!(refused.len(), 15);
    for (name, path) in refused {
        let error = load_zarr_group(&path, MissingChunks::Refuse).unwrap_err();
        assert!(matches!(error, LoadError::Unsupported { .. }), "{name}: {error}");
        let text = error.to_string();
        let what = name.rsplit('-').next().unwrap();
        let what = match what {
            "text" | "struct" => "elements of type",
            other => other,
        };
        assert!(text.contains("`model/w`") && text.contains(what), "{name}: {text}");
        for leaked in ["feature", "damaged", "restore", "plugin"] {
            assert!(!text.contains(leaked), "{name}: {text}");
        }
    }
    damaged_shards(&tmp.path().join("read/v3-sharded"));
    lost_arrays(&tmp.path().join("read/v3-words"));
}

fn words(metadata: &StateDict) {
    assert_eq!(metadata.float("best"), Some(f64::INFINITY));
    assert_eq!(metadata.float("worst"), Some(f64::NEG_INFINITY));
    assert!(metadata.float("loss").unwrap().is_nan());
    assert_eq!(metadata.text("text"), Some("NaN, Infinity"));
    let list = metadata.dict("nested").unwrap().list("list").unwrap();
    assert!(matches!(list[1], State::Float(number) if number.is_nan()));
    assert_eq!(list[2].as_dict().unwrap().float("x"), Some(f64::NEG_INFINITY));
}

/// A shard that was changed is damage, never a panic and never a wrong value.
fn damaged_shards(path: &Path) {
    let shard = path.join("model/w/c/0/0/0");
    let whole = fs::read(&shard).unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let (index, sum) = (whole.len() - 4 - 4 * 16, whole.len() - 4);
    let sealed = |mut bytes: Vec<u8>| {
        let crc32c = crc32c::crc32c(&bytes[index..sum]);
        bytes[sum..].copy_from_slice(&crc32c.to_le_bytes());
        bytes
    };
    let mut changed = vec![whole[..whole.len() / 2].to_vec(), Vec::new()];
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        changed.push(bytes);
    }
    // An index whose checksum is right, and whose offsets are beyond the shard or overflow.
    for number in [u64::MAX - 1, 1 << 40, u64::MAX / 2] {
        for field in 0..8 {
            let mut bytes = whole.clone();
            bytes[index + 8 * field..][..8].copy_from_slice(&number.to_le_bytes());
            changed.push(sealed(bytes));
        }
    }
    let good = load_zarr_group(path, MissingChunks::Refuse);
    assert!(good.is_ok());
    for bytes in changed {
        fs::write(&shard, &bytes).unwrap();
        let error = load_zarr_group(path, MissingChunks::Refuse).err();
        let is_damage = error.as_ref().is_some_and(|error| error.damage().is_some());
        // Only the index has a checksum, so a flipped bit of a value can pass.
        assert!(is_damage || error.is_none(), "{error:?}");
    }
    let _ = std::panic::take_hook();
}

/// The consolidated metadata is a second list of the arrays: what only it has was lost.
fn lost_arrays(path: &Path) {
    let root = path.join("zarr.json");
    let text = fs::read_to_string(&root).unwrap();
    let consolidated = |name: &str, kind: &str| {
        let list = format!(
            "\"consolidated_metadata\":{{\"kind\":\"inline\",\"must_understand\":false,\
             \"metadata\":{{\"{name}\":{{\"node_type\":\"{kind}\"}}}}}}"
        );
        let end = text.rfind('}').unwrap();
        fs::write(&root, format!("{},{list}}}", text[..end].trim_end().trim_end_matches(',')))
            .unwrap();
        load_zarr_group(path, MissingChunks::Fill)
    };
    assert!(consolidated("model/w", "array").is_ok());
    assert!(consolidated("elsewhere/w", "array").is_ok(), "what is not loaded is not compared");
    assert!(consolidated("model/gone", "group").is_ok(), "an empty group holds nothing to lose");
    for lost in ["model/gone", "optimizer/state/0/exp_avg"] {
        let error = consolidated(lost, "array").unwrap_err();
        assert!(error.damage().is_some() && error.to_string().contains(lost), "{error}");
    }
    fs::remove_file(&root).unwrap();
    let error = load_zarr_group(path, MissingChunks::Refuse).unwrap_err();
    assert!(error.to_string().contains("it is not a Zarr group"), "{error}");
}
