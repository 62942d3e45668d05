//! The machine a run was made on, as far as the system tells.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

/// What decides how fast everything is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: f64,
    pub(crate) kernel: String,
    /// The type of the file system that the files were written to.
    pub(crate) file_system: String,
    pub(crate) is_virtual: bool,
}

impl Machine {
    /// This one, writing into this directory.
    pub(super) fn here(scratch: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kilobytes =
            memory.and_then(|memory| memory.trim_end_matches(" kB").parse::<f64>().ok());
        let scratch = scratch.canonicalize().unwrap_or_else(|_| scratch.to_owned());
        let mounts = read("/proc/self/mountinfo");
        Self {
            processor: value(&cpu, "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: available_parallelism().map_or(0, usize::from),
            memory_gb: kilobytes.unwrap_or_default() / 1e6,
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            file_system: file_system(&mounts, &scratch).unwrap_or("unknown").into(),
            is_virtual: value(&cpu, "flags")
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
        }
    }

    /// All of it in a line.
    pub(crate) fn line(&self) -> String {
        let kind = if self.is_virtual { " of a virtual machine" } else { "" };
        format!(
            "{}, {} cores{kind}, {:.0} GB, {}, {}",
            self.processor, self.cores, self.memory_gb, self.kernel, self.file_system
        )
    }
}

/// The value of the first line that begins with the key.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|k| k.trim() == key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the mount that holds the path: the one with the longest mount point above it.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let point = line.split(' ').nth(4)?;
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        path.starts_with(point).then_some((point.len(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount_point() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      23 22 0:21 / /tmp rw - tmpfs tmpfs rw\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/a")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/tmpa")), Some("ext4"));
    }

    #[test]
    fn the_key_of_a_line_stands_before_a_colon() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2: fast\n";
        assert_eq!(value(text, "model name").as_deref(), Some("A CPU @ 2: fast"));
        assert_eq!(value(text, "flags"), None);
    }

    #[test]
    fn this_machine_says_something() {
        let machine = Machine::here(Path::new("."));
        assert!(machine.cores > 0 && machine.line().contains("cores"), "{machine:?}");
    }
}
