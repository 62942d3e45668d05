//! What every [`FileSystem`] must do, as a test for implementations of your own.
//!
//! It checks what is visible, not what is durable, which only a simulation can show: see
//! [`MemoryFs::power_cut`](crate::MemoryFs::power_cut).

use crate::file_system::{EntryKind, FileSystem};
use crate::in_place::Exclusive;
use crate::noted_lock::Probe;
use crate::tree::{create_dir_all, remove_dir_all};
use crate::whole::read_all;
use std::path::Path;

/// Exercises every operation of `storage` below the existing directory `root`, and leaves `root` as it was.
/// An exchange, a move to a free name, a link or a lock may be [unsupported](crate::Error::is_unsupported).
///
/// ```
/// use qstore_storage::{MemoryFs, conformance};
/// use std::path::Path;
///
/// conformance::check(&MemoryFs::new(), Path::new("/"));
/// ```
///
/// # Panics
/// When the implementation does not do what [`FileSystem`] documents; the message says what.
pub fn check(storage: &dyn FileSystem, root: &Path) {
    let dir = root.join("conformance");
    create_dir_all(storage, &dir.join("deep/er")).expect("directories can be created");
    create_dir_all(storage, &dir.join("deep/er")).expect("creating them again is not an error");
    files(storage, &dir);
    names(storage, &dir);
    directories(storage, &dir);
    in_place(storage, &dir);
    locks(storage, &dir);
    noted_locks(storage, &dir);
    open_directories(storage, &dir);
    remove_dir_all(storage, &dir).expect("a tree can be removed");
    assert!(storage.metadata(&dir).unwrap().is_none(), "a removed tree is gone");
    remove_dir_all(storage, &dir).expect("removing nothing is not an error");
}

fn files(storage: &dyn FileSystem, dir: &Path) {
    let path = dir.join("file");
    assert!(storage.open(&path).unwrap_err().is_not_found());
    let file = storage.create_new(&path).expect("a file can be created");
    assert!(storage.create_new(&path).unwrap_err().is_already_exists());
    assert!(file.is_empty().unwrap());

    file.write_at(4, b"tail").unwrap();
    file.write_at(0, b"head").unwrap();
    file.begin_write_out(0, 8);
    file.begin_write_out(u64::MAX, u64::MAX);
    file.sync().unwrap();
    assert_eq!(read_all(storage, &path).unwrap(), b"headtail");
    let mut part = [0; 4];
    file.read_at(2, &mut part).unwrap();
    assert_eq!(&part, b"adta");
    assert!(file.read_at(5, &mut part).is_err(), "reading past the end is an error");
    file.set_len(3).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    file.set_len(5).unwrap();
    assert_eq!(read_all(storage, &path).unwrap(), b"hea\0\0");
    assert!(storage.open(dir).is_err(), "a directory is not opened as a file");
    storage.remove_file(&path).unwrap();
    assert_eq!(file.len().unwrap(), 5, "an open file outlives its name");
    assert!(storage.remove_file(&path).unwrap_err().is_not_found());
}

fn names(storage: &dyn FileSystem, dir: &Path) {
    let write = |name: &str| {
        let file = storage.create_new(&dir.join(name)).unwrap();
        file.write_at(0, name.as_bytes()).unwrap();
    };
    let read = |name: &str| String::from_utf8(read_all(storage, &dir.join(name)).unwrap()).unwrap();
    write("one");
    write("two");
    exchange(storage, dir, "one", "two");
    assert_eq!((read("one"), read("two")), ("two".into(), "one".into()));
    assert!(storage.exchange(&dir.join("one"), &dir.join("none")).is_err());

    match storage.link(&dir.join("one"), &dir.join("linked")) {
        // The names are the same as after a link.
        Err(error) if error.is_unsupported() => {
            let file = storage.create_new(&dir.join("linked")).unwrap();
            file.write_at(0, read("one").as_bytes()).unwrap();
        }
        linked => {
            linked.unwrap();
            let again = storage.link(&dir.join("one"), &dir.join("two"));
            assert!(again.unwrap_err().is_already_exists());
            storage.rename(&dir.join("one"), &dir.join("linked")).unwrap();
            assert_eq!(
                read("linked"),
                read("one"),
                "renaming a file to its other name does nothing"
            );
        }
    }

    rename_new(storage, dir);
    storage.rename(&dir.join("two"), &dir.join("one")).unwrap();
    assert_eq!((read("one"), read("linked")), ("one".into(), "two".into()));
    assert!(storage.metadata(&dir.join("two")).unwrap().is_none());
    assert!(storage.rename(&dir.join("none"), &dir.join("one")).unwrap_err().is_not_found());
    storage.sync_dir(dir).unwrap();

    assert_eq!(storage.resolve(&dir.join("new")).unwrap().file_name(), Some("new".as_ref()));
    assert!(storage.resolve(&dir.join("missing/new")).unwrap_err().is_not_found());
}

