//! One mutant: what is changed, why it would be dangerous, and which tests must notice.

/// The change of one file.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// Below the top of the workspace.
    pub(super) file: &'static str,
    /// Each text, which stands there exactly once, and what takes its place.
    pub(super) edits: &'static [(&'static str, &'static str)],
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

impl Mutant {
    /// The text with the change in it, or why it cannot be made.
    pub(super) fn apply(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for (from, to) in self.edits {
            match text.matches(from).count() {
                1 => text = text.replacen(from, to, 1),
                found => return Err(format!("this stands there {found} times:\n{from}")),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_there_once_is_told() {
        let mutant = |edits| Mutant { name: "", file: "", edits, danger: "", tests: &[] };
        assert_eq!(mutant(&[("b", "x"), ("a", "")]).apply("abc").unwrap(), "xc");
        assert!(mutant(&[("b", "x")]).apply("abb").unwrap_err().contains("2 times"));
        assert!(mutant(&[("b", "x")]).apply("a").unwrap_err().contains("0 times"));
    }
}
