//! What a file keeps when another one takes its place: mode, owner, group, access list, attributes.
//!
//! The new file gets what this process may give. Where it may not give an owner or a group, the rights are
//! narrowed so that nobody gains any: see [`Rights::narrowed`]. At no moment is the new file more open than
//! both what it was and what it becomes.

mod extended;
mod rights;

use rights::Rights;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Gives `to` what `from` has. Nothing is written if it has that already.
///
/// # Errors
/// When `to` would be more open than `from` and cannot be narrowed.
pub(crate) fn carry(from: &Path, to: &Path) -> io::Result<()> {
    let (old, new) = (fs::metadata(from)?, fs::symlink_metadata(to)?);
    if new.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link has no mode"));
    }
    let wanted = Rights::of(&old, extended::access_list(from));
    let is_same = (old.uid(), old.gid(), bits(&old)) == (new.uid(), new.gid(), bits(&new))
        && wanted == Rights::of(&new, extended::access_list(to));
    if is_same {
        extended::carry(from, to);
        return Ok(());
    }
    // Nobody else may have it while its owner and its rights do not belong together. If that fails, the
    // last step shows whether it matters.
    if bits(&new) & 0o077 != 0 {
        let _ = set_bits(to, bits(&new) & 0o700);
    }
    give(to, &old, &new);
    extended::carry(from, to);
    let now = fs::symlink_metadata(to)?;
    let (is_owner, is_group) = (now.uid() == old.uid(), now.gid() == old.gid());
    // mutant: rights_not_narrowed
    let rights = wanted.narrowed(is_owner, is_group);
    let rights = rights.written(|list| extended::set_access_list(to, list));
    let special = (bits(&old) & 0o1000)
        | if is_owner { bits(&old) & 0o4000 } else { 0 }
        | if is_group { bits(&old) & 0o2000 } else { 0 };
    match set_bits(to, special | rights.mode()) {
        // It may not be ours. That is fine as long as it is no more open.
        Err(_) if bits(&fs::symlink_metadata(to)?) & 0o077 & !rights.mode() == 0 => Ok(()),
        set => set,
    }
}

fn bits(found: &Metadata) -> u32 {
    found.mode() & 0o7777
}

fn set_bits(path: &Path, bits: u32) -> io::Result<()> {
    if bits == self::bits(&fs::symlink_metadata(path)?) {
        return Ok(()); // setting it would write the inode all the same
    }
    fs::set_permissions(path, Permissions::from_mode(bits))
}

/// Gives it the owner and the group, as far as this process may.
fn give(to: &Path, old: &Metadata, new: &Metadata) {
    let owner = (old.uid() != new.uid()).then(|| Uid::from_raw(old.uid()));
    let group = (old.gid() != new.gid()).then(|| Gid::from_raw(old.gid()));
    let change = |owner, group| chownat(CWD, to, owner, group, AtFlags::SYMLINK_NOFOLLOW);
    if owner.is_none() && group.is_none() || change(owner, group).is_ok() {
        return;
    }
    // A member may give a group, even where nobody may give an owner.
    let _ = change(None, group);
}

#[cfg(test)]
mod tests;
