//! How a process can end, and what that costs: the table of `docs/shutdown.md`, row by row.
//!
//! The original lost 999 of 1 000 rows by a clean `stop()`.

use qstore_tests::{parquet, program};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Rows the program knows to be flushed, and rows it logs.
const FLUSHED: i64 = 100;
const LOGGED: i64 = 150;

/// Lets the program end in this way and returns the steps it left in its file.
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

/// Whether SIGINT does nothing here, and so in our children: a shell without job control starts what it
/// puts into the background so. Such a child would be waited for without end.
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
fn a_signal_that_the_program_listens_to_loses_nothing() {
    for signal in ["-INT", "-TERM"] {
        assert!(steps_after("signal", send(signal)).into_iter().eq(0..LOGGED), "{signal}");
    }
    println!("2 cases");
}

/// The rows since the last flush were never published, and nothing else is missing.
#[test]
fn an_ending_that_runs_none_loses_what_was_not_flushed_and_no_more() {
    for ending in ["exit", "abort", "forget"] {
        assert!(steps_after(ending, |_| {}).into_iter().eq(0..FLUSHED), "{ending}");
    }
    let mut cases = 3;
    for signal in ["-INT", "-TERM", "-KILL"] {
        if signal == "-INT" && is_interrupt_ignored() {
            println!(
                "-INT: not run, the shell that started us in the background lets it be ignored"
            );
            continue;
        }
        assert!(steps_after("wait", send(signal)).into_iter().eq(0..FLUSHED), "{signal}");
        cases += 1;
    }
    println!("{cases} cases");
}
