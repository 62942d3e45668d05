//! Several workers writing one directory: every file is present and durable no matter which worker wrote
//! it, and a failure in any worker ends the save just as it would with a single worker.

use crate::states::Durable;
use crate::states::{assert_same, model};
use crate::watched::Watched;
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{EntryKind, FileSystem, MemoryFs, Operation, read_all};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, Snapshot};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const DIR: &str = "/c";
const MANIFEST: &str = "manifest.json";

fn settings(workers: usize) -> CheckpointSettings {
    CheckpointSettings::default().layout(Layout::Directory).workers(workers).chunk_bytes(256)
}

fn open(storage: Arc<dyn FileSystem>, settings: CheckpointSettings) -> CheckpointManager {
    CheckpointManager::open_in(storage, Path::new(DIR), settings).unwrap()
}

/// Three nested groups with `tensors` tensors each. Every other tensor is the same for all seeds.
fn state(seed: usize, tensors: usize) -> StateDict {
    let level = |name: &str| {
        let tensor = |number: usize| {
            let shift = if number.is_multiple_of(2) { seed } else { 0 };
            let values: Vec<f32> = (0..100).map(|i| (i * number + shift) as f32).collect();
            (format!("{name}{number}"), Tensor::from_vec(values, [100]).unwrap())
        };
        (0..tensors).map(tensor).collect::<StateDict>()
    };
    let (mut outer, mut middle, inner) = (level("outer"), level("middle"), level("inner"));
    middle.insert("inner", inner);
    outer.insert("middle", middle);
    outer
}

fn save(manager: &CheckpointManager, epoch: u64, state: &StateDict) -> u64 {
    let saved = manager.save(Snapshot::new(epoch).model(state.clone())).unwrap().durable();
    saved.linked_bytes
}

/// One storage for each way to sync a tree.
fn storages() -> [(MemoryFs, Watched); 2] {
    [true, false].map(|syncs_trees| {
        let memory = MemoryFs::new();
        let watched = Watched::new(&memory);
        if !syncs_trees {
            watched.sync_files_one_by_one();
        }
        (memory, watched)
    })
}

#[test]
fn checkpoints_written_by_many_workers_are_whole_and_survive_a_power_cut() {
    for workers in [1, 2, 4, 200] {
        for (memory, watched) in storages() {
            let manager = open(watched.shared(), settings(workers).deduplicate(true));
            for seed in 1..3 {
                let state = state(seed, 40);
                let linked = save(&manager, seed as u64, &state);
                assert_eq!(linked > 0, seed > 1);
                for left in [memory.clone(), memory.power_cut(), memory.power_cut_after_names()] {
                    let left = open(Arc::new(left), settings(1));
                    left.verify(seed as u64).unwrap();
                    assert_same(left.load(seed as u64).unwrap().model().unwrap(), &state);
                }
            }
        }
    }
}

/// Every file of a checkpoint, with timestamps removed from the files that contain them.
fn files(memory: &MemoryFs, root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in memory.list(&dir).unwrap() {
            let path = dir.join(entry.name);
            if entry.kind == EntryKind::Dir {
                dirs.push(path);
                continue;
            }
            let mut bytes = read_all(memory, &path).unwrap();
            if path.parent() == Some(root) {
                let mut document: Value = serde_json::from_slice(&bytes).unwrap();
                timeless(&mut document);
                bytes = document.to_string().into_bytes();
            }
            files.insert(path, bytes);
        }
    }
    files
}

/// Removes the times from the root document, and from the manifest what depends on them.
fn timeless(document: &mut Value) {
    if let Some(attributes) = document.get_mut("attributes") {
        attributes["timestamp"].take();
        attributes["save_duration_ms"].take();
    }
    if let Some(entries) = document.get_mut("entries").and_then(Value::as_array_mut) {
        let root = entries.pop().unwrap();
        assert_eq!(root[0], "zarr.json", "the manifest lists the root document last");
        document["crc32c"].take();
    }
}

#[test]
fn the_number_of_workers_changes_neither_the_files_nor_the_manifest_order() {
    let written = [1, 2, 4, 7].map(|workers| {
        let memory = MemoryFs::new();
        let manager = open(Arc::new(memory.clone()), settings(workers).deduplicate(true));
        for seed in 1..3 {
            save(&manager, seed as u64, &state(seed, 30));
        }
        [1, 2].map(|epoch| files(&memory, &Path::new(DIR).join(format!("epoch_000{epoch}"))))
    });
    assert!(written[0][0].len() > 270, "{}", written[0][0].len());
    for other in &written[1..] {
        for (one, other) in written[0].iter().zip(other) {
            assert!(one.keys().eq(other.keys()));
            for (path, bytes) in one {
                assert!(other[path] == *bytes, "{}", path.display());
            }
        }
    }
}

/// Each worker creates the files of the chunks it compresses, in parallel with the others. The manifest
/// is created after all other files.
#[test]
fn files_are_created_by_several_threads_and_the_manifest_last() {
    let watched = Watched::new(&MemoryFs::new());
    let manager = open(watched.shared(), settings(4));
    let created = Arc::new(Mutex::new(Vec::new()));
    let (threads, seen) = (Arc::new(Meeting::default()), Arc::clone(&created));
    watched.set(move |_, operation, path| {
        let is_in_the_tree = path.strip_prefix("/c/.staging").is_ok_and(has_depth);
        if operation == Operation::Create && is_in_the_tree {
            seen.lock().unwrap().push(path.to_path_buf());
            threads.wait_for(4);
        }
        Ok(())
    });
    save(&manager, 0, &state(1, 20));
    let created = created.lock().unwrap();
    assert!(created.len() > 180, "{}", created.len());
    let last = &created[created.len() - 2..];
    assert!(last[0].ends_with("zarr.json") && last[1].ends_with(MANIFEST), "{last:?}");
    assert_eq!(last[0].parent(), last[1].parent());
}

