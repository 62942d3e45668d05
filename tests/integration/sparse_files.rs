//! Files of holes: they claim terabytes and take a few kilobytes. Whatever reads them answers with an error of
//! its own or with the contents, and the process goes on.

use qstore::parquet::MetricsFile;
use qstore::zarr::{LoadError, MissingChunks, import_safetensors, load_zarr_group};
use qstore::{
    CheckpointManager, CheckpointSettings, Checkpoints, Layout, Snapshot, StateDict, Tensor,
};
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// More than the memory of any machine, and less than the longest file of a file system.
const LEN: u64 = 1 << 43;

/// Makes a file that long, with holes after what it has.
fn stretch(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(LEN).unwrap();
}

fn is_about_size(error: &LoadError) -> bool {
    let text = error.to_string();
    error.is_exhausted() || text.contains("more than the limit of")
}

#[test]
fn a_sparse_safetensors_file_is_an_error_of_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("m.safetensors");
    let header =
        format!("{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{LEN}],\"data_offsets\":[0,{LEN}]}}}}");
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(&path, &bytes).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(bytes.len() as u64 + LEN).unwrap();
    match import_safetensors(&path) {
        Err(error) => assert!(error.is_exhausted() && error.damage().is_none(), "{error}"),
        // A system that promises any amount; nothing of it is touched.
        Ok(state) => assert_eq!(state.tensor_bytes(), LEN),
    }
}

#[test]
fn sparse_documents_and_chunks_of_a_zarr_group_are_errors_of_their_own() {
    let tmp = tempfile::tempdir().unwrap();
    let group = r#"{"zarr_format":3,"node_type":"group","attributes":{}}"#;
    let array = r#"{"zarr_format":3,"node_type":"array","shape":[4],"data_type":"uint8",
        "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[4]}},
        "chunk_key_encoding":{"name":"default"},"fill_value":0,"codecs":[{"name":"bytes"}]}"#;
    let v2 = r#"{"zarr_format":2}"#;
    let write = |name: &str, text: &str| {
        let path = tmp.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let load = || load_zarr_group(tmp.path(), MissingChunks::Refuse);
    let files = [
        ("zarr.json", group),
        ("model/zarr.json", group),
        ("model/w/zarr.json", array),
        ("model/w/c/0", "abcd"),
    ];
    let write_all = || files.iter().for_each(|(name, text)| write(name, text));
    write_all();
    assert_eq!(load().unwrap().model().unwrap().tensor("w").unwrap().data()[..], *b"abcd");
    for (name, _) in files {
        stretch(&tmp.path().join(name));
        let error = load().unwrap_err();
        // Where any amount of memory is promised, the chunk is read and has the wrong length.
        assert!(is_about_size(&error) || name.ends_with("c/0"), "{name}: {error}");
        write_all();
    }
    fs::remove_file(tmp.path().join("zarr.json")).unwrap();
    write(".zgroup", v2);
    write(".zattrs", "{}");
    for name in [".zgroup", ".zattrs"] {
        stretch(&tmp.path().join(name));
        assert!(is_about_size(&load().unwrap_err()), "{name}");
        write(name, v2);
    }
}

#[test]
fn every_file_of_a_checkpoint_may_be_stretched_and_none_ends_the_process() {
    for layout in [Layout::SingleFile, Layout::Directory] {
        let tmp = tempfile::tempdir().unwrap();
        let settings = CheckpointSettings::default().layout(layout);
        let mut manager = CheckpointManager::open(tmp.path(), settings).unwrap();
        let model = StateDict::from_iter([("w", Tensor::scalar(1.0_f32))]);
        let ticket = manager.save(Snapshot::new(1).model(model)).unwrap();
        ticket.wait(Duration::from_mins(1)).unwrap();
        manager.close(Duration::from_mins(1)).unwrap();
        let files = files_below(tmp.path());
        assert!(!files.is_empty());
        for path in files {
            let bytes = fs::read(&path).unwrap();
            stretch(&path);
            let checkpoints = Checkpoints::open(tmp.path()).unwrap();
            let is_policy = path.parent() == Some(tmp.path()) && layout == Layout::Directory;
            let loaded = checkpoints.load(1);
            assert!(loaded.is_err() || is_policy || bytes.is_empty(), "{}", path.display());
            let _ = (checkpoints.verify(1), checkpoints.load_latest(), checkpoints.policy());
            // A manager reads what describes the repository, and collects what is left over.
            drop(CheckpointManager::open(tmp.path(), CheckpointSettings::default().layout(layout)));
            fs::write(&path, bytes).unwrap();
        }
        assert!(Checkpoints::open(tmp.path()).unwrap().load(1).is_ok());
    }
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_sparse_metrics_file_is_an_error() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("m.parquet");
    fs::write(&path, "PAR1").unwrap();
    stretch(&path);
    assert!(MetricsFile::open(&path).is_err());
    // A footer that claims as much as its length field can say.
    use std::os::unix::fs::FileExt;
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"\xff\xff\xff\xffPAR1", LEN - 8).unwrap();
    assert!(MetricsFile::open(&path).is_err());
}
