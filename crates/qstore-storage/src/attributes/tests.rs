//! Tests: nobody gains a right, whatever the file was and under any user that replaces it.

use super::rights::{Named, Rights};
use super::*;
use crate::random::Random;
use crate::{FileSystem, LocalFs, StagedDir, StagedFile};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

/// What a user may do, as POSIX.1e has it.
fn may(rights: &Rights, owner: u32, group: u32, user: u32, groups: &BTreeSet<u32>) -> u16 {
    let mask = rights.mask.unwrap_or(7);
    if user == owner {
        return rights.owner;
    }
    let by_name = |one: &&Named| !one.is_group && one.id == user;
    if let Some(one) = rights.named.iter().find(by_name) {
        return one.bits & mask;
    }
    let mut matching: Vec<u16> = Vec::new();
    if groups.contains(&group) {
        matching.push(rights.group & mask);
    }
    let named = rights.named.iter().filter(|one| one.is_group && groups.contains(&one.id));
    matching.extend(named.map(|one| one.bits & mask));
    // A right is given if any entry that matches gives it.
    if matching.is_empty() { rights.other } else { matching.iter().fold(0, |all, one| all | one) }
}

fn number(random: &mut Random, below: u64) -> u32 {
    (random.number() % below) as u32
}

fn any_rights(random: &mut Random) -> Rights {
    let mut rights = Rights::of_mode(number(random, 0o1000));
    if random.is_heads() {
        rights.mask = Some(number(random, 8) as u16);
        for _ in 0..number(random, 4) {
            let (is_group, id) = (random.is_heads(), number(random, 4));
            let is_new = |one: &Named| (one.is_group, one.id) != (is_group, id);
            if rights.named.iter().all(is_new) {
                rights.named.push(Named { is_group, id, bits: number(random, 8) as u16 });
            }
        }
    }
    rights
}

#[test]
fn nobody_but_the_new_owner_gains_a_right() {
    let mut random = Random::of(7);
    for case in 0..20_000 {
        let old = any_rights(&mut random);
        let (owner, group) = (number(&mut random, 4), number(&mut random, 4));
        let (new_owner, new_group) = (number(&mut random, 4), number(&mut random, 4));
        let new = old.clone().narrowed(owner == new_owner, group == new_group);
        // Where the list cannot be written, what is left of it must keep the law as well.
        let list_fails = random.is_heads() && old.mask.is_some();
        let new = new.written(|list| list.is_none() || !list_fails);
        for user in 0..5 {
            for members in 0..16u32 {
                let groups: BTreeSet<u32> = (0..4).filter(|id| members >> id & 1 == 1).collect();
                let before = may(&old, owner, group, user, &groups);
                let after = may(&new, new_owner, new_group, user, &groups);
                let gained = if user == new_owner { 0 } else { after & !before };
                assert_eq!(
                    gained, 0,
                    "case {case}: user {user} in {groups:?}; {owner}:{group} {old:?} became \
                     {new_owner}:{new_group} {new:?}"
                );
            }
        }
        if owner == new_owner && group == new_group && !list_fails {
            assert_eq!(new, old, "case {case}: nothing has to be narrowed");
        }
    }
}

#[test]
fn an_access_list_is_read_as_it_is_written() {
    let mut random = Random::of(8);
    for _ in 0..1_000 {
        let mut rights = any_rights(&mut random);
        rights.named.sort_by_key(|one| one.is_group); // the order in which they are stored
        if let Some(list) = rights.list() {
            assert_eq!(Rights::parse(&list), Some(rights));
        }
    }
    assert_eq!(Rights::parse(b"\x03\0\0\0"), None, "a later version is not guessed");
}