fn directories(storage: &dyn FileSystem, dir: &Path) {
    let mut entries: Vec<_> =
        storage.list(dir).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let expected =
        [("deep", EntryKind::Dir), ("linked", EntryKind::File), ("one", EntryKind::File)];
    assert_eq!(entries, expected.map(|(name, kind)| (name.into(), kind)));
    if let Some(tree) = storage.sync_tree(dir).expect("a tree can be opened") {
        tree.sync().expect("a tree can be synced");
    }
    assert!(
        storage.sync_tree(&dir.join("no")).is_err() || storage.sync_tree(dir).unwrap().is_none()
    );
    storage.available(dir).expect("the available space can be queried");
    let found = storage.metadata(&dir.join("linked")).unwrap().unwrap();
    assert_eq!((found.kind, found.len), (EntryKind::File, 3));

    assert!(storage.create_dir(&dir.join("deep")).unwrap_err().is_already_exists());
    assert!(storage.create_dir(&dir.join("no/where")).unwrap_err().is_not_found());
    assert!(storage.list(&dir.join("no")).unwrap_err().is_not_found());
    assert!(storage.remove_dir(&dir.join("deep")).is_err(), "a full directory stays");
    assert!(
        storage.remove_file(&dir.join("deep")).is_err(),
        "a directory is not removed as a file"
    );

    // A whole directory changes its name in one step.
    storage.create_dir(&dir.join("other")).unwrap();
    exchange(storage, dir, "deep", "other");
    assert!(storage.metadata(&dir.join("other/er")).unwrap().is_some());
    storage.rename(&dir.join("other"), &dir.join("deep")).unwrap();
    assert!(storage.metadata(&dir.join("deep/er")).unwrap().is_some());
}

/// Moves to a name that is free, and to none that is taken; where the system cannot, it must say so and change
/// nothing.
fn rename_new(storage: &dyn FileSystem, dir: &Path) {
    let (one, two, moved) = (dir.join("one"), dir.join("two"), dir.join("moved"));
    let taken = storage.rename_new(&one, &two).unwrap_err();
    assert!(taken.is_already_exists() || taken.is_unsupported(), "{taken}");
    assert!(storage.rename_new(&dir.join("none"), &moved).is_err());
    match storage.rename_new(&one, &moved) {
        Err(error) if error.is_unsupported() => {}
        renamed => {
            renamed.unwrap();
            assert!(storage.metadata(&one).unwrap().is_none());
            storage.rename_new(&moved, &one).unwrap();
        }
    }
    assert!(storage.metadata(&moved).unwrap().is_none());
}

/// Swaps two names; where the system cannot, it must say so and change nothing.
fn exchange(storage: &dyn FileSystem, dir: &Path, one: &str, other: &str) {
    let (one, other, aside) = (dir.join(one), dir.join(other), dir.join("aside"));
    match storage.exchange(&one, &other) {
        Err(error) if error.is_unsupported() => {
            storage.rename(&one, &aside).unwrap();
            storage.rename(&other, &one).unwrap();
            storage.rename(&aside, &other).unwrap();
        }
        exchanged => exchanged.unwrap(),
    }
}

fn locks(storage: &dyn FileSystem, dir: &Path) {
    let path = dir.join("lock");
    let held = match storage.try_lock(&path) {
        Err(error) if error.is_unsupported() => {
            assert!(storage.metadata(&path).unwrap().is_none(), "no lock file is left behind");
            return;
        }
        held => held.unwrap(),
    };
    assert!(held.is_some(), "a free lock is acquired");
    assert!(storage.try_lock(&path).unwrap().is_none(), "a held lock is refused");
    drop(held);
    drop(storage.lock(&path).unwrap());
    assert!(storage.try_lock(&path).unwrap().is_some(), "a released lock is free");
}

/// A lock that claims to be seen must be seen, with its note, and one that is not held must not.
fn noted_locks(storage: &dyn FileSystem, dir: &Path) {
    let path = dir.join("noted");
    let held = match storage.try_lock_noted(&path, b"note") {
        Err(error) if error.is_unsupported() => return,
        held => held.unwrap().expect("a free lock is acquired"),
    };
    assert!(storage.try_lock_noted(&path, b"other").unwrap().is_none(), "a held lock is refused");
    if let Some(file) = held.seen_as() {
        let note = b"note".to_vec();
        assert_eq!(storage.probe_lock(&path).unwrap(), Probe::Held { file, note });
        drop(held);
        assert_eq!(storage.probe_lock(&path).unwrap(), Probe::Free { file });
    } else {
        drop(held);
    }
    drop(storage.try_lock_noted(&path, b"").unwrap().expect("a released lock is free"));
}

