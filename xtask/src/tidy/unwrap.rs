//! Rule: no `.unwrap()` in a library.
//!
//! Why: a storage layer must not take a training run down with it. What can fail is an error; what
//! cannot is an `expect` that states the invariant, so that the panic message is already the bug
//! report. Here and not in clippy, because clippy would also ask the examples and benches.

use super::finding::Finding;
use super::source::{Source, mentions};

/// Library code outside tests never calls `.unwrap()`.
pub(super) fn never_in_a_library(source: &Source) -> Vec<Finding> {
    source
        .library_lines()
        .filter(|(_, line)| mentions(&line.code, ".unwrap()"))
        .map(|(number, _)| {
            Finding::new(
                &source.path,
                number,
                "`.unwrap()` in a library",
                "return an error, or `expect` with the invariant that makes it impossible",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        never_in_a_library(&Source::new(path, text)).len()
    }

    #[test]
    fn passes() {
        let library = "crates/a/src/lib.rs";
        assert_eq!(findings(library, "/// a.unwrap();\na.unwrap_or(b);\nf(\".unwrap()\");\n"), 0);
        assert_eq!(findings(library, "#[cfg(test)]\nmod tests {\n  a.unwrap();\n}\n"), 0);
        assert_eq!(findings("crates/a/src/ring/tests.rs", "a.unwrap();\n"), 0);
        assert_eq!(findings("crates/a/examples/first.rs", "a.unwrap();\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("crates/a/src/lib.rs", "let a = b.unwrap();\n"), 1);
    }
}