fn files() -> Arc<dyn FileSystem> {
    Arc::new(LocalFs::new())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A file with that mode, and the path of another one to replace it.
fn stored(dir: &Path, bits: u32) -> (PathBuf, PathBuf) {
    let public = dir.join("public");
    fs::write(&public, "old").unwrap();
    fs::set_permissions(&public, Permissions::from_mode(bits)).unwrap();
    (public, dir.join(".temporary"))
}

fn replace(public: &Path, temporary: &Path) {
    let mut staged = StagedFile::replacing(&files(), temporary, public).unwrap();
    staged.append(b"new").unwrap();
    staged.commit(public).unwrap();
    assert_eq!(fs::read(public).unwrap(), b"new");
}

#[test]
fn a_file_that_replaces_another_has_its_mode_at_every_moment() {
    for bits in [0o600, 0o640, 0o400, 0o660, 0o666, 0o644, 0o1640] {
        let dir = tempfile::tempdir().unwrap();
        let (public, temporary) = stored(dir.path(), bits);
        let mut staged = StagedFile::replacing(&files(), &temporary, &public).unwrap();
        assert_eq!(mode(&temporary), bits, "before the first byte");
        staged.append(b"new").unwrap();
        // What changes meanwhile is taken over as well.
        fs::set_permissions(&public, Permissions::from_mode(bits & 0o7700)).unwrap();
        staged.commit(&public).unwrap();
        assert_eq!(mode(&public), bits & 0o7700);
    }
}

#[test]
fn a_private_file_is_private_from_its_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private");
    LocalFs.create_private(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let path = dir.path().join("private-dir");
    LocalFs.create_private_dir(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn a_commit_over_a_file_that_appeared_meanwhile_is_no_more_open_than_that() {
    let dir = tempfile::tempdir().unwrap();
    let (public, temporary) = (dir.path().join("public"), dir.path().join(".temporary"));
    let staged = StagedFile::replacing(&files(), &temporary, &public).unwrap();
    stored(dir.path(), 0o600);
    staged.commit(&public).unwrap();
    assert_eq!(mode(&public), 0o600);
}

#[test]
fn a_new_file_has_the_mode_of_any_new_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("any"), "").unwrap();
    let (public, temporary) = (dir.path().join("public"), dir.path().join(".temporary"));
    replace(&public, &temporary);
    assert_eq!(mode(&public), mode(&dir.path().join("any")));
}

#[test]
fn a_tree_that_replaces_another_stays_as_private_as_that() {
    let dir = tempfile::tempdir().unwrap();
    let (public, temporary) = (dir.path().join("tree"), dir.path().join(".temporary"));
    for _ in 0..2 {
        let staged = StagedDir::replacing(&files(), &temporary, &public).unwrap();
        let is_first = !public.exists();
        assert!(is_first || mode(&temporary) == 0o700);
        drop(staged.create_file(Path::new("a/b")).unwrap());
        drop(staged.commit(&public, &dir.path().join(".tombstone")).unwrap());
        if is_first {
            fs::set_permissions(&public, Permissions::from_mode(0o750)).unwrap();
        }
    }
    assert_eq!(mode(&public), 0o750);
}

/// Only root may give files away.
fn is_root(dir: &Path) -> bool {
    let is_root = fs::metadata(dir).unwrap().uid() == 0;
    if !is_root {
        println!("not tested: takes root");
    }
    is_root
}

#[test]
fn owner_and_group_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    if !is_root(dir.path()) {
        return;
    }
    for (owner, group, bits) in [(0, 2000, 0o660), (1234, 2000, 0o640), (1234, 0, 0o2770)] {
        let (public, temporary) = stored(dir.path(), bits);
        chown(&public, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&public, Permissions::from_mode(bits)).unwrap();
        replace(&public, &temporary);
        let found = fs::metadata(&public).unwrap();
        assert_eq!((found.uid(), found.gid(), mode(&public)), (owner, group, bits));
        fs::remove_file(&public).unwrap();
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;
    use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
    use rustix::io::Errno;

    const ACCESS: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";

    /// Sets an attribute; `false` where the file system has none.
    fn set(path: &Path, name: &str, value: &[u8]) -> bool {
        match lsetxattr(path, name, value, XattrFlags::empty()) {
            Ok(()) => true,
            Err(Errno::NOTSUP | Errno::PERM) => {
                println!("not tested: {name} cannot be set here");
                false
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }

    fn value(path: &Path, name: &str) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        let len = lgetxattr(path, name, &mut *bytes).ok()?;
        Some(bytes[..len].to_vec())
    }

    /// User 1234 may read and write, the group only reads, others may do nothing.
    fn list() -> Vec<u8> {
        let named = vec![Named { is_group: false, id: 1234, bits: 6 }];
        Rights { owner: 6, group: 4, other: 0, mask: Some(6), named }.list().unwrap()
    }

    #[test]
    fn an_access_list_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let (public, temporary) = stored(dir.path(), 0o600);
        if !set(&public, ACCESS, &list()) {
            return;
        }
        replace(&public, &temporary);
        assert_eq!(value(&public, ACCESS), Some(list()));
        assert_eq!(mode(&public), 0o660, "the mask");
    }

    /// Neither the rights of the files that now have those names nor the files themselves matter.
    #[test]
    fn what_is_done_in_an_open_directory_goes_by_no_name_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (run, moved) = (dir.path().join("run"), dir.path().join("moved"));
        fs::create_dir(&run).unwrap();
        let opened = LocalFs.open_dir(&run).unwrap().unwrap();
        fs::rename(&run, &moved).unwrap();
        fs::create_dir(&run).unwrap();
        let (public, _) = stored(&moved, 0o600);
        stored(&run, 0o666);
        opened.create_private(Path::new("new")).unwrap();
        opened.create_private_dir(Path::new("new-dir")).unwrap();
        let has_list = set(&public, ACCESS, &list());
        let has_attributes = set(&public, "user.run", b"moved");
        opened.copy_mode(Path::new("public"), Path::new("new")).unwrap();
        assert_eq!(mode(&moved.join("new")), if has_list { 0o660 } else { 0o600 });
        assert_eq!(value(&moved.join("new"), ACCESS), has_list.then(list));
        assert_eq!(value(&moved.join("new"), "user.run").is_some(), has_attributes);
        assert_eq!(mode(&moved.join("new-dir")), 0o700);
        let other = run.join("public");
        assert_eq!(
            (mode(&other), value(&other, ACCESS), value(&other, "user.run")),
            (0o666, None, None)
        );
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
    }

    #[test]
    fn a_list_that_a_directory_gives_to_new_files_opens_no_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let (public, temporary) = stored(dir.path(), 0o640);
        if !set(dir.path(), DEFAULT, &list()) {
            return;
        }
        let staged = StagedFile::replacing(&files(), &temporary, &public).unwrap();
        assert_eq!((value(&temporary, ACCESS), mode(&temporary)), (None, 0o640));
        staged.commit(&public).unwrap();
        // A file that replaces nothing gets it, as any new file does.
        let new = dir.path().join("new");
        replace(&new, &temporary);
        let given = Rights::parse(&value(&new, ACCESS).unwrap()).unwrap();
        assert_eq!(given.named, [Named { is_group: false, id: 1234, bits: 6 }]);
    }

    #[test]
    fn what_people_have_attached_is_taken_over_and_what_describes_the_bytes_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (public, temporary) = stored(dir.path(), 0o644);
        if !set(&public, "user.run", b"lr-0.01") {
            return;
        }
        let mut staged = StagedFile::replacing(&files(), &temporary, &public).unwrap();
        staged.append(b"new").unwrap();
        set(&temporary, "user.leftover", b"of an earlier version");
        staged.commit(&public).unwrap();
        assert_eq!(value(&public, "user.run").as_deref(), Some(&b"lr-0.01"[..]));
        assert_eq!(value(&public, "user.leftover"), None);
        let is_carried = |name: &str| extended::is_carried(name.as_bytes());
        assert!(is_carried("security.selinux") && is_carried("user.run"));
        for other in ["security.capability", "security.ima", "trusted.overlay.opaque", ACCESS] {
            assert!(!is_carried(other), "{other}");
        }
    }
}

