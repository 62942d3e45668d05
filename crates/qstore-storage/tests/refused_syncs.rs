//! What the local file system does when the system refuses a call.
//!
//! Does it request the syncs that it promises? A missing sync, or the wrong one, changes nothing that a reader
//! or a test in memory could see. So the system is made to refuse: a seccomp filter makes one system call of
//! one thread fail. A call that is not made cannot fail. In the same way a call is made impossible that a file
//! system, a kernel or a sandbox may not have.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

use libc::{EBADF, EINVAL, EIO, ENOLCK, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM};
use qstore_storage::{FileSystem, LocalFs, Locking, Operation, Result, StagedDir, read_all};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// A system call and its answer.
type Refusal = (libc::c_long, i32);

/// Runs a closure on its own thread, in which these system calls fail; `None` where the system does not allow
/// filters.
fn refused<T: Send>(refusals: &[Refusal], run: impl FnOnce(&Path) -> T + Send) -> Option<T> {
    let dir = tempfile::tempdir().unwrap();
    let outcome = thread::scope(|scope| {
        let path = dir.path();
        let thread = scope.spawn(move || refuse(refusals).then(|| run(path)));
        thread.join().unwrap()
    });
    if outcome.is_none() {
        println!("not tested: the system allows no filters here");
    }
    outcome
}

/// Makes system calls of this thread fail from now on. Returns whether that is possible.
fn refuse(refusals: &[Refusal]) -> bool {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The first word that the filter sees is the number of the call.
    let mut program = vec![step(load, 0, 0, 0)];
    for (call, errno) in refusals {
        program.push(step(jump, 0, 1, *call as u32));
        program.push(step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | *errno as u32));
    }
    program.push(step(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the call takes four integers.
    let is_bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the filter and the program it points to are alive, and the system copies both.
    let set = || unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    is_bound && set() == 0
}

fn check(refusals: &[Refusal], operation: Operation, run: fn(&Path) -> Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path()).expect("the disk works");
    let Some(outcome) = refused(refusals, run) else { return };
    let error = outcome.expect_err("the refusal is reported");
    assert_eq!((error.operation, error.source.raw_os_error()), (operation, Some(EIO)));
}

#[test]
fn a_file_is_synced_with_its_length() {
    check(&[(libc::SYS_fdatasync, EIO)], Operation::Sync, |dir| {
        let file = LocalFs.create_new(&dir.join("file"))?;
        file.write_at(0, b"bytes")?;
        file.sync()
    });
}

#[test]
fn a_directory_is_synced() {
    check(&[(libc::SYS_fsync, EIO)], Operation::SyncDir, |dir| LocalFs.sync_dir(dir));
}

/// Syncs a tree with a file in it; nothing where trees cannot be synced as a whole.
fn sync_tree(dir: &Path) -> Result<()> {
    let tree = LocalFs.sync_tree(dir)?.expect("this file system can");
    LocalFs.create_new(&dir.join("file"))?.write_at(0, b"bytes")?;
    tree.sync()
}

fn has_tree_sync() -> bool {
    let has = LocalFs.sync_tree(&std::env::temp_dir()).unwrap().is_some();
    if !has {
        println!("not tested: this file system cannot sync a tree as a whole");
    }
    has
}

#[test]
fn a_tree_is_synced_as_a_whole() {
    if has_tree_sync() {
        check(&[(libc::SYS_syncfs, EIO)], Operation::Sync, sync_tree);
    }
}

#[test]
fn a_tree_is_synced_file_by_file_where_a_sandbox_forbids_more() {
    if !has_tree_sync() {
        return;
    }
    for errno in [ENOSYS, EPERM, EOPNOTSUPP, EINVAL] {
        if let Some(synced) = refused(&[(libc::SYS_syncfs, errno)], sync_tree) {
            synced.unwrap();
        }
        // Each file really is: its failure is reported.
        check(&[(libc::SYS_syncfs, errno), (libc::SYS_fsync, EIO)], Operation::Sync, sync_tree);
    }
}

