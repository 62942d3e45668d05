//! A manager whose directory is renamed or removed while it lives, and whose names are taken by others: it
//! touches nothing of a run that has the name now, and replaces nothing that is not a checkpoint.

use crate::states::Durable;
use qstore_schema::{StateDict, Tensor};
use qstore_storage::testing::{Step, Verdict, WatchedFs, Watcher};
use qstore_storage::{FileSystem, LocalFs, MemoryFs, Operation, read_all, remove_dir_all};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, Snapshot};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const LAYOUTS: [Layout; 2] = [Layout::SingleFile, Layout::Directory];

fn settings(layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().layout(layout).keep_last(1).workers(1)
}

fn snapshot(epoch: u64, seed: i64) -> Snapshot {
    Snapshot::new(epoch).model(StateDict::from_iter([("w", Tensor::scalar(seed))]))
}

fn open(files: &Arc<dyn FileSystem>, dir: &Path, layout: Layout) -> CheckpointManager {
    CheckpointManager::open_in(Arc::clone(files), dir, settings(layout)).unwrap()
}

#[test]
fn a_manager_whose_directory_was_renamed_goes_on_in_it_and_never_touches_a_new_run() {
    for layout in LAYOUTS {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let (run, kept) = (Path::new("/run"), Path::new("/kept"));
        let old = open(&files, run, layout);
        old.save(snapshot(1, 1)).unwrap().durable();
        files.rename(run, kept).unwrap();
        let new = open(&files, run, layout);
        for epoch in 1..=3 {
            new.save(snapshot(epoch, 10 + epoch as i64)).unwrap().durable();
            // It keeps one: the new run has fewer epochs, and none of them is the old run's to remove.
            old.save(snapshot(epoch + 5, 20 + epoch as i64)).unwrap().durable();
        }
        assert_eq!(new.list_checkpoints().unwrap(), [3]);
        assert_eq!(old.list_checkpoints().unwrap(), [8]);
        let model = |seed: i64| StateDict::from_iter([("w", Tensor::scalar(seed))]);
        assert_eq!(new.load(3).unwrap().model(), Some(&model(13)));
        assert_eq!(old.load(8).unwrap().model(), Some(&model(23)));
        drop((old, new));
        let names = |dir: &Path| files.list(dir).unwrap().len();
        assert_eq!(names(run), names(kept), "nothing is left behind in either");
    }
}

#[test]
fn a_manager_whose_directory_was_removed_says_so_and_never_touches_a_new_run() {
    for layout in LAYOUTS {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let run = Path::new("/run");
        let old = open(&files, run, layout);
        old.save(snapshot(1, 1)).unwrap().durable();
        remove_dir_all(&*files, run).unwrap();
        let new = open(&files, run, layout);
        new.save(snapshot(1, 10)).unwrap().durable();
        for epoch in 2..4 {
            let saved = old.save(snapshot(epoch, 2));
            let saved = saved.and_then(|ticket| ticket.wait(Duration::from_secs(60)));
            let error = saved.unwrap_err().to_string();
            assert!(error.contains("/run was removed while it was in use"), "{error}");
        }
        assert_eq!(new.list_checkpoints().unwrap(), [1]);
        assert!(old.list_checkpoints().unwrap().is_empty());
        new.verify(1).unwrap();
    }
}

/// Exchanges the directory for one with another run's checkpoints before one operation.
#[derive(Debug)]
struct Thief {
    root: PathBuf,
    at: usize,
    removes: bool,
    count: AtomicUsize,
    /// The number of the operation that opened the directory.
    opened: AtomicUsize,
}

impl Watcher for Thief {
    fn before(&self, step: &Step<'_>) -> Verdict {
        let (number, run) = (self.count.fetch_add(1, SeqCst), self.root.join("run"));
        if step.operation == Operation::Open && step.path == run {
            self.opened.fetch_min(number, SeqCst);
        }
        if number == self.at {
            if self.removes {
                fs::remove_dir_all(&run).unwrap();
            } else {
                fs::rename(&run, self.root.join("kept")).unwrap();
            }
            fs::rename(self.root.join("other"), run).unwrap();
        }
        match step.operation {
            Operation::Sync | Operation::SyncDir => Verdict::Pretend,
            _ => Verdict::Proceed,
        }
    }
}

