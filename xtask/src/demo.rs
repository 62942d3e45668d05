//! `cargo xtask demo`: records a real training run, the first thing a newcomer does.
//!
//! The run itself is the package `qstore-demo` in `demo/`; this file only starts it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::Result;
use crate::process;
use crate::workspace::{Workspace, cargo_here};

pub(crate) const ARGUMENTS: &str = "[--out DIR] [--epochs N] [--seed S] [--resume] [--journal FILE] [--provider simulated [--hold N]]";
pub(crate) const ABOUT: &str = "train a quantum classifier on Iris and record the run";

/// Runs the demo with everything that was typed.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    let typed: Vec<OsString> = arguments.raw_args()?.collect();
    let mut cargo = cargo_here();
    cargo.args(["run", "--release", "--package", "qstore-demo", "--"]);
    // What is typed comes later and so wins, should it name a directory, too.
    cargo.arg("--runs").arg(default_runs(workspace)).args(typed);
    process::run_in_our_place(&mut cargo)
}

/// `target/demo` of this workspace wherever the caller stands, in its short form when possible:
/// the demo prints the path for a person to copy.
fn default_runs(workspace: &Workspace) -> PathBuf {
    let at_top = env::current_dir().is_ok_and(|here| here == workspace.root());
    let top = if at_top { PathBuf::new() } else { workspace.root().to_path_buf() };
    top.join("target").join("demo")
}