/// A file system may not know whether a file is open elsewhere, but it must not claim what is wrong.
fn in_place(storage: &dyn FileSystem, dir: &Path) {
    let (path, link) = (dir.join("in_place"), dir.join("link"));
    let file = storage.create_new(&path).unwrap();
    let Ok(empty) = file.stamp() else { return };
    assert_eq!(storage.stamp(&path).unwrap(), Some(empty), "a name and an open file agree");
    assert_eq!(storage.stamp(&link).unwrap(), None);
    file.write_at(0, b"longer").unwrap();
    let written = file.stamp().unwrap();
    assert!(written != empty && written.is_same_file(&empty));
    match storage.link(&path, &link) {
        Err(error) if error.is_unsupported() => {}
        linked => {
            linked.unwrap();
            // What is known about an open file may lag behind (FUSE). Then it must not be claimed, since its
            // names are counted before it is overwritten.
            if !matches!(file.claim().unwrap(), Exclusive::Unknown) {
                assert_eq!((empty.names(), file.stamp().unwrap().names()), (1, 2));
            }
            storage.remove_file(&link).unwrap();
        }
    }

    let other = storage.open_writable(&path).unwrap();
    other.write_at(0, b"L").unwrap();
    let claim = file.claim().unwrap();
    assert!(!matches!(claim, Exclusive::Held(_)), "the file is open twice");
    drop(claim);
    drop(other);
    let alone = file.claim().unwrap();
    assert!(!matches!(alone, Exclusive::Busy), "the file is open once");
    drop(alone);
    assert_eq!(read_all(storage, &path).unwrap(), b"Longer");
    storage.remove_file(&path).unwrap();
}

/// An open directory stays the same one, whatever becomes of its name.
fn open_directories(storage: &dyn FileSystem, dir: &Path) {
    let (run, kept) = (dir.join("run"), dir.join("kept"));
    storage.create_dir(&run).unwrap();
    let Some(opened) = storage.open_dir(&run).expect("a directory can be opened") else {
        return storage.remove_dir(&run).unwrap();
    };
    assert!(storage.open_dir(&dir.join("none")).unwrap_err().is_not_found());
    let (inside, here) = (Path::new("file"), Path::new("."));
    let is_named = |name: &Path| {
        let (named, own) = (storage.stamp(name).unwrap(), opened.stamp(here).unwrap().unwrap());
        named.is_some_and(|named| named.is_same_file(&own))
    };
    let lock = opened.try_lock(Path::new("lock")).unwrap().expect("a free lock is acquired");
    assert!(storage.try_lock(&run.join("lock")).unwrap().is_none(), "it is the same lock");
    assert!(is_named(&run) && lock.is_named().unwrap());

    storage.rename(&run, &kept).unwrap();
    storage.create_dir(&run).unwrap();
    opened.create_new(inside).unwrap().write_at(0, b"mine").unwrap();
    opened.sync_dir(here).unwrap();
    assert!(is_named(&kept) && !is_named(&run) && lock.is_named().unwrap());
    assert_eq!(opened.list(here).unwrap().len(), storage.list(&kept).unwrap().len());
    assert_eq!(read_all(storage, &kept.join("file")).unwrap(), b"mine");
    assert!(storage.metadata(&run.join("file")).unwrap().is_none(), "the name leads elsewhere");
    assert_eq!(opened.resolve(here).unwrap().file_name(), kept.file_name());
    let other = storage.try_lock(&run.join("lock")).unwrap();
    assert!(other.is_some(), "a lock in another directory is another lock");

    opened.remove_file(inside).unwrap();
    storage.remove_file(&kept.join("lock")).expect("a lock file can be removed by hand");
    assert!(!lock.is_named().unwrap(), "its name is gone");
    if !storage.list(&kept).unwrap().is_empty() {
        return; // FUSE and NFS keep an open file that was removed under a hidden name in its directory
    }
    storage.remove_dir(&kept).unwrap();
    assert!(opened.create_new(inside).unwrap_err().is_not_found(), "the directory was removed");
    assert!(opened.resolve(here).is_err());
    let elsewhere = storage.resolve(dir).unwrap().join("elsewhere");
    assert!(opened.resolve(&elsewhere).is_ok(), "an absolute path is not affected");
    drop((lock, other));
    storage.remove_dir(&run).unwrap();
}