/// Every file below a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Whether files that are open keep their directory from being removed, as on FUSE and NFS, which keep them under
/// hidden names in it.
fn keeps_open_files() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (below, file) = (dir.path().join("below"), dir.path().join("below/file"));
    fs::create_dir(&below).unwrap();
    let open = fs::File::create(file).unwrap();
    let is_kept = fs::remove_dir_all(&below).is_err();
    drop(open);
    is_kept
}

#[test]
fn a_directory_exchanged_at_any_operation_keeps_every_byte_of_the_other_run() {
    let mut cases = 0;
    let can_remove = !keeps_open_files();
    if !can_remove {
        println!("not tested: a removed directory, where files that are open keep it");
    }
    for (layout, removes) in
        LAYOUTS.into_iter().flat_map(|layout| [(layout, false), (layout, true)])
    {
        if removes && !can_remove {
            continue;
        }
        for at in (0..).step_by(if removes { 3 } else { 1 }) {
            let tmp = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(tmp.path()).unwrap();
            fs::create_dir(root.join("run")).unwrap();
            // Another run with the same epochs, which the policy of the first one would not keep.
            let local: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
            let keeps_all = settings(layout).keep_last(9);
            let other = CheckpointManager::open_in(local, root.join("other"), keeps_all).unwrap();
            for epoch in 1..=3 {
                other.save(snapshot(epoch, 10)).unwrap().durable();
            }
            drop(other);
            let (run, kept) = (root.join("run"), root.join("kept"));
            let expected = contents(&root.join("other"));
            let (count, opened) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
            let thief = Thief { root: root.clone(), at, removes, count, opened };
            let files = WatchedFs::over(Arc::new(LocalFs::new()), thief);
            let mut saved = Vec::new();
            if let Ok(manager) = CheckpointManager::open_in(files.shared(), &run, settings(layout))
            {
                for epoch in 1..=3 {
                    let ticket = manager.save(snapshot(epoch, 20));
                    let outcome = ticket.and_then(|ticket| ticket.wait(Duration::from_secs(60)));
                    saved.push(outcome.is_ok());
                }
            }
            let Thief { count, opened, .. } = files.watcher();
            if count.load(SeqCst) <= at {
                break;
            }
            if at <= opened.load(SeqCst) {
                continue; // it has opened the other run, which is then its own
            }
            cases += 1;
            let found = contents(&run);
            for (path, bytes) in &expected {
                let path = run.join(path.strip_prefix(root.join("other")).unwrap());
                assert_eq!(found.get(&path), Some(bytes), "{layout:?} {at}: {}", path.display());
            }
            assert_eq!(found.len(), expected.len(), "{layout:?} {at}: something was added");
            if !removes {
                assert_eq!(
                    saved, [true; 3],
                    "{layout:?} {at}: a renamed directory is still its own"
                );
                let kept = CheckpointManager::open(&kept, settings(layout)).unwrap();
                assert_eq!(kept.list_checkpoints().unwrap(), [3]);
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > if can_remove { 200 } else { 100 }, "{cases} cases");
}

#[test]
fn a_link_under_the_name_of_a_checkpoint_is_not_replaced() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, notes) = (tmp.path().join("run"), tmp.path().join("notes"));
    let manager = CheckpointManager::open(&dir, settings(Layout::SingleFile)).unwrap();
    fs::write(&notes, b"someone else's").unwrap();
    let name = dir.join("epoch_0001.zarr.zip");
    std::os::unix::fs::symlink(&notes, &name).unwrap();
    let saved =
        manager.save(snapshot(1, 1)).and_then(|ticket| ticket.wait(Duration::from_secs(60)));
    let error = saved.unwrap_err().to_string();
    assert!(error.contains("was not written by Q-Store"), "{error}");
    assert_eq!(fs::read_link(&name).unwrap(), notes);
    let local = LocalFs::new();
    assert_eq!(read_all(&local, &notes).unwrap(), b"someone else's");
}
