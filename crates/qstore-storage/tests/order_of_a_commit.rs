//! The steps of a commit, in order, as a file system that records them sees them.
//!
//! The power cuts of `MemoryFs` move a directory in one piece and never reorder two moves, as file systems
//! with a journal do. The orders asserted here do not rely on that: each name is durable before the next
//! step depends on it, and what was replaced is removed only once it has no public name any more, whatever
//! reaches the disk first.

use qstore_storage::testing::Watched;
use qstore_storage::{FileSystem, MemoryFs, Operation, StagedDir, StagedFile};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

/// A file system in memory that records its steps and syncs no tree as a whole.
struct Recorder {
    files: Watched,
    steps: Arc<Mutex<Vec<String>>>,
    /// Where threads that are about to create a directory wait for each other.
    meeting: Arc<OnceLock<Barrier>>,
}

impl Recorder {
    fn new(can_exchange: bool) -> Self {
        let files = Watched::new(&MemoryFs::new());
        files.sync_files_one_by_one();
        let steps = Arc::<Mutex<Vec<String>>>::default();
        let meeting = Arc::<OnceLock<Barrier>>::default();
        files.set({
            let (steps, meeting) = (Arc::clone(&steps), Arc::clone(&meeting));
            move |_, operation, path| {
                let verb = match operation {
                    Operation::Exchange if !can_exchange => {
                        return Err(ErrorKind::Unsupported.into());
                    }
                    Operation::CreateDir => {
                        meeting.get().map(Barrier::wait);
                        return Ok(());
                    }
                    Operation::Sync | Operation::SyncDir => "sync",
                    Operation::Rename => "rename to",
                    Operation::Exchange => "exchange with",
                    Operation::Remove => "remove",
                    _ => return Ok(()),
                };
                steps.lock().unwrap().push(format!("{verb} {}", path.display()));
                Ok(())
            }
        });
        Self { files, steps, meeting }
    }

    /// The steps since the last call.
    fn steps(&self) -> Vec<String> {
        std::mem::take(&mut *self.steps.lock().unwrap())
    }
}

fn stage(recorder: &Recorder) -> StagedDir {
    let staged = StagedDir::create(&recorder.files.shared(), Path::new("/c/.staging/new")).unwrap();
    let file = staged.create_file(Path::new("w/0")).unwrap();
    file.write_at(0, b"bytes").unwrap();
    file.sync().unwrap();
    staged
}

fn commit(recorder: &Recorder) -> Vec<String> {
    let staged = stage(recorder);
    recorder.steps();
    staged.commit(Path::new("/c/tree"), Path::new("/c/.staging/old")).unwrap();
    recorder.steps()
}

fn with_directories(can_exchange: bool) -> Recorder {
    let recorder = Recorder::new(can_exchange);
    recorder.files.create_dir(Path::new("/c")).unwrap();
    recorder.files.create_dir(Path::new("/c/.staging")).unwrap();
    recorder
}

#[test]
fn a_file_is_synced_then_renamed_then_its_name_is_synced() {
    let recorder = Recorder::new(true);
    let mut staged = StagedFile::create(&recorder.files.shared(), Path::new("/.tmp")).unwrap();
    staged.append(b"bytes").unwrap();
    drop(staged.commit(Path::new("/file")).unwrap());
    assert_eq!(recorder.steps(), ["sync /.tmp", "rename to /file", "sync /"]);
}

#[test]
fn a_file_is_synced_then_exchanged_then_its_name_is_synced_then_the_old_one_is_removed() {
    let recorder = with_directories(true);
    recorder.files.create_new(Path::new("/c/file")).unwrap();
    let new = Path::new("/c/.staging/new");
    let mut staged = StagedFile::create(&recorder.files.shared(), new).unwrap();
    staged.append(b"bytes").unwrap();
    recorder.steps();
    assert!(staged.exchange(Path::new("/c/file"), |_| Ok(true)).unwrap());
    drop(staged);
    let expected =
        ["sync /c/.staging/new", "exchange with /c/file", "sync /c", "remove /c/.staging/new"];
    assert_eq!(recorder.steps(), expected);
}

#[test]
fn a_tree_is_synced_bottom_up_then_renamed_then_its_name_is_synced() {
    let steps = commit(&with_directories(true));
    let expected =
        ["sync /c/.staging/new/w", "sync /c/.staging/new", "rename to /c/tree", "sync /c"];
    assert_eq!(steps, expected);
}

#[test]
fn a_replaced_tree_is_removed_only_after_both_directories_are_durable() {
    let recorder = with_directories(true);
    commit(&recorder);
    assert_eq!(
        commit(&recorder)[2..],
        [
            "exchange with /c/tree",
            "sync /c",
            "sync /c/.staging",
            "remove /c/.staging/new/w/0",
            "remove /c/.staging/new/w",
            "remove /c/.staging/new",
        ]
    );
}

#[test]
fn without_an_exchange_each_name_is_durable_before_the_next_step() {
    let recorder = with_directories(false);
    commit(&recorder);
    assert_eq!(
        commit(&recorder)[2..],
        [
            "sync /c",
            "rename to /c/.staging/old",
            "sync /c/.staging",
            "rename to /c/tree",
            "sync /c",
            "sync /c/.staging",
            "remove /c/.staging/old/w/0",
            "remove /c/.staging/old/w",
            "remove /c/.staging/old",
        ]
    );
}

/// Both find the directory missing, and both create it.
#[test]
fn two_threads_may_need_the_same_new_directories_at_once() {
    let recorder = with_directories(true);
    let path = Path::new("/c/.staging/new");
    let staged = StagedDir::create(&recorder.files.shared(), path).unwrap();
    recorder.meeting.set(Barrier::new(2)).unwrap();
    thread::scope(|scope| {
        for name in ["a/b/0", "a/b/1"] {
            let staged = &staged;
            scope.spawn(move || {
                let file = staged.create_file(Path::new(name)).unwrap();
                file.write_at(0, name.as_bytes()).unwrap();
                file.sync().unwrap();
            });
        }
    });
    recorder.steps();
    drop(staged.commit(Path::new("/c/tree"), Path::new("/c/.staging/old")).unwrap());
    let synced = ["sync /c/.staging/new/a/b", "sync /c/.staging/new/a", "sync /c/.staging/new"];
    assert_eq!(recorder.steps()[..3], synced);
    for name in ["a/b/0", "a/b/1"] {
        let file = recorder.files.open(&Path::new("/c/tree").join(name)).unwrap();
        assert_eq!(file.len().unwrap(), name.len() as u64);
    }
}
