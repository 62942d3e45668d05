//! Programs of the workspace that tests start as children: its examples and the demo.

use std::path::{Path, PathBuf};

/// The path of an example that cargo built together with the tests.
///
/// # Panics
/// When it was not built.
pub fn example(name: &str) -> PathBuf {
    built(&Path::new("examples").join(name))
}

/// The path of a binary that cargo built together with the tests.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    built(Path::new(name))
}

fn built(name: &Path) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let program = profile.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} was not built: run the tests with `cargo xtask test`, or build it with \
         `cargo build --workspace --examples --bins`",
        program.display()
    );
    program
}
