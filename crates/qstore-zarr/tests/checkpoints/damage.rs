//! Every bit flipped and every length truncated: loading returns an error or exactly what was saved,
//! never a panic, never wrong values.

use crate::states::{is_same, model, optimizer};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{EntryKind, FileHandle, FileSystem, MemoryFs, read_all};
use qstore_zarr::{
    Checkpoint, CheckpointManager, CheckpointSettings, Compression, Layout, LoadError, Snapshot,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const FILE: &str = "/c/epoch_0001.zarr.zip";
const DIRECTORY: &str = "/c/epoch_0001";

struct Victim {
    memory: MemoryFs,
    manager: CheckpointManager,
    whole: Checkpoint,
}

impl Victim {
    fn new(compression: Compression, layout: Layout) -> Self {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default()
            .workers(1)
            .chunk_bytes(64)
            .compression(compression)
            .layout(layout);
        let manager =
            CheckpointManager::open_in(Arc::new(memory.clone()), Path::new("/c"), settings)
                .unwrap();
        let mut state = model(1);
        state.insert("empty", Tensor::from_vec(Vec::<u8>::new(), [0, 3]).unwrap());
        let metadata = StateDict::from_iter([("loss", f64::NAN)]);
        let ticket = manager
            .save(Snapshot::new(1).model(state).optimizer(optimizer()).metadata(metadata))
            .unwrap();
        ticket.wait(Duration::from_mins(1)).unwrap();
        let whole = manager.load(1).unwrap();
        Self { memory, manager, whole }
    }

    /// The files of the checkpoint.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut left = vec![PathBuf::from(DIRECTORY)];
        if self.memory.metadata(Path::new(FILE)).unwrap().is_some() {
            return vec![FILE.into()];
        }
        while let Some(dir) = left.pop() {
            for entry in self.memory.list(&dir).unwrap() {
                let path = dir.join(&entry.name);
                if entry.kind == EntryKind::Dir { left.push(path) } else { files.push(path) }
            }
        }
        files
    }

    fn file(&self) -> Box<dyn FileHandle> {
        self.memory.open(Path::new(FILE)).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        read_all(&self.memory, Path::new(FILE)).unwrap()
    }

    /// Reads the checkpoint as it is now; returns whether that was refused.
    fn is_refused(&self, what: &str) -> bool {
        let verified = self.manager.verify(1);
        match self.manager.load(1) {
            Ok(loaded) => {
                assert!(verified.is_ok(), "{what}: loaded, but not verified");
                let same = |one: &StateDict, other: &StateDict| {
                    is_same(&one.clone().into(), &other.clone().into())
                };
                assert!(same(loaded.model().unwrap(), self.whole.model().unwrap()), "{what}");
                let optimizers = (&loaded.optimizer(), &self.whole.optimizer());
                let (Some(one), Some(other)) = optimizers else { panic!("{what}: no optimizer") };
                assert!(same(one, other), "{what}");
                assert!(same(loaded.metadata(), self.whole.metadata()), "{what}");
                false
            }
            Err(error) => {
                assert!(verified.is_err(), "{what}: verified, but not loaded");
                let is_typed = matches!(
                    error,
                    LoadError::Damaged { .. } | LoadError::UnsupportedVersion { .. }
                );
                assert!(is_typed, "{what}: {error}");
                true
            }
        }
    }
}

/// With compression, every bit of a byte. Without, one bit and all eight at once, which keeps the run
/// short.
fn flips(compression: Compression, position: usize) -> Vec<u8> {
    match compression {
        Compression::NONE => vec![1 << (position % 8), 0xff],
        _ => (0..8).map(|bit| 1 << bit).collect(),
    }
}

#[test]
fn a_flipped_bit_is_always_detected() {
    let mut count = 0;
    for layout in [Layout::SingleFile, Layout::Directory] {
        for compression in [Compression::ZSTD, Compression::NONE] {
            let victim = Victim::new(compression, layout);
            for path in victim.files() {
                let bytes = read_all(&victim.memory, &path).unwrap();
                let file = victim.memory.open(&path).unwrap();
                for (position, byte) in bytes.iter().enumerate() {
                    for flip in flips(compression, position) {
                        count += 1;
                        file.write_at(position as u64, &[byte ^ flip]).unwrap();
                        let what = format!("byte {position} of {}, {compression}", path.display());
                        assert!(victim.is_refused(&what), "{what}: not detected");
                    }
                    file.write_at(position as u64, &[*byte]).unwrap();
                }
            }
            assert!(!victim.is_refused("the whole checkpoint"));
        }
    }
    println!("{count} cases: changes detected");
}

