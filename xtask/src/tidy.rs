//! `cargo xtask tidy`: the house rules as code.
//!
//! A rule is a small function from one part of the tree — a source file, a manifest, what `cargo
//! metadata` says — to findings, and its file says why the rule exists. The rules read text and
//! compile nothing, so they take a second; what needs types is left to clippy.

mod allocations;
mod crate_page;
mod durability;
mod finding;
mod head;
mod imports;
mod layers;
mod lexer;
mod manifest;
mod manifest_rules;
mod metadata;
mod msrv;
mod names;
mod pickle;
mod process_names;
mod properties_page;
mod rooms;
mod sleep;
mod source;
mod test_names;
mod third_party;
mod top_level;
mod tree;
mod unsafe_code;
mod unwrap;
mod words;

use crate::error::{Error, Result};
use crate::workspace::Workspace;
use finding::Finding;
use manifest::Manifest;
use metadata::Metadata;
use source::Source;
use tree::Tree;

pub(crate) const ARGUMENTS: &str = "";
pub(crate) const ABOUT: &str = "check the house rules: layers, durability, unsafe, manifests, …";

/// What each source file must keep.
const SOURCE_RULES: &[fn(&Source) -> Vec<Finding>] = &[
    head::opens_with_a_doc_comment,
    names::file_is_named_after_a_thing,
    durability::only_storage_touches_the_disk,
    unsafe_code::stays_in_two_crates,
    unsafe_code::says_why_it_is_sound,
    unwrap::never_in_a_library,
    sleep::explained_in_tests,
    process_names::are_not_process_numbers,
    allocations::can_be_refused,
];

/// What each manifest of a member must keep.
const MANIFEST_RULES: &[fn(&Manifest) -> Vec<Finding>] = &[
    manifest_rules::dependencies_are_inherited,
    manifest_rules::package_is_inherited,
    manifest_rules::asides_are_unpublished,
];

/// What the dependency graph must keep.
const METADATA_RULES: &[fn(&Metadata) -> Vec<Finding>] = &[
    layers::dependencies_point_down,
    layers::one_edge_is_optional,
    third_party::stays_where_it_belongs,
    msrv::no_dependency_is_newer,
];

/// What only the tree as a whole can show.
const TREE_RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    top_level::is_exactly_as_agreed,
    crate_page::every_crate_explains_itself,
    rooms::imports_point_down,
    rooms::no_circles,
    test_names::test_files_say_so,
    pickle::is_never_used,
    properties_page::is_true_and_complete,
    properties_page::cases_come_from_outside,
    words::plain_english,
    manifest_rules::default_features_are_off,
];

/// Takes no arguments and runs all rules.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    match arguments.next()? {
        None => check(workspace),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

/// Runs all rules and prints what they find.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let tree = Tree::read(workspace)?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let rules = SOURCE_RULES.len() + MANIFEST_RULES.len() + METADATA_RULES.len() + TREE_RULES.len();
    let files = tree.sources.len() + tree.manifests.len();
    let found = match findings.len() {
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    println!("tidy: {rules} rules, {files} files, {found}");
    if findings.is_empty() { Ok(()) } else { Err(Error::Reported(1)) }
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in SOURCE_RULES {
        findings.extend(tree.sources.iter().flat_map(rule));
    }
    for rule in MANIFEST_RULES {
        findings.extend(tree.manifests.iter().flat_map(rule));
    }
    findings.extend(METADATA_RULES.iter().flat_map(|rule| rule(&tree.metadata)));
    findings.extend(TREE_RULES.iter().flat_map(|rule| rule(tree)));
    findings.sort();
    findings
}
