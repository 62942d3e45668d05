//! Hostile names: whatever a key contains, the checkpoint stays one file inside its directory, and the
//! key comes back unchanged.

use crate::states::{assert_same, model};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{FileSystem, LocalFs};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Snapshot};
use std::time::Duration;

#[test]
fn hostile_names_stay_inside_and_come_back() {
    let names = names();
    assert!(names.len() >= 200, "{}", names.len());
    println!("{} cases", names.len());
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("checkpoints");
    let manager = CheckpointManager::open(&dir, CheckpointSettings::default()).unwrap();
    let numbered = names.iter().zip(0_i64..);
    let flat: StateDict = numbered.map(|(name, n)| (name.clone(), Tensor::scalar(n))).collect();
    let nested: StateDict = names.iter().map(|name| (name.clone(), model(1))).collect();
    let saved =
        manager.save(Snapshot::new(1).model(flat.clone()).optimizer(nested.clone())).unwrap();
    saved.wait(Duration::from_mins(1)).unwrap();
    let loaded = manager.load(1).unwrap();
    assert_same(loaded.model().unwrap(), &flat);
    assert_same(loaded.optimizer().unwrap(), &nested);
    let storage = LocalFs::new();
    assert_eq!(storage.list(tmp.path()).unwrap().len(), 1);
    assert_eq!(storage.list(&dir).unwrap().len(), 2, "the checkpoint and the description");
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = HOSTILE.iter().map(ToString::to_string).collect();
    names.extend((1..32_u8).map(|control| char::from(control).to_string()));
    for length in [100, 110, 111, 112, 119, 120, 121, 200, 255, 256, 300, 1000, 5000] {
        names.extend(["a", "A", "/", "é"].map(|text| text.repeat(length)));
        names.push(format!("{}x", "a".repeat(length)));
    }
    names.sort();
    names.dedup();
    names
}

#[rustfmt::skip]
const HOSTILE: &[&str] = &[
    ".", "..", "...", "../..", "../../etc/passwd", "/", "//", "/etc/passwd", "a/", "/a", "a//b",
    "a/b", "a/./b", "a/../b", "\\", "..\\..", "C:", "C:\\w", "\\\\server\\share", "~", "~root",
    "zarr.json", "ZARR.JSON", ".zarray", ".zgroup", ".zattrs", ".zmetadata", "manifest.json",
    "model", "optimizer", "c", "C", "c/0", "0", "00", "-1", "__", "__a", "_", "-", "--rm", "%",
    "%2E", "%2e", "%00", "%2F", "w~2", "w", "W", "w~3", "a\0b", "\0", "\n", "\r\n", "\t", " ",
    " a", "a ", "a.", "a..", "*", "?", "<", ">", "|", ":", "\"", "'", "$HOME", "$(id)", "`id`",
    ";", "&", "!", "#", "con", "CON", "con.txt", "nul", "NUL", "aux", "prn", "com1", "COM9",
    "lpt1", "LPT9.x", "ä", "a\u{308}", "ß", "ſ", "K", "\u{212a}", "İ", "ı", "日本語", "🦀",
    "\u{202e}abc", "\u{feff}", "\u{200b}", "\u{7f}", "\u{1b}[31m", "😀/😀", ".hidden", ".staging",
    ".qstore.lock", "epoch_0001.zarr.zip", "null", "true", "NaN",
];
