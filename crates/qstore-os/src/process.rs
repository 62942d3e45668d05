//! Which process wrote something, and whether it is still there.
//!
//! A process number alone does not tell: numbers repeat, and each container counts from 1. So the number comes
//! with the namespace that it counts in and the time at which the process began. Asking needs no permission.
//!
//! `unsafe` for one system call that the standard library does not have.

#![allow(unsafe_code)]

use std::fmt;

/// A process, told apart from any other that had or will have the same number on this machine since it was
/// started.
///
/// ```
/// use qstore_os::ProcessMark;
///
/// let this = ProcessMark::this();
/// assert_ne!(this.is_alive(), Some(false));
/// let parsed: ProcessMark = this.to_string().parse().unwrap();
/// assert_eq!(parsed, this);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessMark {
    /// Its number.
    pub pid: u32,
    /// When it began, in ticks since the machine was started; `None` where this is not known.
    pub started: Option<u64>,
    /// The namespace of the number; `None` where this is not known.
    pub namespace: Option<String>,
}

impl ProcessMark {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        let pid = std::process::id();
        let started = stat_of(pid).map(|stat| stat.started);
        Self { pid, started, namespace: namespace() }
    }

    /// Whether the process is still there. `None` where that cannot be known: its number counts in another
    /// namespace, as in another container, or the system does not tell. A process that has ended and waits for
    /// its parent to notice counts as ended.
    ///
    /// It must be asked on the machine that the process was on, which must not have been started again since.
    #[must_use]
    pub fn is_alive(&self) -> Option<bool> {
        self.namespace.as_ref()?;
        if self.namespace != namespace() {
            return None;
        }
        if !exists(self.pid) {
            return Some(false);
        }
        // Without its times it is taken for the same: it may be hidden from this user.
        let Some((stat, started)) = stat_of(self.pid).zip(self.started) else { return Some(true) };
        Some(stat.started == started && !stat.has_ended)
    }
}

impl fmt::Display for ProcessMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = self.started.map_or("-".into(), |ticks| ticks.to_string());
        write!(f, "{} {started} {}", self.pid, self.namespace.as_deref().unwrap_or("-"))
    }
}

impl std::str::FromStr for ProcessMark {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split_whitespace();
        let pid = fields.next().unwrap_or_default().parse()?;
        let known = |field: &&str| *field != "-";
        let started = fields.next().filter(known).map(str::parse).transpose()?;
        Ok(Self { pid, started, namespace: fields.next().filter(known).map(str::to_owned) })
    }
}

struct Stat {
    started: u64,
    has_ended: bool,
}

fn stat_of(pid: u32) -> Option<Stat> {
    let path = std::path::Path::new("/proc").join(pid.to_string()).join("stat");
    parse(&std::fs::read_to_string(path).ok()?)
}

/// The name, in parentheses, may have spaces and parentheses of its own.
fn parse(stat: &str) -> Option<Stat> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
    // The third field was the state; the 22nd is the time.
    Some(Stat { started: fields.nth(18)?.parse().ok()?, has_ended })
}

fn namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_str()?.replace(char::is_whitespace, ""))
}

#[cfg(unix)]
fn exists(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    if pid <= 0 {
        return false;
    }
    // SAFETY: signal 0 is not sent; the system only looks for the process.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(not(unix))]
fn exists(_: u32) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_alive_until_it_ends_even_if_nobody_has_waited_for_it() {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let started = stat_of(child.id()).map(|stat| stat.started);
        let mark = ProcessMark { pid: child.id(), started, namespace: namespace() };
        assert_eq!(mark.is_alive(), Some(true));
        child.kill().unwrap();
        // Not waited for yet: the number is still taken.
        while mark.is_alive() == Some(true) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(mark.is_alive(), Some(false));
    }

    #[test]
    fn another_process_of_the_same_number_is_not_it() {
        let this = ProcessMark::this();
        assert_eq!(this.is_alive(), Some(true));
        let earlier = ProcessMark { started: this.started.map(|ticks| ticks - 1), ..this.clone() };
        assert_eq!(earlier.is_alive(), Some(false));
        let elsewhere = ProcessMark { namespace: Some("pid:[1]".into()), ..this.clone() };
        assert_eq!(elsewhere.is_alive(), None);
        assert_eq!(ProcessMark { namespace: None, ..this }.is_alive(), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_mislead() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        let stat = parse(stat).unwrap();
        assert_eq!((stat.started, stat.has_ended), (4711, false));
        assert!(parse("7 (a) Z 1").is_none() && parse("").is_none() && parse("7 a").is_none());
    }

    #[test]
    fn a_mark_is_read_back_as_it_was_written() {
        for mark in [
            ProcessMark { pid: 7, started: Some(3), namespace: Some("pid:[4]".into()) },
            ProcessMark { pid: 7, started: None, namespace: None },
        ] {
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        assert!("".parse::<ProcessMark>().is_err() && "x y z".parse::<ProcessMark>().is_err());
    }
}
