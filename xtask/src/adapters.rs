//! `cargo xtask adapters`: the crates for training frameworks, which are a workspace of their own.
//!
//! A framework brings some 250 packages and minutes of compiling, and breaks with each of its minor versions. So nothing
//! else here builds, tests or locks them: they have their own manifest, lock file and target directory.

use crate::error::Result;
use crate::process;
use crate::workspace::Workspace;
use std::process::Command;

pub(crate) const ARGUMENTS: &str = "";
pub(crate) const ABOUT: &str =
    "format, lint and test the crates for frameworks (burn, candle); builds some 450 packages";

/// Does everything; there is nothing to choose.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    check(workspace)
}

/// Formatting, lints and tests.
pub(crate) fn check(workspace: &Workspace) -> Result {
    for arguments in [
        &["fmt", "--all", "--check"][..],
        &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        &["test", "--workspace"],
    ] {
        process::run(cargo(workspace)?.args(arguments))?;
    }
    Ok(())
}

/// `cargo` in the workspace of the adapters. What it builds does not go where the packages of the main workspace are:
/// the two choose other features of the same packages.
fn cargo(workspace: &Workspace) -> Result<Command> {
    let mut cargo = workspace.cargo();
    cargo.current_dir(workspace.root().join("adapters"));
    cargo.env("CARGO_TARGET_DIR", workspace.target()?.join("adapters"));
    Ok(cargo)
}
