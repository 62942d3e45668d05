//! What a commit does, step by step, on a storage that writes it down.
//!
//! The power cuts of `MemoryFs` move a directory in one piece and never reorder two moves, as
//! file systems with a journal do. These orders do not rest on that: each name is durable before the next
//! step counts on it, and what was replaced is taken apart only when it has no public name any more,
//! whatever is written down first.

use qstore_storage::{
    Entry, Error, FileHandle, FileSystem, Lock, MemoryFs, Metadata, Operation, Result, StagedDir,
    StagedFile,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

#[derive(Debug, Clone)]
struct Recorder {
    memory: MemoryFs,
    steps: Arc<Mutex<Vec<String>>>,
    can_exchange: bool,
    /// Where threads that are about to create a directory wait for each other.
    meeting: Arc<OnceLock<Barrier>>,
}

impl Recorder {
    fn new(can_exchange: bool) -> Self {
        Self {
            memory: MemoryFs::new(),
            steps: Arc::default(),
            can_exchange,
            meeting: Arc::default(),
        }
    }

    fn note(&self, what: &str, path: &Path) {
        self.steps.lock().unwrap().push(format!("{what} {}", path.display()));
    }

    fn shared(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    /// The steps so far; from now on they are counted anew.
    fn steps(&self) -> Vec<String> {
        std::mem::take(&mut *self.steps.lock().unwrap())
    }
}

#[derive(Debug)]
struct RecordedFile {
    inner: Box<dyn FileHandle>,
    path: PathBuf,
    recorder: Recorder,
}

impl FileHandle for RecordedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> Result<()> {
        self.recorder.note("sync", &self.path);
        self.inner.sync()
    }
}

impl FileSystem for Recorder {
    fn create_new(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        let inner = self.memory.create_new(path)?;
        Ok(Box::new(RecordedFile { inner, path: path.into(), recorder: self.clone() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn FileHandle>> {
        self.memory.open(path)
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        self.memory.metadata(path)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.memory.resolve(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.memory.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        if let Some(meeting) = self.meeting.get() {
            meeting.wait();
        }
        self.memory.create_dir(dir)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.memory.link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.note("rename to", to);
        self.memory.rename(from, to)
    }

    fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        if !self.can_exchange {
            return Err(Error::new(Operation::Exchange, other, ErrorKind::Unsupported.into()));
        }
        self.note("exchange with", other);
        self.memory.exchange(one, other)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.note("remove", path);
        self.memory.remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.note("remove", dir);
        self.memory.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.note("sync", dir);
        self.memory.sync_dir(dir)
    }

    fn copy_mode(&self, from: &Path, to: &Path) -> Result<()> {
        self.memory.copy_mode(from, to)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>> {
        self.memory.try_lock(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.memory.lock(path)
    }
}

fn stage(recorder: &Recorder) -> StagedDir {
    let staged = StagedDir::create(&recorder.shared(), Path::new("/c/.staging/new")).unwrap();
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
    recorder.create_dir(Path::new("/c")).unwrap();
    recorder.create_dir(Path::new("/c/.staging")).unwrap();
    recorder
}

#[test]
fn a_file_is_synced_then_named_then_its_name_is_synced() {
    let recorder = Recorder::new(true);
    let mut staged = StagedFile::create(&recorder.shared(), Path::new("/.tmp")).unwrap();
    staged.append(b"bytes").unwrap();
    drop(staged.commit(Path::new("/file")).unwrap());
    assert_eq!(recorder.steps(), ["sync /.tmp", "rename to /file", "sync /"]);
}

#[test]
fn a_tree_is_synced_from_the_bottom_then_named_then_its_name_is_synced() {
    let steps = commit(&with_directories(true));
    let expected =
        ["sync /c/.staging/new/w", "sync /c/.staging/new", "rename to /c/tree", "sync /c"];
    assert_eq!(steps, expected);
}

#[test]
fn a_tree_that_is_replaced_goes_when_neither_directory_can_bring_it_back() {
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

/// Both find that there is no directory, and both create it.
#[test]
fn two_threads_that_need_the_same_new_directories_are_both_right() {
    let recorder = with_directories(true);
    let path = Path::new("/c/.staging/new");
    let staged = StagedDir::create(&recorder.shared(), path).unwrap();
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
        let file = recorder.memory.open(&Path::new("/c/tree").join(name)).unwrap();
        assert_eq!(file.len().unwrap(), name.len() as u64);
    }
}
