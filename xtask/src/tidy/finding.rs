//! One place that breaks a rule.

use std::fmt;

/// Where, what is wrong there, and what to do about it.
///
/// The order of the fields is the order of the report: by file, then by line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    path: String,
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Finding {
    /// A finding on a line, counted from 1.
    pub(super) fn new(
        path: &str,
        line: usize,
        what: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, remedy } = self;
        write!(f, "{path}:{line}: {what}: {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_compiler_message() {
        let finding = Finding::new("crates/a/src/lib.rs", 3, "`.unwrap()`", "return an error");
        assert_eq!(finding.to_string(), "crates/a/src/lib.rs:3: `.unwrap()`: return an error");
    }
}
