//! Does a logged step allocate memory, or call the system?
//!
//! Counted, not timed, in a program of its own (`examples/hot_path.rs`): allocations by its allocator,
//! system calls of the logging thread by `strace`, as the difference between many steps and few.

use crate::Result;
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use std::path::{Path, PathBuf};
use std::process::Command;

const STEPS: u64 = 200_000;

/// System calls of the thread that logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Calls {
    all: u64,
    /// Those that a lock in demand, or a wake-up, would make.
    futex: u64,
}

pub(crate) fn measure(set: &'static str, scratch: &Path) -> Result<Vec<Row>> {
    let program = program()?;
    let file = scratch.join("hot_path.parquet");
    let per_step = |count: u64| count as f64 / STEPS as f64;
    let said = Command::new(&program).arg(&file).arg(STEPS.to_string()).output()?;
    std::fs::remove_file(&file)?;
    let allocations: u64 = String::from_utf8(said.stdout)?.trim().parse()?;
    let note = format!("{STEPS} steps back to back, 18 fields and 2 extras; a counting allocator");
    let mut rows = vec![row(set, "log_step_allocations", per_step(allocations), note)];

    let (Some(few), Some(many)) = (trace(&program, &file, 0)?, trace(&program, &file, STEPS)?)
    else {
        println!("  log_step_syscalls, log_step_locks: not counted, there is no strace");
        return Ok(rows);
    };
    let note = format!(
        "the same {STEPS} steps; strace of the logging thread, less what no step at all costs. A \
         wake-up is one futex call, of which there may be one per half a ring, {}",
        STEPS / 5_000
    );
    rows.push(row(set, "log_step_syscalls", per_step(many.all.saturating_sub(few.all)), note));
    let note = "futex calls among them: also what a lock in demand would show as; none is taken";
    rows.push(row(set, "log_step_locks", per_step(many.futex.saturating_sub(few.futex)), note));
    Ok(rows)
}

fn row(set: &'static str, name: &'static str, figure: f64, note: impl Into<String>) -> Row {
    Row::new(set, Measure::ours(name, "per step", &[], note), Summary::once(figure))
}

/// The example, which stands beside this program.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let program = here.with_file_name("examples").join("hot_path");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("{} does not exist: run `cargo xtask bench`, which builds it", program.display())
        .into())
}

/// Runs the program under `strace`, which follows the thread it begins with and no other; `None`
/// where there is none.
fn trace(program: &Path, file: &Path, steps: u64) -> Result<Option<Calls>> {
    let counts = file.with_extension("strace");
    let mut strace = Command::new("strace");
    strace.args(["-c", "-U", "calls,name", "-o"]).arg(&counts).arg(program).arg(file);
    let Ok(output) = strace.arg(steps.to_string()).output() else { return Ok(None) };
    if !output.status.success() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&counts)?;
    std::fs::remove_file(file)?;
    std::fs::remove_file(counts)?;
    Ok(Some(Calls::parse(&text)))
}

impl Calls {
    /// Reads lines of a number and a name.
    fn parse(text: &str) -> Self {
        let mut calls = Self { all: 0, futex: 0 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(Ok(count)), Some(name)) = (words.next().map(str::parse), words.next()) else {
                continue;
            };
            if name != "total" {
                calls.all += count;
            }
            if name == "futex" {
                calls.futex = count;
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_calls_is_added_up() {
        let text = "    calls syscall\n--------- ----------------\n        7 futex\n       12 read\n\
                    --------- ----------------\n       19 total\n";
        assert_eq!(Calls::parse(text), Calls { all: 19, futex: 7 });
    }
}
