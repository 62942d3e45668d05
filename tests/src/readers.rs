//! Runs the Python scripts in `tests/readers/`, which open our files with third-party libraries.
//!
//! The interpreter is the one that `cargo xtask test` installed, with pandas, pyarrow, polars, DuckDB and
//! zarr-python at pinned versions.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Runs a script to its end.
///
/// # Panics
/// When it finds something wrong (the message contains its output), or when there is no interpreter.
pub fn run(script: &str, arguments: &[&Path]) -> String {
    finish(script, spawn(script, arguments))
}

/// Starts a script. Closing its standard input ends it.
///
/// # Panics
/// When there is no interpreter.
pub fn spawn(script: &str, arguments: &[&Path]) -> Child {
    spawn_with(&interpreter(), script, arguments)
}

/// Starts a script with that interpreter, such as one with [Spark](spark). Closing its standard input ends it.
///
/// # Panics
/// When the interpreter cannot be started.
pub fn spawn_with(interpreter: &Path, script: &str, arguments: &[&Path]) -> Child {
    Command::new(interpreter)
        .arg(here().join("readers").join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the readers' interpreter can be started")
}

/// Closes a script's standard input and waits for its end.
///
/// # Panics
/// When it finds something wrong; the message contains its output.
pub fn finish(script: &str, mut child: Child) -> String {
    drop(child.stdin.take());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it can be waited for");
    let (said, wrong) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{script} found something wrong:\n{said}{wrong}");
    said.into_owned()
}

/// Writes what a script should find to a file next to the one it reads.
///
/// # Panics
/// When it cannot be written.
pub fn expect(dir: &Path, expected: &Value) -> PathBuf {
    let path = dir.join("expected.json");
    std::fs::write(&path, expected.to_string()).expect("a temporary directory can be written to");
    path
}

/// The interpreter with that version of Spark; `None` where `cargo xtask test` could not make one, which is
/// printed.
pub fn spark(version: &str) -> Option<PathBuf> {
    let target = std::env::var_os("QSTORE_SPARK").map_or(here().join("../target"), PathBuf::from);
    let home = target.join(format!("spark-{version}-venv"));
    // Written last, when everything is installed.
    if home.join("made-from.txt").exists() {
        return Some(home.join("bin/python"));
    }
    println!("skipped: Spark {version}: {} was not made; it takes a Java", home.display());
    None
}

fn interpreter() -> PathBuf {
    let made_by_xtask = here().join("../target/readers-venv/bin/python");
    let path = std::env::var_os("QSTORE_READERS").map_or(made_by_xtask, PathBuf::from);
    assert!(
        path.exists(),
        "{} does not exist: run `cargo xtask test` once, which installs the readers",
        path.display()
    );
    path
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