#[test]
fn a_missing_truncated_added_or_swapped_file_of_a_directory_is_detected() {
    let victim = Victim::new(Compression::ZSTD, Layout::Directory);
    let memory = &victim.memory;
    let files = victim.files();
    for path in &files {
        let what = path.display();
        let aside = Path::new("/aside");
        memory.rename(path, aside).unwrap();
        assert!(victim.is_refused(&format!("{what} is missing")));
        let lists_it = victim.manager.list_checkpoints().unwrap() == [1];
        assert_eq!(lists_it, !path.ends_with("manifest.json"), "listing reads only the manifest");
        memory.create_dir(path).unwrap();
        assert!(
            matches!(
                victim.manager.load(1),
                Err(LoadError::Damaged { .. } | LoadError::Repository(_))
            ),
            "{what} is a directory"
        );
        memory.remove_dir(path).unwrap();
        memory.rename(aside, path).unwrap();

        let file = memory.open(path).unwrap();
        let bytes = read_all(memory, path).unwrap();
        for len in [0, bytes.len() - 1, bytes.len() + 1] {
            file.set_len(len as u64).unwrap();
            assert!(victim.is_refused(&format!("{what} has {len} bytes")));
            file.write_at(0, &bytes).unwrap();
            file.set_len(bytes.len() as u64).unwrap();
        }
        let extra = path.with_file_name("extra");
        memory.create_new(&extra).unwrap();
        assert!(victim.manager.verify(1).is_err(), "{} is not detected", extra.display());
        memory.remove_file(&extra).unwrap();
    }
    for (one, other) in files.iter().zip(&files[1..]) {
        memory.exchange(one, other).unwrap();
        let is_refused = victim.is_refused("two files that were swapped");
        let same = read_all(memory, one).unwrap() == read_all(memory, other).unwrap();
        assert!(is_refused || same, "{} and {}", one.display(), other.display());
        memory.exchange(one, other).unwrap();
    }
    assert!(!victim.is_refused("the whole checkpoint"));
}

#[test]
fn a_truncated_or_extended_file_is_refused() {
    let victim = Victim::new(Compression::LZ4, Layout::SingleFile);
    let file = victim.file();
    let bytes = victim.bytes();
    let len = bytes.len() as u64;
    for cut in (0..len).rev() {
        file.set_len(cut).unwrap();
        assert!(victim.is_refused(&format!("truncated to {cut}")));
        assert_eq!(victim.manager.list_checkpoints().unwrap(), [0_u64; 0]);
    }
    println!("{len} cases: lengths refused");
    file.write_at(0, &bytes).unwrap();
    file.set_len(len + 1).unwrap();
    assert!(victim.is_refused("extended by a byte"));
    file.set_len(len).unwrap();
    assert!(!victim.is_refused("the whole file"));
}

#[test]
fn the_damaged_tensor_is_named() {
    let victim = Victim::new(Compression::ZSTD, Layout::SingleFile);
    let file = victim.file();
    // The first entry is the first chunk of the model's first tensor; its data begins at 64.
    file.write_at(66, &[victim.bytes()[66] ^ 1]).unwrap();
    let error = victim.manager.load(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/c/epoch_0001.zarr.zip is damaged: entry `model/w/c/0/0` of tensor `model/w` does not \
         match its checksum; restore it or load another checkpoint"
    );
    assert_eq!(victim.manager.list_checkpoints().unwrap(), [1], "listing reads no tensors");
}

/// The crc32c of bytes that end with their own crc32c is the same number for all of them. Regression:
/// the manifest records that number, so a chunk in the place of another passes for it. Both checksums
/// are correct, and the tensors have each other's values.
#[test]
fn a_chunk_in_the_place_of_another_is_detected() {
    let memory = MemoryFs::new();
    let settings = CheckpointSettings::default().compression(Compression::NONE);
    let storage = Arc::new(memory.clone());
    let manager = CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap();
    let tensor = |byte| Tensor::from_vec(vec![byte; 1_000], [1_000]).unwrap();
    let state = StateDict::from_iter([("one", tensor(1_u8)), ("other", tensor(2_u8))]);
    manager.save(Snapshot::new(1).model(state)).unwrap().wait(Duration::from_mins(1)).unwrap();

    let bytes = read_all(&memory, Path::new(FILE)).unwrap();
    let chunk_of = |byte: u8| {
        let start = bytes.windows(1_000).position(|window| window.iter().all(|b| *b == byte));
        let start = start.unwrap();
        (start as u64, &bytes[start..start + 1_004])
    };
    let ((one_at, one), (other_at, other)) = (chunk_of(1), chunk_of(2));
    let file = memory.open(Path::new(FILE)).unwrap();
    file.write_at(one_at, other).unwrap();
    file.write_at(other_at, one).unwrap();
    let error = manager.load(1).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("one"), "the tensor is named: {error}");
}
