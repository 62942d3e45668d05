//! What others put under the name of a checkpoint while a manager runs: it is neither replaced nor removed, at
//! whatever moment it appears, even if the manager is killed then.

use crate::states::Durable;
use qstore_schema::{StateDict, Tensor};
use qstore_storage::testing::{Step, Verdict, WatchedFs, Watcher, Written};
use qstore_storage::{FileSystem, MemoryFs, Operation, read_all};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, SaveError, Snapshot};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const DIR: &str = "/c";
const NOTES: &[u8] = b"someone else's notes";

fn settings(layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().layout(layout).keep_last(1).workers(1)
}

fn open(files: &Arc<dyn FileSystem>, layout: Layout) -> CheckpointManager {
    CheckpointManager::open_in(Arc::clone(files), DIR, settings(layout)).unwrap()
}

fn save(manager: &CheckpointManager, epoch: u64) -> Result<(), SaveError> {
    let model = StateDict::from_iter([("w", Tensor::scalar(epoch))]);
    let ticket = manager.save(Snapshot::new(epoch).model(model))?;
    ticket.wait(Duration::from_secs(60)).map(drop)
}

fn write(memory: &MemoryFs, path: &str, bytes: &[u8]) {
    memory.create_new(Path::new(path)).unwrap().write_at(0, bytes).unwrap();
}

/// Puts a file with notes under a name, in one step, whatever has the name.
fn put_file(memory: &MemoryFs, name: &str) {
    write(memory, "/notes", NOTES);
    memory.rename(Path::new("/notes"), Path::new(name)).unwrap();
}

/// The same with a directory; what has the name is moved out of the way.
fn put_dir(memory: &MemoryFs, name: &str) {
    memory.create_dir(Path::new("/notes")).unwrap();
    write(memory, "/notes/notes", NOTES);
    let _ = memory.rename(Path::new(name), Path::new("/moved"));
    memory.rename(Path::new("/notes"), Path::new(name)).unwrap();
}

/// Puts something there before an operation, and lets every operation fail from another one on, as if the process
/// was killed.
#[derive(Debug)]
struct Intruder {
    memory: MemoryFs,
    name: &'static str,
    put: fn(&MemoryFs, &str),
    at: usize,
    dies_at: usize,
    is_armed: AtomicBool,
    count: AtomicUsize,
    /// Whether the file system can exchange names.
    can_exchange: bool,
}

impl Watcher for Intruder {
    fn before(&self, step: &Step<'_>) -> Verdict {
        if !self.is_armed.load(SeqCst) {
            return Verdict::Proceed;
        }
        if !self.can_exchange && step.operation == Operation::Exchange {
            return Verdict::Fail(io::ErrorKind::Unsupported.into(), Written::None);
        }
        let count = self.count.fetch_add(1, SeqCst);
        if count == self.at {
            (self.put)(&self.memory, self.name);
        }
        if count >= self.dies_at {
            return Verdict::Fail(io::Error::other("killed"), Written::None);
        }
        Verdict::Proceed
    }
}

/// A save of a number, in a directory that has checkpoint 1, beside someone who puts something under a name.
struct Case {
    layout: Layout,
    saves: u64,
    name: &'static str,
    put: fn(&MemoryFs, &str),
}

const CASES: [Case; 4] = [
    // A file under the name that is saved, new or not, and under that of the checkpoint that is removed then.
    Case { layout: Layout::SingleFile, saves: 1, name: "/c/epoch_0001.zarr.zip", put: put_file },
    Case { layout: Layout::SingleFile, saves: 2, name: "/c/epoch_0002.zarr.zip", put: put_file },
    Case { layout: Layout::SingleFile, saves: 2, name: "/c/epoch_0001.zarr.zip", put: put_file },
    Case { layout: Layout::Directory, saves: 2, name: "/c/epoch_0001", put: put_dir },
];

/// What a run left.
struct Left {
    memory: MemoryFs,
    has_come: bool,
    has_died: bool,
}

