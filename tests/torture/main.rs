//! The rows of the reliability scorecard that need a separate program. `cargo xtask torture` runs it.
//!
//! `torture ROW --seed S [--full] [--case CASE]` tries to break one thing and prints the results as lines of
//! JSON. Each row is a module with one function, listed in [`ROWS`]. A case is a closure that panics when
//! something is wrong; its name is enough to repeat it alone.
//!
//! `torture --child …` is the same program as the child that is killed or starved, `torture --reader …` as the
//! one that reads with little memory.

#![forbid(unsafe_code)]

/// The child process that is killed.
mod child;
/// T16: lengths that claim far more than there is.
mod claimed_lengths;
/// T1: every operation fails once.
mod faults;
/// T10: the disk hangs.
mod hung_disk;
/// T3: the process is killed at every operation.
mod kills;
/// T18: jobs on a quantum computer, and a process that dies.
mod ledger;
/// An attack of our own: the system starves the process.
mod limits;
/// T17: a dataset of ranks is read by five engines while it is written.
mod live;
/// T15: checkpoints of a lower layer of overlayfs.
mod lower_layers;
/// T2: the power is cut before every change.
mod power_cuts;
/// T13: a long run.
mod soak;
/// T14: the names of a writer are taken away at every operation.
mod taken_names;
/// T6: hostile names and directories.
mod trees;
/// Runs cases and reports them.
mod trial;

use std::process::ExitCode;
use std::sync::Arc;
use trial::Trial;

/// A row of the scorecard.
type Run = fn(&Arc<Trial>);

/// All rows that this program can run.
const ROWS: &[(&str, Run)] = &[
    ("faults", faults::run),
    ("power_cuts", power_cuts::run),
    ("kills", kills::run),
    ("trees", trees::run),
    ("hung_disk", hung_disk::run),
    ("soak", soak::run),
    ("limits", limits::run),
    ("taken_names", taken_names::run),
    ("lower_layers", lower_layers::run),
    ("claimed_lengths", claimed_lengths::run),
    ("live", live::run),
    ("ledger", ledger::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((row, rest)) = arguments.split_first() else { return usage() };
    if row == "--child" {
        return child::main(rest);
    }
    if row == "--reader" {
        return claimed_lengths::reader(rest);
    }
    let Some((_, run)) = ROWS.iter().find(|(name, _)| name == row) else { return usage() };
    let Some(trial) = Trial::new(rest) else { return usage() };
    let trial = Arc::new(trial);
    run(&trial);
    trial.end();
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let rows: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
    eprintln!("torture ROW [--seed S] [--full] [--case CASE]\nrows: {}", rows.join(", "));
    ExitCode::from(2)
}
