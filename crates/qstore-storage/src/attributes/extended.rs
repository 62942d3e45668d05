//! Extended attributes: the access list, labels, and what people have attached to a file.
//!
//! Best effort: not every file system has them, and not everyone may set them.

#[cfg(target_os = "linux")]
mod linux {
    use rustix::buffer::spare_capacity;
    use rustix::fs::{XattrFlags, getxattr, listxattr, lremovexattr, lsetxattr};
    use rustix::io::Errno;
    use std::path::Path;

    const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
    /// The longest value, and the longest list of names, that Linux has.
    const LEN_MAX: usize = 1 << 16;

    /// The access list of the file; `None` if it has just a mode.
    pub(in super::super) fn access_list(path: &Path) -> Option<Vec<u8>> {
        value(path, ACCESS_LIST)
    }

    /// Sets or removes the access list. Returns whether the file has exactly that now.
    pub(in super::super) fn set_access_list(path: &Path, list: Option<&[u8]>) -> bool {
        match list {
            Some(list) => lsetxattr(path, ACCESS_LIST, list, XattrFlags::empty()).is_ok(),
            None => match lremovexattr(path, ACCESS_LIST) {
                Ok(()) | Err(Errno::NODATA) => true,
                Err(_) => access_list(path).is_none(),
            },
        }
    }

    /// Gives `to` the attributes of `from`, and no others that people may attach.
    pub(in super::super) fn carry(from: &Path, to: &Path) {
        let (old, new) = (names(from), names(to));
        for name in old.iter().filter(|name| is_carried(name)) {
            let Some(wanted) = value(from, name) else { continue };
            if value(to, name).as_ref() != Some(&wanted) {
                let _ = lsetxattr(to, &**name, &wanted, XattrFlags::empty());
            }
        }
        for name in new.iter().filter(|name| is_removed(name) && !old.contains(name)) {
            let _ = lremovexattr(to, &**name);
        }
    }

    /// What describes the file to people and to access control. Not what describes its bytes (signatures),
    /// gives rights to a program that is run (capabilities), or belongs to a layer (overlayfs).
    pub(in super::super) fn is_carried(name: &[u8]) -> bool {
        const KINDS: [&[u8]; 7] = [
            b"user.",
            b"trusted.",
            b"btrfs.",
            b"security.selinux",
            b"security.SMACK64",
            b"system.posix_acl_default",
            b"system.nfs4_acl",
        ];
        const NOT: [&[u8]; 3] = [b"user.overlay.", b"trusted.overlay.", b"trusted.SGI_"];
        let is_of = |kinds: &[&[u8]]| kinds.iter().any(|kind| name.starts_with(kind));
        is_of(&KINDS) && !is_of(&NOT)
    }

    /// What a directory may have given to a new file, or an earlier file may have had.
    fn is_removed(name: &[u8]) -> bool {
        is_carried(name) && (name.starts_with(b"user.") || name == b"system.posix_acl_default")
    }

    fn value(path: &Path, name: &[u8]) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(LEN_MAX);
        getxattr(path, name, spare_capacity(&mut value)).ok()?;
        Some(value)
    }

    fn names(path: &Path) -> Vec<Vec<u8>> {
        let mut list = Vec::with_capacity(LEN_MAX);
        if listxattr(path, spare_capacity(&mut list)).is_err() {
            return Vec::new();
        }
        let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(<[u8]>::to_vec).collect()
    }
}

#[cfg(target_os = "linux")]
#[cfg(all(test, target_os = "linux"))]
pub(super) use linux::is_carried;
pub(super) use linux::{access_list, carry, set_access_list};

/// Elsewhere the mode is all there is.
#[cfg(not(target_os = "linux"))]
mod none {
    use std::path::Path;

    pub(in super::super) fn access_list(_: &Path) -> Option<Vec<u8>> {
        None
    }

    pub(in super::super) fn set_access_list(_: &Path, list: Option<&[u8]>) -> bool {
        list.is_none()
    }

    pub(in super::super) fn carry(_: &Path, _: &Path) {}
}

#[cfg(not(target_os = "linux"))]
pub(super) use none::{access_list, carry, set_access_list};
