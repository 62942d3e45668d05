//! The ways a process can end, and what each one loses: the table of `docs/shutdown.md`, row by row.
//!
//! The original lost 999 of 1 000 rows by a clean `stop()`.

use qstore_tests::{parquet, program};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The number of rows that the program flushes, and of those it logs.
const FLUSHED: i64 = 100;
const LOGGED: i64 = 150;

/// Makes the program end in that way and returns the steps in its file.
fn steps_after(ending: &str, end: impl FnOnce(&Child)) -> Vec<i64> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metrics.parquet");
    let mut child = Command::new(program::example("endings"))
        .args([file.as_os_str(), ending.as_ref()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "logged\n", "{ending}");
    end(&child);
    child.wait().unwrap();
    parquet::integers(&std::fs::read(file).unwrap(), "step")
}

fn send(signal: &'static str) -> impl FnOnce(&Child) {
    move |child| {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

/// Whether SIGINT is ignored by this process, and therefore by its children, as in the background jobs of a shell
/// without job control. The test would wait indefinitely for such a child.
fn is_interrupt_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

#[test]
fn an_ending_that_runs_destructors_loses_nothing() {
    for ending in ["stop", "drop", "error", "panic"] {
        assert!(steps_after(ending, |_| {}).into_iter().eq(0..LOGGED), "{ending}");
    }
    println!("4 cases");
}

#[test]
fn a_signal_that_the_program_handles_loses_nothing() {
    for signal in ["-INT", "-TERM"] {
        assert!(steps_after("signal", send(signal)).into_iter().eq(0..LOGGED), "{signal}");
    }
    println!("2 cases");
}

/// The rows since the last flush were never published; nothing else is missing.
#[test]
fn an_ending_without_destructors_loses_only_what_was_not_flushed() {
    for ending in ["exit", "abort", "forget"] {
        assert!(steps_after(ending, |_| {}).into_iter().eq(0..FLUSHED), "{ending}");
    }
    let mut cases = 3;
    for signal in ["-INT", "-TERM", "-KILL"] {
        if signal == "-INT" && is_interrupt_ignored() {
            println!("-INT: not run, because this process was started with SIGINT ignored");
            continue;
        }
        assert!(steps_after("wait", send(signal)).into_iter().eq(0..FLUSHED), "{signal}");
        cases += 1;
    }
    println!("{cases} cases");
}