fn run(case: &Case, at: usize, dies_at: usize) -> Left {
    let memory = MemoryFs::new();
    let intruder = Intruder {
        memory: memory.clone(),
        name: case.name,
        put: case.put,
        at,
        dies_at,
        is_armed: AtomicBool::new(false),
        count: AtomicUsize::new(0),
        can_exchange: true,
    };
    let files = WatchedFs::over(Arc::new(memory.clone()), intruder);
    let manager = open(&files.shared(), case.layout);
    save(&manager, 1).unwrap();
    files.watcher().is_armed.store(true, SeqCst);
    let _ = save(&manager, case.saves);
    drop(manager);
    let count = files.watcher().count.load(SeqCst);
    Left { memory, has_come: count > at, has_died: count > dies_at }
}

/// Where the notes are, of the names that they may have.
fn find(memory: &MemoryFs, case: &Case) -> Option<String> {
    let names = ["", ".displaced-1"].map(|end| format!("{}{end}", case.name));
    names.into_iter().find(|name| {
        let inside = format!("{name}/notes");
        [&**name, &inside]
            .iter()
            .any(|path| read_all(memory, Path::new(path)).is_ok_and(|bytes| bytes == NOTES))
    })
}

#[test]
fn what_appears_under_a_name_at_any_operation_keeps_the_name() {
    let mut cases = 0;
    for (number, case) in CASES.iter().enumerate() {
        for at in 0.. {
            let left = run(case, at, usize::MAX);
            if !left.has_come {
                break;
            }
            cases += 1;
            assert_eq!(find(&left.memory, case).as_deref(), Some(case.name), "{number}, {at}");
            let staging = left.memory.metadata(Path::new("/c/.staging")).unwrap();
            assert!(staging.is_none(), "{number}, {at}: something is left over");
        }
    }
    println!("{cases} cases: something else under a name");
    assert!(cases > 150, "{cases} cases");
}

#[test]
fn what_a_killed_process_had_in_its_hands_gets_its_name_back_or_one_next_to_it() {
    let (mut cases, mut displaced) = (0, 0);
    for (number, case) in
        CASES.iter().enumerate().filter(|(_, case)| case.layout == Layout::SingleFile)
    {
        for at in 0.. {
            if !run(case, at, usize::MAX).has_come {
                break;
            }
            for dies_at in at..at + 8 {
                let left = run(case, at, dies_at);
                if !left.has_died {
                    break;
                }
                cases += 1;
                let files: Arc<dyn FileSystem> = Arc::new(left.memory.clone());
                let manager = open(&files, case.layout);
                let found = find(&left.memory, case);
                let found = found.unwrap_or_else(|| panic!("{number}, {at}, {dies_at}: lost"));
                displaced += usize::from(found != case.name);
                save(&manager, 9).unwrap();
                drop(manager);
                assert!(find(&left.memory, case).is_some(), "{number}, {at}, {dies_at}: removed");
                let staging = left.memory.metadata(Path::new("/c/.staging")).unwrap();
                assert!(staging.is_none(), "{number}, {at}, {dies_at}: something is left over");
            }
        }
    }
    println!("{cases} cases: killed with something else in its hands, {displaced} displaced");
    assert!(cases > 500 && displaced > 0, "{cases} cases, {displaced} displaced");
}

