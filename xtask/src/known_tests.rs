//! Whether the tests that a list in this program names still exist, found without a build: a filter that
//! matches nothing must not wait for the night on which someone needs it.

use crate::process;
use crate::workspace::Workspace;
use std::fs;

/// The sources of the workspace as one text.
pub(crate) struct KnownTests(String);

impl KnownTests {
    pub(crate) fn read(workspace: &Workspace) -> Self {
        let paths = process::read(workspace.git().args(["ls-files", "*.rs"])).unwrap();
        // A file that was just removed is still listed.
        let texts =
            paths.lines().filter_map(|path| fs::read_to_string(workspace.root().join(path)).ok());
        Self(texts.collect())
    }

    /// A part of a filter that is in no name of a module and in none of a function.
    pub(crate) fn missing<'a>(&self, filter: &'a str) -> Option<&'a str> {
        let mut names = filter.split("::").filter(|name| !name.is_empty() && *name != "tests");
        names.find(|name| !self.0.match_indices(name).any(|(at, _)| self.is_in_name(at)))
    }

    /// Whether the text at this place belongs to the name of a module or of a function.
    fn is_in_name(&self, at: usize) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = self.0[..at].trim_end_matches(is_part);
        before.ends_with("fn ") || before.ends_with("mod ")
    }
}

#[test]
fn a_renamed_test_is_missing() {
    let known = KnownTests("mod faults;\nfn a_burst_of_errors() {}".into());
    assert_eq!(known.missing("faults::a_burst"), None);
    assert_eq!(known.missing("faults::"), None);
    assert_eq!(known.missing("of_errors"), None);
    assert_eq!(known.missing("faults::a_bursts"), Some("a_bursts"));
    assert_eq!(known.missing("fault_list::"), Some("fault_list"));
}
