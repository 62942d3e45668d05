//! The tests of the page that need programs which may not be there. Each that cannot run is named, and counts as ignored.

use std::env;
use std::path::PathBuf;

/// What names Chromium, and what names `axe.min.js` of the package `axe-core`.
const CHROMIUM: &str = "QSTORE_CHROMIUM";
const AXE: &str = "QSTORE_AXE";

/// Tests, and the variables that name what each needs besides node.
const TESTS: [(&str, &[&str]); 5] = [
    ("the_page_is_what_it_should_be_in_a_browser", &[CHROMIUM]),
    ("a_thousand_metrics_and_two_hundred_runs_are_usable", &[CHROMIUM]),
    ("the_page_and_the_report_are_accessible", &[CHROMIUM, AXE]),
    ("the_page_is_pixel_by_pixel_as_it_was_in_both_themes", &[CHROMIUM]),
    ("the_pictures_of_the_page_can_be_made", &[CHROMIUM]),
];

/// The tests that cannot run, of those that are wanted; says of each why.
pub(super) fn skipped(filters: &[String]) -> Vec<&'static str> {
    let has_node = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join("node").is_file()));
    let is_there = |name: &str| env::var_os(name).is_some_and(|path| PathBuf::from(path).is_file());
    choose(filters, has_node, is_there)
}

fn choose(
    filters: &[String],
    has_node: bool,
    is_there: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    let is_wanted =
        |test: &str| filters.is_empty() || filters.iter().any(|part| test.contains(part));
    let mut skipped = Vec::new();
    for (test, needs) in TESTS.into_iter().filter(|(test, _)| is_wanted(test)) {
        let missing = needs.iter().find(|name| !is_there(name));
        match missing {
            Some(name) => eprintln!("skipped: {test}: {name} names no file"),
            None if !has_node => eprintln!("skipped: {test}: there is no `node`"),
            None => continue,
        }
        skipped.push(test);
    }
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_tests::KnownTests;
    use crate::workspace::Workspace;

    #[test]
    fn only_what_misses_something_is_skipped() {
        assert_eq!(choose(&[], true, |_| true), [""; 0]);
        assert_eq!(choose(&[], true, |name| name == CHROMIUM), [TESTS[2].0]);
        assert_eq!(choose(&[], true, |_| false).len(), TESTS.len());
        assert_eq!(choose(&[], false, |_| true).len(), TESTS.len());
        assert_eq!(choose(&["accessible".into()], true, |_| false), [TESTS[2].0]);
    }

    #[test]
    fn every_test_that_is_named_exists() {
        let known = KnownTests::read(&Workspace::locate());
        for (test, _) in TESTS {
            assert_eq!(known.missing(test), None);
        }
    }
}
