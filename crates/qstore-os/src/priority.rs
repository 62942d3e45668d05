//! How much processor time a background thread may take from the threads that train.

/// How the system's scheduler treats a background thread, and the threads it starts later.
///
/// ```
/// use qstore_os::Priority;
///
/// let sum = std::thread::spawn(|| {
///     Priority::Batch.apply(); // never preempts the thread that wakes it
///     (0..1_000_u64).sum::<u64>()
/// });
/// assert_eq!(sum.join().unwrap(), 499_500); // the priority changes no result
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Like any other thread: it may preempt the thread that wakes it at once.
    Normal,
    /// Gets its fair share of the machine, but never preempts the thread that wakes it. The default.
    #[default]
    Batch,
    /// Runs only when no other thread wants the core. On a machine that is never idle it may never
    /// finish.
    Idle,
}

impl Priority {
    /// Applies the priority to the calling thread and to the threads it starts later. Linux only;
    /// elsewhere, and if the system refuses, nothing changes.
    pub fn apply(self) {
        apply(self);
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn apply(priority: Priority) {
    let policy = match priority {
        Priority::Normal => libc::SCHED_OTHER,
        Priority::Batch => libc::SCHED_BATCH,
        Priority::Idle => libc::SCHED_IDLE,
    };
    // These policies have no priority of their own: all zeros is the one valid value.
    // SAFETY: the type is made of numbers.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread, and the parameters live until the call is over.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
}

#[cfg(not(target_os = "linux"))]
fn apply(_: Priority) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::thread;

    /// The number of the calling thread's policy: field 41 of its line in `/proc`.
    fn policy() -> i32 {
        let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // The second field is a name in parentheses, which may contain spaces.
        let behind_name = &line[line.rfind(')').unwrap() + 2..];
        behind_name.split(' ').nth(41 - 3).unwrap().parse().unwrap()
    }

    #[test]
    fn applies_to_the_thread_and_its_children_and_to_no_other() {
        let known = [
            (Priority::Normal, libc::SCHED_OTHER),
            (Priority::Batch, libc::SCHED_BATCH),
            (Priority::Idle, libc::SCHED_IDLE),
        ];
        for (priority, expected) in known {
            let found = thread::spawn(move || {
                priority.apply();
                (policy(), thread::spawn(policy).join().unwrap())
            });
            assert_eq!(found.join().unwrap(), (expected, expected), "{priority:?}");
        }
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
