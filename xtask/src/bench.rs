//! `cargo xtask bench`: measures ours, our peers and the hardware's limit side by side.
//!
//! The sets live in the package `qstore-bench`, which keeps the rivals' dependencies out of every
//! library; this file only starts it, optimised.

use crate::error::Result;
use crate::process;
use crate::workspace::{Workspace, cargo_here};

pub(crate) const ARGUMENTS: &str = "[SET…] [--long] [--json FILE]";
pub(crate) const ABOUT: &str = "measure: buffer, logger, parquet, checkpoint (no SET: all)";

/// Runs the bench program with everything that was typed.
pub(crate) fn run(_: &Workspace, mut arguments: lexopt::Parser) -> Result {
    // The program counts with another one, which has an allocator of its own.
    let mut build = cargo_here();
    process::run(build.args([
        "build",
        "--release",
        "--package",
        "qstore-bench",
        "--features",
        "peers",
        "--examples",
        "--bins",
    ]))?;
    let mut cargo = cargo_here();
    cargo.args(["run", "--release", "--package", "qstore-bench", "--features", "peers", "--"]);
    process::run_in_our_place(cargo.args(arguments.raw_args()?))
}
