//! Which answers of the system mean that it cannot do something at all, so that its caller does without.
//!
//! The only place that knows. File systems, kernels and sandboxes refuse in different ways: a call that is
//! unknown, a flag that is unknown, a filter that permits less than the kernel offers. An answer is listed
//! for an operation only if its caller has another way to go. Where the refusal was meant after all, as
//! `EPERM` may be, the other way meets it again and reports it.

use crate::operation::Operation;
use rustix::io::Errno;
use std::io;

/// Whether this answer to that operation means "cannot", rather than "failed".
pub(crate) fn cannot(operation: Operation, answer: &io::Error) -> bool {
    if answer.kind() == io::ErrorKind::Unsupported {
        return true;
    }
    if let Some(errno) = Errno::from_io_error(answer) {
        // The last two are one number on Linux, and two elsewhere.
        return [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP].contains(&errno)
            || also(operation).contains(&errno);
    }
    // Without a number, as from a file system that is not the machine's.
    also(operation).iter().any(|errno| io::Error::from(*errno).kind() == answer.kind())
        && !matches!(answer.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Other)
}

/// The answers that mean it for one operation only.
fn also(operation: Operation) -> &'static [Errno] {
    match operation {
        // A flag that the file system does not know (FUSE, NFS); layers (overlayfs); a filter.
        Operation::Exchange | Operation::RenameNew => {
            &[Errno::INVAL, Errno::XDEV, Errno::PERM, Errno::NOTTY]
        }
        // Names that belong to different file systems or layers.
        Operation::Rename => &[Errno::XDEV],
        // No hard links, as on FAT; no further link.
        Operation::Link => &[Errno::XDEV, Errno::PERM, Errno::MLINK, Errno::INVAL, Errno::NOTTY],
        // A directory that cannot be opened for a sync, or has none (SMB, 9P, shared folders).
        Operation::SyncDir => &[Errno::INVAL, Errno::BADF, Errno::ISDIR, Errno::NOTTY],
        // No locks on this file system (Lustre, NFS without its lock service), or for this descriptor.
        Operation::Lock => &[Errno::NOLCK, Errno::INVAL, Errno::BADF, Errno::PERM, Errno::NOTTY],
        // The same for a lease, and a file of another owner.
        Operation::Claim => {
            &[Errno::NOLCK, Errno::INVAL, Errno::BADF, Errno::PERM, Errno::ACCESS, Errno::NOTTY]
        }
        // No modes or attributes, or not for us: an owner or a group that we may not give.
        Operation::SetMode => &[Errno::PERM, Errno::INVAL, Errno::NOTTY],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(operation: Operation, errno: Errno) -> bool {
        cannot(operation, &errno.into())
    }

    #[test]
    fn a_call_that_the_system_does_not_have_is_never_a_failure() {
        for operation in [
            Operation::Exchange,
            Operation::RenameNew,
            Operation::Link,
            Operation::Sync,
            Operation::Lock,
        ] {
            for errno in [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP] {
                assert!(says(operation, errno), "{operation}: {errno}");
            }
            assert!(cannot(operation, &io::ErrorKind::Unsupported.into()), "{operation}");
        }
    }

    #[test]
    fn each_operation_has_answers_of_its_own() {
        for (operation, errnos) in [
            (Operation::Exchange, &[Errno::INVAL, Errno::XDEV, Errno::PERM, Errno::NOTTY][..]),
            (Operation::RenameNew, &[Errno::INVAL, Errno::XDEV, Errno::PERM, Errno::NOTTY]),
            (Operation::Rename, &[Errno::XDEV]),
            (Operation::Link, &[Errno::PERM, Errno::XDEV, Errno::MLINK, Errno::INVAL]),
            (Operation::SyncDir, &[Errno::INVAL, Errno::BADF, Errno::ISDIR]),
            (Operation::Lock, &[Errno::NOLCK, Errno::INVAL, Errno::BADF, Errno::PERM]),
            (Operation::Claim, &[Errno::NOLCK, Errno::INVAL, Errno::ACCESS, Errno::PERM]),
        ] {
            for errno in errnos {
                assert!(says(operation, *errno), "{operation}: {errno}");
            }
        }
        for errno in [Errno::INVAL, Errno::PERM, Errno::BADF, Errno::NOLCK, Errno::XDEV] {
            for operation in [Operation::Write, Operation::Sync, Operation::Create] {
                assert!(!says(operation, errno), "{operation}: {errno}");
            }
        }
        assert!(!says(Operation::Rename, Errno::INVAL) && !says(Operation::Link, Errno::ACCESS));
    }

    #[test]
    fn what_failed_is_never_taken_for_what_cannot_be_done() {
        for operation in [
            Operation::Exchange,
            Operation::Link,
            Operation::SyncDir,
            Operation::Lock,
            Operation::Claim,
            Operation::SetMode,
        ] {
            for errno in [Errno::IO, Errno::NOSPC, Errno::NOENT, Errno::ROFS, Errno::INTR] {
                assert!(!says(operation, errno), "{operation}: {errno}");
            }
        }
    }

    #[test]
    fn a_kind_without_a_number_is_understood_as_well() {
        use io::ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks};
        assert!(cannot(Operation::Exchange, &InvalidInput.into()));
        assert!(cannot(Operation::Rename, &CrossesDevices.into()));
        assert!(cannot(Operation::Link, &TooManyLinks.into()));
        // It may as well stand for `EACCES`.
        assert!(!cannot(Operation::Link, &PermissionDenied.into()));
    }
}
