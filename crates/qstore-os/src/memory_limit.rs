//! The memory that a process can have at the most.
//!
//! Linux grants address space that it has no memory for, and ends a process that then uses it. So what a file
//! claims is compared with this limit first.

/// The most memory that this process can ever have, in bytes: that of the machine or of its control group
/// (a container's limit), whichever is smaller, and the swap space. `None` where this is not known, which is
/// everywhere but on Linux. Less may be free.
///
/// ```
/// let limit = qstore_os::memory_limit();
/// assert!(limit.is_none_or(|limit| limit > 1 << 20));
/// ```
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let (memory, swap) = machine(&read("/proc/meminfo")?)?;
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let limits =
        limit_files(&groups).into_iter().filter_map(|path| read(&path)?.trim().parse().ok());
    Some(limits.fold(memory, u64::min).saturating_add(swap))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The memory and the swap space of the machine.
fn machine(meminfo: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((bytes("MemTotal:")?, bytes("SwapTotal:").unwrap_or(0)))
}

/// The files that can hold a limit: of the group that the process is in and of those above it, in both
/// versions of control groups. A container often sees its own group as the topmost one.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(kinds), Some(group)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (mount, name) = match kinds {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut group = group.trim_end_matches('/');
        loop {
            files.push(format!("{mount}{group}/{name}"));
            let Some((above, _)) = group.rsplit_once('/') else { break };
            group = above;
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_in_kibibytes() {
        let meminfo = "MemTotal:       16316412 kB\nMemFree: 1 kB\nSwapTotal:       2097148 kB\n";
        assert_eq!(machine(meminfo), Some((16_316_412 * 1024, 2_097_148 * 1024)));
        assert_eq!(machine("MemTotal: 1 kB\n"), Some((1024, 0)));
        assert_eq!(machine(""), None);
    }

    #[test]
    fn limits_are_looked_for_in_every_group_above_the_process() {
        let files = limit_files("4:cpu,memory:/a/b\n3:cpuset:/\n0::/c\n1:name=systemd:/x\n");
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/c/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(limit_files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
    }
}