/// A process that is neither root nor in the group replaces the file: nobody gains anything.
#[test]
fn a_group_that_cannot_be_given_narrows_the_mode() {
    const WHERE: &str = "QSTORE_REPLACE_IN";
    const USER: u32 = 1234;
    if let Some(dir) = std::env::var_os(WHERE) {
        let dir = Path::new(&dir);
        return replace(&dir.join("public"), &dir.join(".temporary"));
    }
    let dir = tempfile::tempdir().unwrap();
    if !is_root(dir.path()) {
        return;
    }
    chown(dir.path(), Some(USER), Some(USER)).unwrap();
    for (owner, bits, expected) in [
        (USER, 0o660, 0o600),
        (USER, 0o664, 0o644),
        (USER, 0o604, 0o600), // the group was kept out; its members are others now
        (USER, 0o2664, 0o644),
        (0, 0o660, 0o600),
        (0, 0o646, 0o644),
    ] {
        let (public, _) = stored(dir.path(), bits);
        chown(&public, Some(owner), Some(2000)).unwrap();
        fs::set_permissions(&public, Permissions::from_mode(bits)).unwrap();
        let test = "attributes::tests::a_group_that_cannot_be_given_narrows_the_mode";
        let done = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(WHERE, dir.path())
            .uid(USER)
            .gid(USER)
            .output();
        match done {
            Err(error) => {
                return println!("not tested: this program is not theirs to run: {error}");
            }
            Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout)),
        }
        assert_eq!(mode(&public), expected, "{owner}, {bits:o}");
        fs::remove_file(&public).unwrap();
    }
}
