//! Which file systems belong to this kernel alone, so that what it says about a file is all there is to say.
//!
//! On a network file system, in a program (FUSE) or in layers (overlayfs), a file can be opened where this
//! kernel does not see it: on another machine, in the directory that is shown, in the layer below. And a
//! sync of such a file system as a whole may reach no disk, or not report what failed. Nothing can be tried
//! out to find that, so the kinds that are known to be of this kernel are listed; any other is not trusted.

use std::fs::File;

/// Their numbers in `statfs`.
#[cfg(target_os = "linux")]
const OF_THIS_KERNEL: &[u64] = &[
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
    0x2fc1_2fc1, // ZFS
    0x3153_464a, // JFS
    0x3434,      // NILFS2
    0x5265_4973, // ReiserFS
];

/// Whether the open file or directory is on one of them.
#[cfg(target_os = "linux")]
pub(crate) fn is_of_this_kernel(file: &File) -> bool {
    // The number has 32 bits; the type of its field depends on the architecture.
    let number = rustix::fs::fstatfs(file).map(|found| found.f_type as u64 & 0xffff_ffff);
    number.is_ok_and(|number| OF_THIS_KERNEL.contains(&number))
}

/// Elsewhere this is not known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_of_this_kernel(_: &File) -> bool {
    false
}
