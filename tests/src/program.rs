//! Programs of the workspace that tests start as children: its examples.

use std::path::{Path, PathBuf};

/// Where cargo has put an example that it built together with the tests.
///
/// # Panics
/// When it was not built.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not there: run the tests with `cargo xtask test`, or build it with \
         `cargo build --workspace --examples`",
        program.display()
    );
    program
}
