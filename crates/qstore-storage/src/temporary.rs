//! Names for temporary files that no other process uses, and the names of their locks.
//!
//! A name is `PROCESS-NUMBER`. `PROCESS` is a random number and not the process ID, because IDs repeat: two
//! containers that share a volume, or one that is started again, have the same ones.
//!
//! The lock of a temporary file is held while the file is in use. That distinguishes what a killed process left
//! behind from what another thread or process is writing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the name of a lock ends with.
pub const LOCK_SUFFIX: &str = ".lock";

const PROCESS_DIGITS: usize = 16;

/// A name that was not used before. Only a forked child counts on from its parent's numbers.
#[must_use]
pub fn unused_name() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{:0PROCESS_DIGITS$x}-{number}", *PROCESS)
}

/// Whether a name has that form.
///
/// ```
/// use qstore_storage::temporary::{is_temporary, unused_name};
///
/// let (one, other) = (unused_name(), unused_name());
/// assert!(one != other && is_temporary(&one) && !is_temporary("1-2"));
/// ```
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let Some((process, number)) = name.split_once('-') else { return false };
    process.len() == PROCESS_DIGITS
        && u64::from_str_radix(process, 16).is_ok()
        && number.parse::<u64>().is_ok()
}

/// The lock of a temporary file.
#[must_use]
pub fn lock_of(temporary: &Path) -> PathBuf {
    let mut path = temporary.as_os_str().to_os_string();
    path.push(LOCK_SUFFIX);
    path.into()
}
