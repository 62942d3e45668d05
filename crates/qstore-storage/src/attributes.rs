//! What a file keeps when another one takes its place: mode, owner, group, access list, attributes.
//!
//! The new file gets what this process may give. Where it may not give an owner or a group, the rights are
//! narrowed so that nobody gains any: see [`Rights::narrowed`]. At no moment is the new file more open than
//! both what it was and what it becomes.

mod extended;
mod rights;

use rights::Rights;
use rustix::fs::{AtFlags, FileType, Gid, Mode, RawMode, Stat, Uid, chmodat, chownat, statat};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

/// A name below an open directory.
pub(crate) struct Name<'a> {
    pub(crate) dir: BorrowedFd<'a>,
    pub(crate) path: &'a Path,
    /// The same for calls that take no open directory.
    pub(crate) detour: PathBuf,
}

/// Gives `to` what `from` has. Nothing is written if it has that already.
///
/// # Errors
/// When `to` would be more open than `from` and cannot be narrowed.
pub(crate) fn carry(from: &Name<'_>, to: &Name<'_>) -> io::Result<()> {
    let old = statat(from.dir, from.path, AtFlags::empty())?;
    let new = found(to)?;
    if FileType::from_raw_mode(new.st_mode) == FileType::Symlink {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link has no mode"));
    }
    let wanted = Rights::of(bits(&old), extended::access_list(&from.detour));
    let is_same = (old.st_uid, old.st_gid, bits(&old)) == (new.st_uid, new.st_gid, bits(&new))
        && wanted == Rights::of(bits(&new), extended::access_list(&to.detour));
    if is_same {
        extended::carry(&from.detour, &to.detour);
        return Ok(());
    }
    // Nobody else may have it while its owner and its rights do not belong together. If that fails, the
    // last step shows whether it matters.
    if bits(&new) & 0o077 != 0 {
        let _ = set_bits(to, bits(&new) & 0o700);
    }
    give(to, &old, &new);
    extended::carry(&from.detour, &to.detour);
    let now = found(to)?;
    let (is_owner, is_group) = (now.st_uid == old.st_uid, now.st_gid == old.st_gid);
    // mutant: rights_not_narrowed
    let rights = wanted.narrowed(is_owner, is_group);
    let rights = rights.written(|list| extended::set_access_list(&to.detour, list));
    let special = (bits(&old) & 0o1000)
        | if is_owner { bits(&old) & 0o4000 } else { 0 }
        | if is_group { bits(&old) & 0o2000 } else { 0 };
    match set_bits(to, special | rights.mode()) {
        // It may not be ours. That is fine as long as it is no more open.
        Err(_) if bits(&found(to)?) & 0o077 & !rights.mode() == 0 => Ok(()),
        set => set,
    }
}

fn found(name: &Name<'_>) -> io::Result<Stat> {
    Ok(statat(name.dir, name.path, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The type of the field depends on the system.
#[allow(clippy::unnecessary_cast, trivial_numeric_casts)]
fn bits(found: &Stat) -> u32 {
    found.st_mode as u32 & 0o7777
}

#[allow(clippy::unnecessary_cast, trivial_numeric_casts)]
fn set_bits(name: &Name<'_>, bits: u32) -> io::Result<()> {
    if bits == self::bits(&found(name)?) {
        return Ok(()); // setting it would write the inode all the same
    }
    Ok(chmodat(name.dir, name.path, Mode::from_raw_mode(bits as RawMode), AtFlags::empty())?)
}

/// Gives it the owner and the group, as far as this process may.
fn give(to: &Name<'_>, old: &Stat, new: &Stat) {
    let owner = (old.st_uid != new.st_uid).then(|| Uid::from_raw(old.st_uid));
    let group = (old.st_gid != new.st_gid).then(|| Gid::from_raw(old.st_gid));
    let change = |owner, group| chownat(to.dir, to.path, owner, group, AtFlags::SYMLINK_NOFOLLOW);
    if owner.is_none() && group.is_none() || change(owner, group).is_ok() {
        return;
    }
    // A member may give a group, even where nobody may give an owner.
    let _ = change(None, group);
}

#[cfg(test)]
mod tests;
