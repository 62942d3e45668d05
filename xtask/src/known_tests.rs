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

    /// The module and function names of a filter that no module and no function begins with.
    pub(crate) fn missing<'a>(&self, filter: &'a str) -> Option<&'a str> {
        let mut names = filter.split("::").filter(|name| !name.is_empty() && *name != "tests");
        names.find(|name| {
            let starts = |keyword| self.0.contains(&format!("{keyword} {name}"));
            !(starts("fn") || starts("mod"))
        })
    }
}

#[test]
fn a_renamed_test_is_missing() {
    let known = KnownTests("mod faults;\nfn a_burst_of_errors() {}".into());
    assert_eq!(known.missing("faults::a_burst"), None);
    assert_eq!(known.missing("faults::"), None);
    assert_eq!(known.missing("faults::a_bursts"), Some("a_bursts"));
    assert_eq!(known.missing("fault_list::"), Some("fault_list"));
}
