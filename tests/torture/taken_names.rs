//! T14: the names of a writer are taken away at every operation: its file, its lock, its directory.
//!
//! A run writes a metrics file on the real file system. Before operation number *n* someone else does one of the
//! things that people and their scripts do: they remove the directory, rename it and begin another run under its
//! name, put a copy, a link or a directory in place of the file, tidy up lock files. Afterwards:
//!
//! * not a byte that someone else put there has changed;
//! * every acknowledged row is published, or can still be saved elsewhere, and so can every row that waits;
//! * nothing is reported as written that is not;
//! * once the name is free again, writing resumes by itself.
//!
//! Where names cannot be exchanged, what appears between the last look and the rename is replaced, as documented;
//! these cases are not judged. Syncs only pretend, because no power is cut here.

use crate::trial::Trial;
use qstore::WriterSettings;
use qstore::buffer::Sink;
use qstore::parquet::{MetricsLog, WriteError};
use qstore::schema::Row;
use qstore::storage::{FileSystem, LocalFs, Lock, Operation};
use qstore_storage::testing::{Step, Verdict, WatchedFs, Watcher, Written};
use qstore_tests::parquet::integers;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const FLUSHES: i64 = 7;
const ROWS_A_FLUSH: i64 = 5;
const ROWS: i64 = FLUSHES * ROWS_A_FLUSH;
const NOTES: &[u8] = b"this belongs to someone else and must not change";
/// The first row of another writer; it writes three.
const OTHERS: i64 = 1_000;

/// What someone else does, in the directory above that of the run.
type Deed = fn(&Path, &mut Aftermath);

/// What someone else has left, and what must be true of it.
#[derive(Default)]
struct Aftermath {
    /// Files that must still hold exactly this.
    untouched: Vec<(PathBuf, Vec<u8>)>,
    /// Links that must still lead there.
    links: Vec<(PathBuf, PathBuf)>,
    /// Directories that must still be there.
    dirs: Vec<PathBuf>,
    /// What has to be removed for writing to resume.
    in_the_way: Option<PathBuf>,
    /// Another writer, which goes on.
    other: Option<MetricsLog<Row>>,
    /// The lock, which another writer has taken.
    lock: Option<Box<dyn Lock>>,
    /// Whether the rows that were published were destroyed by it.
    destroys: bool,
}

