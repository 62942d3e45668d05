//! One mutant: what is changed, why it would be dangerous, and which tests must fail.

use super::edit::Edit;

/// One step taken away.
#[derive(Debug)]
pub(super) struct Mutant {
    /// Also the name of its anchor, the comment `// mutant: NAME` above each statement it changes.
    pub(super) name: &'static str,
    /// One for each anchor: the first edit that fits an anchor belongs to it.
    pub(super) edits: &'static [Edit],
    /// What could happen to a user.
    pub(super) danger: &'static str,
    /// The tests that are run one after the other until one fails.
    pub(super) tests: &'static [Tests],
}

/// Some tests of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tests {
    pub(super) package: &'static str,
    /// `None` for those beside the code.
    pub(super) target: Option<&'static str>,
    /// What their names begin with.
    pub(super) filter: &'static str,
    /// Whether they are models, for the model checker.
    pub(super) loom: bool,
}

impl Tests {
    pub(super) const fn lib(package: &'static str, filter: &'static str) -> Self {
        Self { package, target: None, filter, loom: false }
    }

    pub(super) const fn of(
        package: &'static str,
        target: &'static str,
        filter: &'static str,
    ) -> Self {
        Self { package, target: Some(target), filter, loom: false }
    }

    pub(super) const fn loom(filter: &'static str) -> Self {
        Self { package: "qstore-buffer", target: None, filter, loom: true }
    }
}
