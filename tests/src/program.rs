//! Programs of the workspace that tests start as child processes: its examples.

use std::path::{Path, PathBuf};

/// The path of an example that cargo built together with the tests.
///
/// # Panics
/// When it was not built.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} does not exist: run the tests with `cargo xtask test`, or build it with \
         `cargo build --workspace --examples`",
        program.display()
    );
    program
}