const DEEDS: [(&str, Deed); 20] = [
    ("directory-removed", |root, _| remove_dir(&root.join("run"))),
    ("directory-replaced", |root, after| {
        remove_dir(&root.join("run"));
        fs::create_dir(root.join("run")).unwrap();
        leave(after, root.join("run/metrics.parquet"), NOTES);
    }),
    ("directory-replaced-by-a-run", |root, after| {
        remove_dir(&root.join("run"));
        fs::create_dir(root.join("run")).unwrap();
        begin_another_run(root, after);
    }),
    ("directory-renamed", |root, _| fs::rename(root.join("run"), root.join("kept")).unwrap()),
    ("directory-renamed-and-replaced", |root, after| {
        fs::rename(root.join("run"), root.join("kept")).unwrap();
        fs::create_dir(root.join("run")).unwrap();
        leave(after, root.join("run/metrics.parquet"), NOTES);
    }),
    ("directory-renamed-and-replaced-by-a-run", |root, after| {
        fs::rename(root.join("run"), root.join("kept")).unwrap();
        fs::create_dir(root.join("run")).unwrap();
        begin_another_run(root, after);
    }),
    ("directory-renamed-and-linked", |root, _| {
        fs::rename(root.join("run"), root.join("kept")).unwrap();
        symlink("kept", root.join("run")).unwrap();
    }),
    ("directory-exchanged-for-a-file", |root, after| {
        fs::rename(root.join("run"), root.join("kept")).unwrap();
        leave(after, root.join("run"), NOTES);
    }),
    ("file-removed", |root, _| drop(fs::remove_file(file(root)))),
    ("another-file", |root, after| {
        fs::write(root.join("notes"), NOTES).unwrap();
        fs::rename(root.join("notes"), file(root)).unwrap();
        after.untouched.push((file(root), NOTES.to_vec()));
        after.in_the_way = Some(file(root));
    }),
    ("repaired-copy", |root, after| {
        // Cut by a byte: whether it is better is not the writer's to decide.
        let mut bytes = fs::read(file(root)).unwrap_or(NOTES.to_vec());
        bytes.pop();
        fs::write(root.join("copy"), &bytes).unwrap();
        fs::rename(root.join("copy"), file(root)).unwrap();
        after.untouched.push((file(root), bytes));
        after.in_the_way = Some(file(root));
    }),
    ("written-over", |root, after| {
        fs::write(file(root), NOTES).unwrap();
        after.untouched.push((file(root), NOTES.to_vec()));
        after.destroys = true;
    }),
    ("directory-in-its-place", |root, after| {
        let _ = fs::remove_file(file(root));
        fs::create_dir(file(root)).unwrap();
        after.dirs.push(file(root));
        after.in_the_way = Some(file(root));
    }),
    ("link-to-itself-elsewhere", |root, after| {
        let _ = fs::rename(file(root), root.join("moved.parquet"));
        link(root, after, &root.join("moved.parquet"));
    }),
    ("link-to-another", |root, after| {
        leave(after, root.join("notes"), NOTES);
        let _ = fs::remove_file(file(root));
        link(root, after, &root.join("notes"));
    }),
    ("second-name-of-another", |root, after| {
        leave(after, root.join("notes"), NOTES);
        let _ = fs::remove_file(file(root));
        fs::hard_link(root.join("notes"), file(root)).unwrap();
        after.untouched.push((file(root), NOTES.to_vec()));
        after.in_the_way = Some(file(root));
    }),
    ("second-name-of-it", |root, after| {
        if fs::hard_link(file(root), root.join("backup")).is_ok() {
            let bytes = fs::read(root.join("backup")).unwrap();
            after.untouched.push((root.join("backup"), bytes));
        }
    }),
    ("touched", |root, _| {
        if let Ok(file) = fs::File::options().write(true).open(file(root)) {
            file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
        }
    }),
    ("lock-removed", |root, _| drop(fs::remove_file(lock(root)))),
    ("lock-taken", |root, after| {
        let _ = fs::remove_file(lock(root));
        after.lock = LocalFs.try_lock(&lock(root)).unwrap_or(None);
    }),
];

fn file(root: &Path) -> PathBuf {
    root.join("run/metrics.parquet")
}

/// Whether opening the file would wait for the writer, which has a lease on it for the moment.
fn is_claimed(path: &Path) -> bool {
    /// `O_NONBLOCK`, which is the same on every Linux that we run on.
    const NONBLOCK: i32 = 0o4000;
    let opened = fs::File::options().read(true).custom_flags(NONBLOCK).open(path);
    opened.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn lock(root: &Path) -> PathBuf {
    root.join("run/.metrics.parquet.lock")
}

/// Removes it as `rm -rf` does, although the writer may create something in it meanwhile.
fn remove_dir(dir: &Path) {
    fs::remove_dir_all(dir).unwrap();
}

fn leave(after: &mut Aftermath, path: PathBuf, bytes: &[u8]) {
    fs::write(&path, bytes).unwrap();
    after.untouched.push((path, bytes.to_vec()));
}

fn link(root: &Path, after: &mut Aftermath, to: &Path) {
    symlink(to, file(root)).unwrap();
    after.links.push((file(root), to.to_path_buf()));
    after.in_the_way = Some(file(root));
}

fn begin_another_run(root: &Path, after: &mut Aftermath) {
    let mut other = MetricsLog::<Row>::open(file(root), WriterSettings::default())
        .expect("a new directory has no other writer");
    append(&mut other, OTHERS..OTHERS + 2);
    other.flush().expect("another writer is not disturbed");
    after.other = Some(other);
}

fn append(log: &mut MetricsLog<Row>, rows: std::ops::Range<i64>) {
    for n in rows {
        log.append(&Row::from([("n", n)]), Instant::now());
    }
}

/// What the file system of a run can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ability {
    All,
    NoExchange,
    NoExchangeNoLinks,
}

/// Does the deed before one operation.
struct Thief {
    root: PathBuf,
    at: AtomicUsize,
    deed: Deed,
    ability: Ability,
    count: AtomicUsize,
    aftermath: Mutex<Aftermath>,
    is_done: AtomicBool,
    /// Whether it was done where nothing can be proved: between the last look and a rename.
    is_in_the_window: AtomicBool,
}

