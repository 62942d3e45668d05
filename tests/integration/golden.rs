//! Golden files: this version reads what any earlier version wrote, value by value, and refuses damaged files with the
//! same errors.

use qstore_tests::golden::{EXPECTED, check_checkpoint, check_metrics};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The directories of all versions, each with its list of expected contents.
fn versions() -> Vec<(PathBuf, Map<String, Value>)> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let version = |dir: PathBuf| {
        let text = fs::read_to_string(dir.join(EXPECTED)).unwrap();
        (dir, serde_json::from_str(&text).unwrap())
    };
    fs::read_dir(golden).unwrap().map(|entry| version(entry.unwrap().path())).collect()
}

#[test]
fn every_golden_metrics_file_is_read_or_refused_as_expected() {
    let mut count = 0;
    for (root, expected) in versions() {
        for (name, expected) in expected.iter().filter(|(name, _)| name.starts_with("metrics/")) {
            check_metrics(&root, name, expected);
            count += 1;
        }
    }
    println!("{count} cases: files");
    assert!(count >= 16);
}

#[test]
fn every_golden_checkpoint_is_loaded_or_refused_as_expected() {
    let mut count = 0;
    for (root, expected) in versions() {
        let checkpoints = expected.iter().filter(|(name, _)| name.starts_with("checkpoints/"));
        for (name, expected) in checkpoints {
            check_checkpoint(&root, name, expected);
            count += 1;
        }
    }
    println!("{count} cases: checkpoints");
    assert!(count >= 16);
}

/// Every file is used by a test, and none is large.
#[test]
fn every_golden_file_is_in_the_list() {
    fn files(dir: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    for (root, expected) in versions() {
        let mut found = Vec::new();
        files(&root, &mut found);
        let mut used = BTreeSet::new();
        for file in found.iter().filter(|file| !file.ends_with(EXPECTED)) {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let is_part =
                |entry: &&String| name == **entry || name.starts_with(&format!("{entry}/"));
            let entry = expected.keys().find(is_part);
            used.insert(entry.unwrap_or_else(|| panic!("{name} is not in the list")));
            assert!(fs::metadata(file).unwrap().len() < 25_000, "{name} is large");
        }
        assert_eq!(used.len(), expected.len(), "a listed file is missing");
    }
}
