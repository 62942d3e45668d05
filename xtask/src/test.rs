//! `cargo xtask test`: everything, on a machine that has only Rust, a C compiler and Python 3.
//!
//! | step | what |
//! |---|---|
//! | readers | the Python environment with pandas, pyarrow, polars, DuckDB, zarr and TensorStore |
//! | spark | environments with Spark 3.5 and 4, where there is a Java; one that is missing counts as ignored |
//! | build | every test, binary and example, so that the next step's time is the tests' own |
//! | tests | unit, property and integration tests, under cargo-nextest when it is installed; those that miss a browser count as ignored |
//! | doctests | the examples in the documentation |
//! | models | the ring and its wake-up under the model checkers loom and shuttle |
//! | consumers | programs outside the workspace that take a single crate |
//! | package | the tests of the Python package, in Python |
//!
//! A step that fails does not stop the ones after it, except that nothing can run unbuilt: one run
//! tells everything that is broken. The last line is always `N passed, N failed`.

mod browser;
mod consumers;
mod frameworks;
mod models;
mod package;
mod report;
mod spark;
mod tally;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::error::{Error, Result};
use crate::process;
use crate::readers;
use crate::workspace::Workspace;
use report::Report;
use tally::Tally;

pub(crate) const ARGUMENTS: &str = "[--python PYTHON] [FILTER…]";
pub(crate) const ABOUT: &str = "readers, tests, doctests, models, consumers, the Python package; or only tests whose name contains a FILTER";

/// Tells the tests where the Python is that has the reader libraries.
const READERS: &str = "QSTORE_READERS";

/// Tells the tests below which directory the environments with Spark are.
pub(crate) const SPARK: &str = "QSTORE_SPARK";

/// How cargo-nextest ends when no test was chosen.
const NEXTEST_RAN_NONE: i32 = 4;

#[derive(Default)]
struct Options {
    python: Option<OsString>,
    filters: Vec<String>,
}

/// Runs what the command line asks for.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    run_steps(workspace, &options(arguments)?)
}

/// Runs everything.
pub(crate) fn all(workspace: &Workspace) -> Result {
    run_steps(workspace, &Options::default())
}

/// The Python that has the reader libraries, made first if need be, as are those with Spark.
pub(crate) fn readers(
    workspace: &Workspace,
    target: &Path,
    chosen: Option<&OsStr>,
) -> Result<PathBuf> {
    let python = readers::prepare(workspace.root(), target, chosen)?;
    spark::prepare(workspace.root(), target, chosen);
    Ok(python)
}

/// The models of the ring, a command for each checker.
pub(crate) fn models(workspace: &Workspace, target: &Path) -> Vec<Command> {
    models::commands(workspace, target)
}

fn options(mut arguments: lexopt::Parser) -> Result<Options> {
    use lexopt::Arg::{Long, Value};

    let mut options = Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("python") => options.python = Some(arguments.value()?),
            Value(filter) => options.filters.push(filter.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn run_steps(workspace: &Workspace, options: &Options) -> Result {
    let target = workspace.target()?;
    let mut report = Report::default();

    // Without its readers the run has failed, but the other steps are still worth their time.
    let mut python = None;
    report.step("readers", || {
        python = Some(readers::prepare(workspace.root(), &target, options.python.as_deref())?);
        Ok(Tally::default())
    });
    report.step("spark", || {
        let ignored = spark::prepare(workspace.root(), &target, options.python.as_deref());
        Ok(Tally { ignored, ..Tally::default() })
    });
    let built = report.step("build", || {
        process::run(workspace.cargo().args(["test", "--workspace", "--no-run"]))?;
        // The integration tests start the demo and some examples as programs, and the step before
        // builds the tests of a program without the program.
        let programs = ["build", "--workspace", "--examples", "--bins"];
        process::run(workspace.cargo().args(programs))?;
        Ok(Tally::default())
    });
    if built {
        report.step("tests", || cases(workspace, &target, python.as_deref(), &options.filters));
    }
    if built && options.filters.is_empty() {
        report.step("doctests", || doctests(workspace));
        report.step("models", || models::check(workspace, &target));
        report.step("consumers", || Ok(consumers::check(workspace, &target)));
        if let Some(python) = &python {
            report.step("package", || package::check(workspace, &target, python, package::ALL));
            let chosen = options.python.as_deref();
            if let Some(python) = frameworks::prepare(workspace.root(), &target, chosen) {
                report.step("frameworks", || {
                    package::check(workspace, &target, &python, package::OF_FRAMEWORKS)
                });
            }
        }
    }
    report.close()
}

/// Unit and integration tests, each in its own process when cargo-nextest is there.
fn cases(
    workspace: &Workspace,
    target: &Path,
    python: Option<&Path>,
    filters: &[String],
) -> Result<Tally> {
    let mut cargo = workspace.cargo();
    cargo.env(SPARK, target);
    match python {
        Some(python) => cargo.env(READERS, python),
        None => cargo.env_remove(READERS),
    };
    let skipped = browser::skipped(filters);
    let skips = skipped.iter().flat_map(|test| ["--skip", test]);
    let (status, tally) = if has_nextest(workspace) {
        cargo.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(filters);
        // It counts what it skips.
        count(cargo.arg("--").args(skips), Tally::hear_nextest)?
    } else {
        cargo.args(["test", "--workspace", "--tests", "--no-fail-fast", "--"]).args(filters);
        let (status, tally) = count(cargo.args(skips), Tally::hear_libtest)?;
        (status, tally + Tally { ignored: skipped.len(), ..Tally::default() })
    };
    let ran_none = tally.passed + tally.failed == 0;
    let nothing_broke = status.success() || status.code() == Some(NEXTEST_RAN_NONE);
    if ran_none && nothing_broke && !filters.is_empty() {
        return Err(Error::Failed(format!("no test has `{}` in its name", filters.join("` or `"))));
    }
    judge(&cargo, status, tally)
}

fn doctests(workspace: &Workspace) -> Result<Tally> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    let (status, tally) = count(&mut cargo, Tally::hear_libtest)?;
    judge(&cargo, status, tally)
}

fn has_nextest(workspace: &Workspace) -> bool {
    process::output(workspace.cargo().args(["nextest", "--version"]))
        .is_ok_and(|output| output.status.success())
}

/// Runs a test runner and adds up what it says on both its streams.
fn count(runner: &mut Command, hear: fn(&mut Tally, &str)) -> Result<(ExitStatus, Tally)> {
    let (status, [out, err]) = process::overhear(runner, hear)?;
    Ok((status, out + err))
}

/// A runner that fails must have named a failed test; otherwise it is the runner that broke.
fn judge(runner: &Command, status: ExitStatus, tally: Tally) -> Result<Tally> {
    if status.success() || tally.failed > 0 {
        return Ok(tally);
    }
    Err(Error::Failed(format!(
        "`{}` ended with {status} without naming a failed test; see above",
        process::line(runner)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_the_interpreter_may_come_in_any_order() {
        let options =
            options(lexopt::Parser::from_args(["ring", "--python", "python3.12", "drain"]))
                .unwrap();
        assert_eq!(options.python.unwrap(), "python3.12");
        assert_eq!(options.filters, ["ring", "drain"]);
    }

    #[test]
    fn an_unknown_option_is_a_usage_error() {
        let error = options(lexopt::Parser::from_args(["--release"])).err().unwrap();
        assert_eq!(error.exit_code(), 2);
    }
}