impl std::fmt::Debug for Thief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thief").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Watcher for Thief {
    fn before(&self, step: &Step<'_>) -> Verdict {
        let number = self.count.fetch_add(1, SeqCst);
        let is_time = number == self.at.load(SeqCst);
        if is_time && is_claimed(&file(&self.root)) {
            // Someone else would wait until it can be opened; on this thread that would be a deadlock.
            self.at.store(number + 1, SeqCst);
        } else if is_time {
            (self.deed)(&self.root, &mut self.aftermath.lock().unwrap());
            self.is_done.store(true, SeqCst);
            self.is_in_the_window.store(step.operation == Operation::Rename, SeqCst);
        }
        match (step.operation, self.ability) {
            (Operation::Sync | Operation::SyncDir, _) => Verdict::Pretend,
            (Operation::Exchange, Ability::NoExchange | Ability::NoExchangeNoLinks)
            | (Operation::Link, Ability::NoExchangeNoLinks) => {
                Verdict::Fail(ErrorKind::Unsupported.into(), Written::None)
            }
            _ => Verdict::Proceed,
        }
    }
}

/// One case.
struct Case {
    name: String,
    settings: WriterSettings,
    ability: Ability,
    at: usize,
    deed: Deed,
}

pub(crate) fn run(trial: &Arc<Trial>) {
    let settings = WriterSettings::default().row_group_rows_max(15);
    let twin = settings.clone().twin_bytes_min(0).reuse_after(Duration::ZERO);
    let ways = [
        ("twin", twin.clone(), Ability::All),
        ("small", settings.clone(), Ability::All),
        ("copies", settings.clone().publish_by_copy(true), Ability::All),
        ("no-exchange", twin, Ability::NoExchange),
        ("no-links", settings, Ability::NoExchangeNoLinks),
    ];
    let mut cases = Vec::new();
    for (way, settings, ability) in ways {
        let operations = operations_of(&settings, ability);
        for (what, deed) in DEEDS {
            // In the quick form every fifth moment; each way begins with another one.
            let (first, step) = if trial.full { (0, 1) } else { (cases.len() % 5, 5) };
            for at in (first..operations).step_by(step) {
                let name = format!("{way}/{what}/{at}");
                cases.push(Case { name, settings: settings.clone(), ability, at, deed });
            }
        }
    }
    trial.plan(cases.len());
    trial.side_by_side(&cases, |case| trial.case(&case.name, || _ = one(case)));
}

fn operations_of(settings: &WriterSettings, ability: Ability) -> usize {
    let never: Deed = |_, _| ();
    let case = Case {
        name: String::new(),
        settings: settings.clone(),
        ability,
        at: usize::MAX,
        deed: never,
    };
    one(&case)
}

/// Runs one case; returns the number of operations.
fn one(case: &Case) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(root.join("run")).unwrap();
    let files = WatchedFs::over(
        Arc::new(LocalFs::new()),
        Thief {
            root: root.clone(),
            at: AtomicUsize::new(case.at),
            deed: case.deed,
            ability: case.ability,
            count: AtomicUsize::new(0),
            aftermath: Mutex::default(),
            is_done: AtomicBool::new(false),
            is_in_the_window: AtomicBool::new(false),
        },
    );
    let opened = MetricsLog::<Row>::open_in(files.shared(), file(&root), case.settings.clone());
    // If it is not opened, whatever was put there is not a metrics file, or there is no directory.
    if let Ok(log) = opened {
        write(log, &root, files.watcher());
    }
    let thief = files.watcher();
    let mut after = std::mem::take(&mut *thief.aftermath.lock().unwrap());
    if !thief.is_in_the_window.load(SeqCst) {
        check_others(&after);
    }
    if let Some(mut other) = after.other.take() {
        append(&mut other, OTHERS + 2..OTHERS + 3);
        other.close().expect("another writer is not disturbed");
        let found = integers(&fs::read(file(&root)).unwrap(), "n");
        assert_eq!(found, (OTHERS..OTHERS + 3).collect::<Vec<_>>(), "rows of the other writer");
    }
    thief.count.load(SeqCst)
}

