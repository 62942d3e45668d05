//! Help is short, and the manual and the completions know every verb.

use super::kit::call;
use qstore_cli::{Exit, command};

const LINES_MAX: usize = 24;

/// Of the help of the command itself, which has a line for each verb.
const ALL_LINES_MAX: usize = 50;

#[test]
fn the_help_of_every_verb_fits_a_small_screen_and_has_two_examples() {
    for verb in command().get_subcommands() {
        let called = call(&[verb.get_name(), "-h"]);
        assert_eq!(called.exit, Exit::Done);
        let lines = called.out.lines().count();
        assert!(lines <= LINES_MAX, "the help of {} has {lines} lines", verb.get_name());
        let examples = called.out.matches(&format!("\n  qstore {}", verb.get_name())).count();
        assert!(examples >= 2, "{} has {examples} examples", verb.get_name());
    }
    let called = call(&["--help"]);
    assert_eq!(called.exit, Exit::Done);
    assert!(called.out.lines().count() <= ALL_LINES_MAX, "{}", called.out);
}

#[test]
fn completions_and_manual_know_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(call(&["man", &dir.path().display().to_string()]).exit, Exit::Done);
    let script = call(&["completions", "bash"]).out;
    let page = call(&["man"]).out;
    assert!(page.contains("EXAMPLES") || page.contains("Examples"), "{page}");
    for verb in command().get_subcommands() {
        let name = verb.get_name();
        let path = dir.path().join(format!("qstore-{name}.1"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("qstore\\-{name}")), "{text}");
        assert!(script.contains(&format!("qstore__subcmd__{name}")) || script.contains(name));
        assert!(page.contains(name));
    }
}

#[test]
fn the_long_help_has_what_every_verb_takes() {
    for verb in command().get_subcommands() {
        let called = call(&[verb.get_name(), "--help"]);
        assert!(called.out.contains("--json") && called.out.contains("--color"), "{}", called.out);
    }
    assert!(call(&["--version"]).out.starts_with("qstore "));
}
