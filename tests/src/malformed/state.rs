//! Untrusted states: safetensors files, and tensor names.

use qstore::schema::{Key, State, StateDict, Tensor};
use qstore::storage::{EntryKind, FileSystem, MemoryFs, read_all};
use qstore::zarr::{export_safetensors_in, import_safetensors_in};
use qstore::{CheckpointManager, CheckpointSettings, Layout, Snapshot};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "/model.safetensors";
const DIR: &str = "/run/checkpoints";

pub(super) fn read_safetensors(bytes: &[u8]) {
    let memory = MemoryFs::new();
    let file = memory.create_new(Path::new(FILE)).expect("the memory is empty");
    file.write_at(0, bytes).expect("the memory has room");
    let Ok(state) = import_safetensors_in(&memory, FILE) else { return };
    // The tensors cannot be larger than the file.
    assert!(state.tensor_bytes() <= bytes.len() as u64);
    // What was read can be written, unless one of its names is not allowed, and read again.
    let storage: Arc<dyn FileSystem> = Arc::new(memory);
    if export_safetensors_in(&storage, "/again.safetensors", &state).is_ok() {
        let again = import_safetensors_in(&*storage, "/again.safetensors");
        let again = again.expect("what was written can be read");
        assert_eq!(again.tensor_bytes(), state.tensor_bytes());
    }
}

pub(super) fn safetensors_seeds() -> Vec<Vec<u8>> {
    let flat = StateDict::from_iter([
        ("w", Tensor::from_vec(vec![0.5_f32; 12], [3, 4]).expect("twelve elements")),
        ("b", Tensor::scalar(1_i64)),
    ]);
    let mut nested = StateDict::from_iter([("layers", State::List(vec![flat.clone().into()]))]);
    nested.insert("lr", 1e-3);
    nested.insert(7, "seven");
    [flat, nested].iter().map(written).collect()
}

fn written(state: &StateDict) -> Vec<u8> {
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    export_safetensors_in(&storage, FILE, state).expect("it can be written");
    read_all(&memory, Path::new(FILE)).expect("it is there")
}

/// Names, one per line: a line `>` starts a dict under the preceding name, `<` ends it, and `#` before a number
/// makes it an integer key.
pub(super) fn read_names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Each name is stored several times and gets a directory, which takes time.
    let mut lines = text.split('\n').take(40);
    let state = dict(&mut lines, 0);
    for layout in [Layout::SingleFile, Layout::Directory] {
        let memory = MemoryFs::new();
        memory.create_dir(Path::new("/run")).expect("the memory is empty");
        memory.create_dir(Path::new("/run/other")).expect("the memory is empty");
        let settings = CheckpointSettings::default().workers(1).layout(layout);
        let manager = CheckpointManager::open_in(Arc::new(memory.clone()), DIR, settings);
        let manager = manager.expect("the memory has a directory");
        let Ok(ticket) = manager.save(Snapshot::new(1).model(state.clone())) else { continue };
        let patience = Duration::from_secs(60);
        ticket.wait(patience).expect("an accepted state is saved");
        let loaded = manager.load(1).expect("a saved state can be loaded");
        assert_eq!(loaded.model(), Some(&state));
        // Nothing is outside the directory, and only plain names are in it.
        let lies_there: Vec<_> = memory.list(Path::new("/run")).expect("it is there");
        assert_eq!(lies_there.len(), 2, "{lies_there:?}");
        assert!(memory.list(Path::new("/run/other")).expect("it is there").is_empty());
        assert_eq!(memory.list(Path::new("/")).expect("it is there").len(), 1);
        check_names(&memory, Path::new(DIR));
    }
}

fn check_names(memory: &MemoryFs, dir: &Path) {
    for entry in memory.list(dir).expect("it is there") {
        let name = entry.name.to_str().expect("plain letters");
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-%~".contains(&b);
        assert!(name.bytes().all(is_plain) && name.len() <= 255, "{name:?}");
        if entry.kind == EntryKind::Dir {
            check_names(memory, &dir.join(name));
        }
    }
}

fn dict<'t>(lines: &mut impl Iterator<Item = &'t str>, depth: usize) -> StateDict {
    let (mut dict, mut last) = (StateDict::new(), None);
    while let Some(line) = lines.next() {
        match (line, last.take()) {
            ("<", _) if depth > 0 => break,
            (">", Some(key)) if depth < 60 => {
                dict.insert(key, self::dict(lines, depth + 1));
            }
            _ => {
                let number = line.strip_prefix('#').and_then(|number| number.parse().ok());
                let key = number.map_or_else(|| Key::Name(line.into()), Key::Int);
                dict.insert(key.clone(), Tensor::scalar(depth as u8));
                last = Some(key);
            }
        }
    }
    dict
}

pub(super) fn names_seeds() -> Vec<Vec<u8>> {
    let long = "x".repeat(300);
    [
        "weight\nWEIGHT\nlayer.0.weight\n#0\n0\n>\nexp_avg\n<\nbias",
        "..\n../../etc/passwd\n/\n.\na/b\nC:\\x\nnul\0byte\nCON\nzarr.json\nmanifest.json\n__init__",
        "größe\n\u{202e}reversed\n%2F\n~2\na~2\n \n\t",
        &long,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