/// Writes all rows and ends.
fn write(mut log: MetricsLog<Row>, root: &Path, thief: &Thief) {
    let mut acknowledged = 0;
    for flush in 1..=FLUSHES {
        append(&mut log, (flush - 1) * ROWS_A_FLUSH..flush * ROWS_A_FLUSH);
        match log.flush() {
            Ok(()) => acknowledged = flush * ROWS_A_FLUSH,
            Err(error) => check_error(&error, thief),
        }
    }
    let is_in_the_window = thief.is_in_the_window.load(SeqCst);
    let mut closed = log.close();
    if closed.is_err() && !is_in_the_window {
        check_others(&thief.aftermath.lock().unwrap());
        check_saved(&log, root, thief, acknowledged);
        if free_the_name(&mut thief.aftermath.lock().unwrap()) {
            closed = log.close();
            assert!(closed.is_ok(), "the name is free again: {closed:?}");
        }
    }
    let path = Sink::stats(&log).output_path;
    if closed.is_ok() && !has_rows(&path, ROWS) {
        // It was taken away after the last version was published.
        check_saved(&log, root, thief, ROWS);
    }
    drop(log);
    let dir = path.parent().expect("a file is in a directory");
    let left = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.as_encoded_bytes().starts_with(b".")).collect();
    let after = thief.aftermath.lock().unwrap();
    let is_shared = after.other.is_some() || after.lock.is_some();
    assert!(left.is_empty() || is_shared, "left behind: {left:?}");
}

/// A failure says what is there now.
fn check_error(error: &WriteError, thief: &Thief) {
    assert!(thief.is_done.load(SeqCst), "nothing was taken away: {error}");
    let is_named = match error {
        WriteError::Occupied { waiting, .. } | WriteError::DirectoryRemoved { waiting, .. } => {
            *waiting > 0
        }
        // The operation that it happened at; the next one knows.
        WriteError::Storage(_) => true,
        _ => false,
    };
    assert!(is_named, "{error:?}");
}

/// Everything can be saved elsewhere.
fn check_saved(log: &MetricsLog<Row>, root: &Path, thief: &Thief, acknowledged: i64) {
    let (all, pending) = (root.join("all.parquet"), root.join("pending.parquet"));
    let destroys = thief.aftermath.lock().unwrap().destroys;
    match log.save_as(&all) {
        Ok(rows) => {
            assert_eq!(rows, ROWS as u64);
            assert!(has_rows(&all, ROWS), "rows that were saved elsewhere");
            assert!(log.save_as(&all).is_err(), "nothing is replaced");
        }
        Err(error) => assert!(destroys, "{error}"),
    }
    let rows = log.save_pending_as(&pending).unwrap() as i64;
    assert!(rows == ROWS - acknowledged, "{rows} rows wait, {acknowledged} were acknowledged");
    if rows > 0 {
        let found = integers(&fs::read(&pending).unwrap(), "n");
        assert_eq!(found, (acknowledged..ROWS).collect::<Vec<_>>());
    }
}

/// Removes what is in the way, as a person would; `false` if there is nothing of the kind.
fn free_the_name(after: &mut Aftermath) -> bool {
    if after.lock.take().is_some() {
        return true;
    }
    let Some(path) = after.in_the_way.take() else { return false };
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir(&path).unwrap();
    } else {
        fs::remove_file(&path).unwrap();
    }
    after.untouched.retain(|(untouched, _)| *untouched != path);
    after.links.retain(|(link, _)| *link != path);
    after.dirs.retain(|dir| *dir != path);
    true
}

fn check_others(after: &Aftermath) {
    for (path, bytes) in &after.untouched {
        let found = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == *bytes, "{} was changed", path.display());
    }
    for (link, to) in &after.links {
        assert_eq!(fs::read_link(link).unwrap(), *to);
    }
    for dir in &after.dirs {
        assert!(dir.is_dir(), "{} is gone", dir.display());
    }
}

/// Whether the file there has the first `rows` rows of the run, and no others.
fn has_rows(path: &Path, rows: i64) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    bytes.starts_with(b"PAR1")
        && bytes.ends_with(b"PAR1")
        && integers(&bytes, "n").into_iter().eq(0..rows)
}
