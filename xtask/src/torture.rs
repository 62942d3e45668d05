//! `cargo xtask torture`: tries to break the storage, and prints the reliability scorecard.
//!
//! [`rows`] is the table: one entry for each row of the scorecard, made of parts. A part is a module of
//! the program `torture` (package `qstore-tests`, `tests/torture/`), or tests that lie in the crates
//! and are run with more cases than usual, or the model checkers, or mutants. To add one, add a line
//! there; everything else here only runs, listens and counts.
//!
//! `--file-systems` runs the suites and the rows that touch files on [other file systems](file_systems).
//!
//! Everything random comes from one seed. What fails is printed with the one command that repeats it.

mod binaries;
mod file_systems;
mod listen;
mod options;
mod progress;
mod rows;
mod run;
mod scorecard;
mod small_disk;

use crate::error::Result;
use crate::process;
use crate::test;
use crate::workspace::Workspace;
use binaries::Binaries;
use file_systems::FileSystem;
use options::Options;
use run::Runner;
use scorecard::Scorecard;

pub(crate) const ARGUMENTS: &str = "[--quick|--full] [--seed S] [--only ROW]… [--case CASE] [--json FILE] [--python PYTHON] \
     [--file-systems|--on FILE_SYSTEM…]";
pub(crate) const ABOUT: &str = "try to break it, and print the reliability scorecard";

/// Runs what the command line asks for.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    torture(workspace, &Options::parse(arguments)?)
}

/// The quick form, as a check among others.
pub(crate) fn quick(workspace: &Workspace) -> Result {
    torture(workspace, &Options::quick())
}

fn torture(workspace: &Workspace, options: &Options) -> Result {
    let target = workspace.target()?;
    let python = test::readers(workspace, &target, options.python.as_deref())?;
    eprintln!("building");
    let binaries = Binaries::build(workspace, &target)?;
    let commit = process::read(workspace.git().args(["rev-parse", "--short", "HEAD"]));
    let commit = commit.unwrap_or_default();
    let runner = || Runner::new(workspace, &target, &binaries, &python, options);
    let mut scorecard = Scorecard::new(options, commit.trim());
    if options.file_systems.is_empty() {
        let runner = runner()?;
        options.selection().for_each(|row| scorecard.add(runner.run(row)));
    }
    for name in &options.file_systems {
        match FileSystem::new(workspace, name) {
            Ok(place) => {
                eprintln!("on {name}");
                let runner = runner()?.on(place);
                options.selection_elsewhere().for_each(|row| scorecard.add(runner.run(row)));
            }
            Err(reason) => scorecard.skip(name, reason),
        }
    }
    scorecard.close(options.json.as_deref())
}