/// A point where threads wait for each other, once.
#[derive(Default)]
struct Meeting {
    here: Mutex<HashSet<ThreadId>>,
    came: Condvar,
}

impl Meeting {
    fn wait_for(&self, count: usize) {
        let mut here = self.here.lock().unwrap();
        here.insert(thread::current().id());
        self.came.notify_all();
        let is_alone = |here: &mut HashSet<ThreadId>| here.len() < count;
        let waited = self.came.wait_timeout_while(here, LONG, is_alone).unwrap();
        assert!(!waited.1.timed_out(), "the other threads did not arrive");
    }
}

/// Whether the path is inside a staged checkpoint.
fn has_depth(staged: &Path) -> bool {
    staged.components().count() > 1
}

/// Fails operation `number` of this kind in the staging directory, once. The returned flag is set when
/// that has happened.
fn arm(watched: &Watched, kind: Operation, number: usize) -> Arc<AtomicBool> {
    let (count, has_struck) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let strikes = Arc::clone(&has_struck);
    watched.set(move |_, operation, path| {
        let is_staged = path.starts_with(Path::new(DIR).join(".staging"));
        if operation == kind && is_staged && count.fetch_add(1, SeqCst) == number {
            strikes.store(true, SeqCst);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    has_struck
}

#[test]
fn after_any_failure_in_a_worker_nothing_new_is_listed_and_the_next_save_works() {
    let kinds = [Operation::CreateDir, Operation::Create, Operation::Write, Operation::Sync];
    let mut failures = 0;
    for (memory, watched) in storages() {
        let settings = settings(4).deduplicate(true).keep_last(2);
        let manager = open(watched.shared(), settings);
        let (first, second) = (state(1, 4), state(2, 4));
        save(&manager, 1, &first);
        for kind in kinds {
            for number in 0.. {
                let what = format!("{kind} {number}");
                let has_struck = arm(&watched, kind, number);
                let outcome =
                    manager.save(Snapshot::new(2).model(second.clone())).unwrap().wait(LONG);
                watched.set(|_, _, _| Ok(()));
                if !has_struck.load(SeqCst) {
                    outcome.unwrap();
                    break;
                }
                if outcome.is_ok() {
                    // The directory was for a link, and a file that cannot be linked is written instead.
                    assert_eq!(kind, Operation::CreateDir);
                    assert_same(manager.load(2).unwrap().model().unwrap(), &second);
                    forget(&memory, 2);
                    continue;
                }
                failures += 1;
                let staging = memory.list(&Path::new(DIR).join(".staging"));
                assert!(staging.is_err(), "{what}: {staging:?}");
                for left in [memory.clone(), memory.power_cut()] {
                    let left = open(Arc::new(left), self::settings(1));
                    assert_eq!(left.list_checkpoints().unwrap(), [1], "{what}");
                    left.verify(1).unwrap();
                    assert_same(left.load(1).unwrap().model().unwrap(), &first);
                }
            }
            // The last save of each kind succeeded.
            assert_eq!(manager.list_checkpoints().unwrap(), [1, 2]);
            assert_same(manager.load(2).unwrap().model().unwrap(), &second);
            // Remove it, so that the next failure hits the first save of this epoch.
            forget(&memory, 2);
        }
    }
    println!("{failures} cases");
    assert!(failures > 150, "{failures}");
}

fn forget(memory: &MemoryFs, epoch: u64) {
    let epoch = Path::new(DIR).join(format!("epoch_{epoch:04}"));
    qstore_storage::remove_dir_all(memory, &epoch).unwrap();
    memory.sync_dir(Path::new(DIR)).unwrap();
}

#[test]
fn a_failed_link_in_a_worker_only_costs_a_write() {
    for (memory, watched) in storages() {
        let manager = open(watched.shared(), settings(4).deduplicate(true));
        let (first, second) = (state(1, 4), state(2, 4));
        save(&manager, 1, &first);
        let all = save(&manager, 2, &second);
        for number in 0.. {
            forget(&memory, 2);
            let has_struck = arm(&watched, Operation::Link, number);
            let linked = save(&manager, 2, &second);
            watched.set(|_, _, _| Ok(()));
            let cut = open(Arc::new(memory.power_cut()), settings(1));
            cut.verify(2).unwrap();
            assert_same(cut.load(2).unwrap().model().unwrap(), &second);
            if !has_struck.load(SeqCst) {
                assert!(number > 10);
                assert_eq!(linked, all);
                break;
            }
            assert!(linked < all, "link {number}");
        }
    }
}

/// A worker that panics in the storage closes the manager; the next manager works.
#[test]
fn a_panic_in_a_worker_damages_nothing() {
    let watched = Watched::new(&MemoryFs::new());
    let manager = open(watched.shared(), settings(4));
    save(&manager, 1, &model(1));
    watched.set(|_, operation, path| {
        assert!(operation != Operation::Create || !path.ends_with("c.0"), "on purpose");
        Ok(())
    });
    manager.save(Snapshot::new(2).model(state(2, 4))).unwrap().wait(LONG).unwrap_err();
    watched.set(|_, _, _| Ok(()));
    assert_eq!(manager.list_checkpoints().unwrap(), [1]);
    let manager = open(watched.shared(), settings(4));
    save(&manager, 3, &state(3, 4));
    assert_same(manager.load(3).unwrap().model().unwrap(), &state(3, 4));
}
