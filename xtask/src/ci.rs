//! `cargo xtask ci`: what must hold before a change is merged.
//!
//! Each check is also a command of its own, so that the hosted workflow is one line per job and a
//! person can repeat any job at home.

use serde_json::Value;

use crate::adapters;
use crate::error::{Error, Result};
use crate::process;
use crate::test;
use crate::tidy;
use crate::torture;
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str =
    "[fmt|clippy|docs|tidy|torture|test|msrv|deny|adapters|package]…";
pub(crate) const ABOUT: &str =
    "check as the hosted CI does (no word: fmt, tidy, clippy, docs, torture, test)";

type Check = fn(&Workspace) -> Result;

/// Cheap ones first; `test` last, because its closing lines are what a person looks for.
const CHECKS: &[(&str, Check)] = &[
    ("fmt", fmt),
    ("tidy", tidy::check),
    ("clippy", clippy),
    ("docs", docs),
    ("torture", torture::quick),
    ("test", test::all),
];

/// Only by name: they need a toolchain or a tool that a new machine does not have, or minutes for packages that nothing
/// else needs.
const BY_NAME: &[(&str, Check)] =
    &[("msrv", msrv), ("deny", deny), ("adapters", adapters::check), ("package", package)];

/// Runs the named checks, or the usual ones, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    for (name, check) in selection(arguments)? {
        eprintln!("==> ci {name}");
        check(workspace)?;
    }
    Ok(())
}

fn selection(mut arguments: lexopt::Parser) -> Result<Vec<(&'static str, Check)>> {
    let mut selected = Vec::new();
    while let Some(argument) = arguments.next()? {
        let lexopt::Arg::Value(word) = argument else { return Err(argument.unexpected().into()) };
        let mut known = CHECKS.iter().chain(BY_NAME);
        let Some(check) = known.find(|(name, _)| word == *name) else {
            let names: Vec<_> = CHECKS.iter().chain(BY_NAME).map(|(name, _)| *name).collect();
            return Err(Error::Usage(format!(
                "there is no check `{}`; there are: {}",
                word.to_string_lossy(),
                names.join(", ")
            )));
        };
        selected.push(*check);
    }
    Ok(if selected.is_empty() { CHECKS.to_vec() } else { selected })
}

fn fmt(workspace: &Workspace) -> Result {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))
        .map_err(|_| Error::Failed("the code above is not formatted; run `cargo fmt --all`".into()))
}

fn clippy(workspace: &Workspace) -> Result {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    process::run(workspace.cargo().args(arguments))
}

fn docs(workspace: &Workspace) -> Result {
    let mut cargo = workspace.cargo();
    cargo.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    process::run(&mut cargo)
}

/// Does it compile with the oldest Rust we promise? The caller chooses the toolchain, as in
/// `cargo +1.91 xtask ci msrv`.
fn msrv(workspace: &Workspace) -> Result {
    let version = process::read(workspace.cargo().arg("--version"))?;
    eprintln!("checking with {}", version.trim_end());
    process::run(workspace.cargo().args(["check", "--workspace"]))
}

fn deny(workspace: &Workspace) -> Result {
    process::run(workspace.cargo().args(["deny", "check"])).map_err(|_| {
        Error::Failed(
            "`cargo deny check` failed; if cargo has no such command: cargo install cargo-deny"
                .into(),
        )
    })
}

/// Does each crate compile from its archive alone? cargo packs them, and builds one after the other in the
/// order in which they depend on each other, with the archives in place of a registry.
fn package(workspace: &Workspace) -> Result {
    let metadata = workspace.metadata(&["--no-deps"])?;
    let published = published(&metadata);
    let mut cargo = workspace.cargo();
    // What is not committed yet is checked as well.
    cargo.args(["package", "--allow-dirty"]);
    cargo.args(published.iter().flat_map(|name| ["--package", name]));
    // Otherwise each archive would be built in a directory of its own, with all its dependencies.
    cargo.env("CARGO_TARGET_DIR", workspace.target()?.join("archives"));
    process::run(&mut cargo)
}

/// The members that may go to a registry.
fn published(metadata: &Value) -> Vec<&str> {
    // `publish = false` is an empty list of registries.
    let is_published = |package: &&Value| {
        package["publish"].as_array().is_none_or(|registries| !registries.is_empty())
    };
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(is_published).filter_map(|package| package["name"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Result<Vec<&'static str>> {
        let words = line.split_whitespace();
        let selected = selection(lexopt::Parser::from_args(words))?;
        Ok(selected.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn without_a_word_the_usual_checks_run_and_test_is_last() {
        assert_eq!(names("").unwrap(), ["fmt", "tidy", "clippy", "docs", "torture", "test"]);
    }

    #[test]
    fn named_checks_run_in_the_order_given() {
        assert_eq!(names("msrv fmt").unwrap(), ["msrv", "fmt"]);
    }

    #[test]
    fn what_is_not_published_is_not_packaged() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "a", "publish": null },
            { "name": "b", "publish": [] },
            { "name": "c", "publish": ["a registry"] },
        ] });
        assert_eq!(published(&metadata), ["a", "c"]);
    }

    #[test]
    fn an_unknown_check_is_a_usage_error_that_lists_the_known_ones() {
        let error = names("lint").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.message().unwrap().contains("clippy"));
    }
}
