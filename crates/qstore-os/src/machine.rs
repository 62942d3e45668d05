//! The machine that a process runs on: its name, and since when it runs.
//!
//! `unsafe` for one system call that the standard library does not have.

#![allow(unsafe_code)]

use std::sync::LazyLock;

/// The name of this machine or, in a container, of the container. `None` if it has none, or one that is not text.
#[must_use]
#[cfg(unix)]
pub fn host_name() -> Option<String> {
    // POSIX allows 255 bytes; Linux allows 64.
    let mut name = [0_u8; 256];
    // SAFETY: the system writes at most as many bytes as it may take, to an array that is that long.
    let answer = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if answer != 0 {
        return None;
    }
    let end = name.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&name[..end]).ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The name of this machine.
#[must_use]
#[cfg(not(unix))]
pub fn host_name() -> Option<String> {
    None
}

/// A random number that the machine has from its start to the next one; all its containers have the same. `None`
/// where there is no such number, which is everywhere but on Linux.
///
/// ```
/// assert_eq!(qstore_os::boot_id(), qstore_os::boot_id());
/// ```
#[must_use]
pub fn boot_id() -> Option<String> {
    // A process does not outlive its machine.
    static ID: LazyLock<Option<String>> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    });
    ID.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name_and_a_number_without_line_breaks() {
        for text in [host_name(), boot_id()].into_iter().flatten() {
            assert!(!text.contains(char::is_whitespace), "{text:?}");
        }
        #[cfg(target_os = "linux")]
        assert!(host_name().is_some() && boot_id().is_some());
    }
}
