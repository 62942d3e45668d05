//! What `log_step` does not do: allocate, or make system calls.
//!
//! Counted in a separate program, `benches/examples/hot_path.rs`: allocations by its allocator, and system calls by
//! `strace`, where it is installed, as the difference between many steps and none.

use qstore_tests::program;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const STEPS: i64 = 100_000;

/// A wake-up is one call, and there is at most one per half a ring of 10 000.
const WAKE_UPS_MAX: i64 = STEPS / 5_000;

#[test]
fn a_logged_step_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Command::new(program::example("hot_path"));
    program.arg(dir.path().join("metrics.parquet")).arg(STEPS.to_string());
    let output = program.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "0");
}

#[test]
fn a_logged_step_makes_no_system_call_except_a_rare_wake_up() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(few), Some(many)) = (calls(dir.path(), 0), calls(dir.path(), STEPS)) else {
        println!("not counted: strace is missing or not permitted");
        return;
    };
    for (call, count) in &many {
        let more = count - few.get(call).copied().unwrap_or(0);
        // How `stop` waits for the writer thread depends on timing.
        let max = if call == "futex" { WAKE_UPS_MAX + 4 } else { 0 };
        assert!(more <= max, "{more} more calls of {call} for {STEPS} steps: {many:?}");
    }
}

/// The system calls of the program's first thread, which logs, by name.
fn calls(dir: &Path, steps: i64) -> Option<BTreeMap<String, i64>> {
    let counts = dir.join("counts");
    let mut strace = Command::new("strace");
    strace.args(["-c", "-U", "calls,name", "-o"]).arg(&counts).arg(program::example("hot_path"));
    strace.arg(dir.join(format!("{steps}.parquet"))).arg(steps.to_string());
    if !strace.output().ok()?.status.success() {
        return None;
    }
    let text = std::fs::read_to_string(counts).ok()?;
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    });
    Some(
        lines
            .map(|(count, name): (i64, String)| (name, count))
            .filter(|(name, _)| name != "total")
            .collect(),
    )
}