#[test]
fn a_file_that_is_not_a_checkpoint_is_refused_by_name_until_it_is_moved_away() {
    let other_zip = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for foreign in [NOTES, other_zip, &[0; 200], b"PAR1PAR1"] {
        for epoch in [1, 2] {
            let memory = MemoryFs::new();
            let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
            let manager = open(&files, Layout::SingleFile);
            save(&manager, 1).unwrap();
            let name = format!("/c/epoch_000{epoch}.zarr.zip");
            write(&memory, "/notes", foreign);
            memory.rename(Path::new("/notes"), Path::new(&name)).unwrap();
            let error = save(&manager, epoch).unwrap_err().to_string();
            assert!(error.contains(&name) && error.contains("not written by Q-Store"), "{error}");
            assert_eq!(read_all(&memory, Path::new(&name)).unwrap(), foreign);
            memory.rename(Path::new(&name), Path::new("/notes")).unwrap();
            save(&manager, epoch).unwrap();
            manager.verify(epoch).unwrap();
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_replaced_by_a_save_of_its_number() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let manager = open(&files, Layout::SingleFile);
    let path = Path::new("/c/epoch_0001.zarr.zip");
    save(&manager, 1).unwrap();
    let bytes = read_all(&memory, path).unwrap();
    let (half, mut torn) = (bytes[..bytes.len() / 2].to_vec(), bytes.clone());
    torn[..40].fill(0); // its end is whole
    for damaged in [half, torn, Vec::new()] {
        memory.remove_file(path).unwrap();
        write(&memory, "/c/epoch_0001.zarr.zip", &damaged);
        assert!(manager.verify(1).is_err());
        save(&manager, 1).unwrap();
        manager.verify(1).unwrap();
    }
}

#[test]
fn a_checkpoint_that_was_exchanged_after_the_scan_is_not_removed() {
    // A whole checkpoint of the same number, but not the one that is due.
    for layout in [Layout::SingleFile, Layout::Directory] {
        let memory = MemoryFs::new();
        let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let other = CheckpointManager::open_in(Arc::clone(&files), "/other", settings(layout));
        let other = other.unwrap();
        save(&other, 7).unwrap();
        save(&other, 1).unwrap();
        drop(other);
        let is_file = layout == Layout::SingleFile;
        let name = if is_file { "/c/epoch_0001.zarr.zip" } else { "/c/epoch_0001" };
        let mut left_alone = 0;
        for at in 0.. {
            let memory = memory.power_cut();
            let swap: fn(&MemoryFs, &str) = |memory, name| {
                let from = name.replace("/c/", "/other/");
                memory.exchange(Path::new(&from), Path::new(name)).unwrap_or_else(|_| {
                    memory.rename(Path::new(&from), Path::new(name)).unwrap();
                });
            };
            let intruder = Intruder {
                memory: memory.clone(),
                name,
                put: swap,
                at,
                dies_at: usize::MAX,
                is_armed: AtomicBool::new(false),
                count: AtomicUsize::new(0),
                can_exchange: true,
            };
            let files = WatchedFs::over(Arc::new(memory.clone()), intruder);
            let manager = open(&files.shared(), layout);
            save(&manager, 1).unwrap();
            files.watcher().is_armed.store(true, SeqCst);
            let _ = save(&manager, 2);
            if files.watcher().count.load(SeqCst) <= at {
                break;
            }
            left_alone += usize::from(memory.metadata(Path::new(name)).unwrap().is_some());
        }
        println!("{left_alone} cases: {name} exchanged");
        assert!(left_alone > 5, "{layout:?}: {left_alone}");
    }
}

#[test]
fn without_an_exchange_a_file_is_identified_directly_before_it_is_replaced() {
    let memory = MemoryFs::new();
    let intruder = Intruder {
        memory: memory.clone(),
        name: "",
        put: put_file,
        at: usize::MAX,
        dies_at: usize::MAX,
        is_armed: AtomicBool::new(true),
        count: AtomicUsize::new(0),
        can_exchange: false,
    };
    let files = WatchedFs::over(Arc::new(memory.clone()), intruder);
    let manager = open(&files.shared(), Layout::SingleFile);
    for epoch in [1, 1, 2, 2] {
        save(&manager, epoch).unwrap();
        manager.verify(epoch).unwrap();
    }
    put_file(&memory, "/c/epoch_0002.zarr.zip");
    assert!(save(&manager, 2).unwrap_err().to_string().contains("not written by Q-Store"));
    assert!(memory.metadata(Path::new("/c/.staging")).unwrap().is_none());
    drop(manager);
    let files: Arc<dyn FileSystem> = Arc::new(memory);
    open(&files, Layout::SingleFile).save(Snapshot::new(3)).unwrap().durable();
}