#[test]
fn a_directory_without_a_sync_of_its_own_is_synced_with_its_file_system() {
    for errno in [EINVAL, EBADF, ENOSYS, EOPNOTSUPP] {
        if let Some(synced) = refused(&[(libc::SYS_fsync, errno)], |dir| LocalFs.sync_dir(dir)) {
            synced.unwrap();
        }
        // All of its file system is synced instead.
        check(&[(libc::SYS_fsync, errno), (libc::SYS_syncfs, EIO)], Operation::SyncDir, |dir| {
            LocalFs.sync_dir(dir)
        });
        let neither = [(libc::SYS_fsync, errno), (libc::SYS_syncfs, ENOSYS)];
        if let Some(synced) = refused(&neither, |dir| LocalFs.sync_dir(dir)) {
            synced.unwrap();
        }
    }
}

// Elsewhere the C library renames with the same call.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_tree_is_replaced_without_an_exchange_of_names() {
    for errno in [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY, EPERM, libc::EXDEV] {
        let replaced = refused(&[(libc::SYS_renameat2, errno)], |dir| -> Result<()> {
            let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
            let (public, staging) = (dir.join("tree"), dir.join("staging"));
            files.create_dir(&staging)?;
            for text in ["first", "second", "third"] {
                let staged = StagedDir::replacing(&files, &staging.join("new"), &public)?;
                staged.create_file(Path::new("file"))?.write_at(0, text.as_bytes())?;
                drop(staged.commit(&public, &staging.join("old"))?);
                assert_eq!(read_all(&*files, &public.join("file"))?, text.as_bytes());
            }
            assert!(files.list(&staging)?.is_empty(), "nothing is left behind");
            Ok(())
        });
        if let Some(replaced) = replaced {
            replaced.unwrap();
        }
    }
}

#[test]
fn without_locks_an_advice_is_given_and_nothing_is_left() {
    for errno in [ENOSYS, ENOLCK, EOPNOTSUPP, EBADF, EINVAL] {
        refused(&[(libc::SYS_flock, errno)], |dir| {
            let path = dir.join(".lock");
            for error in [LocalFs.try_lock(&path).unwrap_err(), LocalFs.lock(&path).unwrap_err()] {
                assert!(error.is_unsupported(), "{error}");
                assert!(error.to_string().contains("Locking::IfSupported"), "{error}");
            }
            assert!(Locking::Required.try_lock(&LocalFs, &path).is_err());
            assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "a lock file is left behind");
            // A file that was there before is somebody else's.
            std::fs::write(&path, "").unwrap();
            assert!(LocalFs.try_lock(&path).is_err() && path.exists());
        });
    }
}

#[test]
fn who_goes_on_without_locks_is_alone_in_this_process() {
    refused(&[(libc::SYS_flock, ENOSYS)], |dir| {
        let (locking, path) = (Locking::IfSupported, dir.join(".lock"));
        let held = locking.try_lock(&LocalFs, &path).unwrap().expect("nobody has it");
        assert!(locking.try_lock(&LocalFs, &path).unwrap().is_none());
        // However the directory is reached.
        std::os::unix::fs::symlink(dir, dir.join("link")).unwrap();
        let again = dir.join("link/.lock");
        assert!(locking.try_lock(&LocalFs, &again).unwrap().is_none());
        assert!(locking.try_lock(&LocalFs, &dir.join(".other")).unwrap().is_some());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(locking.lock(&LocalFs, &path).unwrap()));
            drop(held);
            waiting.join().unwrap();
        });
        assert!(locking.try_lock(&LocalFs, &path).unwrap().is_some());
        assert!(!path.exists(), "a lock file is left behind");
    });
}

#[test]
fn what_only_failed_is_not_gone_without() {
    refused(&[(libc::SYS_flock, EIO)], |dir| {
        let error = Locking::IfSupported.try_lock(&LocalFs, &dir.join(".lock")).unwrap_err();
        assert_eq!((error.operation, error.is_unsupported()), (Operation::Lock, false));
    });
}
