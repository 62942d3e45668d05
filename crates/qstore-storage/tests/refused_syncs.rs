//! Does the local file system really request the syncs it promises?
//!
//! A missing sync, or the wrong one, changes nothing that a reader or a test in memory could see. So the
//! system is made to refuse: a seccomp filter makes one system call of one thread fail with `EIO`. A call
//! that is not made cannot fail.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

use qstore_storage::{FileSystem, LocalFs, Operation, Result};
use std::path::Path;
use std::thread;

/// Runs a closure on its own thread, in which that system call fails; `None` where the system does not allow
/// filters.
fn refused(call: libc::c_long, run: impl FnOnce(&Path) -> Result<()> + Send) -> Option<Result<()>> {
    let dir = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let path = dir.path();
        let thread = scope.spawn(move || refuse(call).then(|| run(path)));
        thread.join().unwrap()
    })
}

/// Makes a system call of this thread fail from now on. Returns whether that is possible.
fn refuse(call: libc::c_long) -> bool {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(load, 0, 0, 0), // the first word that the filter sees is the number of the call
        step(jump, 0, 1, call as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EIO as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the call takes four integers.
    let is_bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the filter and the program it points to are alive, and the system copies both.
    let set = || unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    is_bound && set() == 0
}

fn check(call: libc::c_long, operation: Operation, run: fn(&Path) -> Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path()).expect("the disk works");
    let Some(outcome) = refused(call, run) else {
        println!("not tested: the system allows no filters here");
        return;
    };
    let error = outcome.expect_err("the refusal is reported");
    assert_eq!((error.operation, error.source.raw_os_error()), (operation, Some(libc::EIO)));
}

#[test]
fn a_file_is_synced_with_its_length() {
    check(libc::SYS_fdatasync, Operation::Sync, |dir| {
        let file = LocalFs.create_new(&dir.join("file"))?;
        file.write_at(0, b"bytes")?;
        file.sync()
    });
}

#[test]
fn a_directory_is_synced() {
    check(libc::SYS_fsync, Operation::SyncDir, |dir| LocalFs.sync_dir(dir));
}

#[test]
fn a_tree_is_synced_as_a_whole() {
    check(libc::SYS_syncfs, Operation::Sync, |dir| {
        let tree = LocalFs.sync_tree(dir)?.expect("this kernel can");
        LocalFs.create_new(&dir.join("file"))?.write_at(0, b"bytes")?;
        tree.sync()
    });
}
