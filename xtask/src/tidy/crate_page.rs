//! Rule: every crate explains itself and shows itself at work.
//!
//! Why: choosing one crate out of the set is the point of the set. Its page says what it is and is
//! not; its example is the smallest program that uses it, and is compiled with every test run.

use super::finding::Finding;
use super::metadata::Package;
use super::source::Source;
use super::tree::Tree;

/// Every package below `crates/` has a README or a crate page, and at least one example.
pub(super) fn every_crate_explains_itself(tree: &Tree) -> Vec<Finding> {
    tree.metadata
        .members
        .iter()
        .filter(|package| package.manifest.starts_with("crates/"))
        .flat_map(|package| {
            let home = package.manifest.trim_end_matches("Cargo.toml");
            let library = format!("{home}src/lib.rs");
            let library = tree.sources.iter().find(|source| source.path == library);
            check(package, tree.exists(&format!("{home}README.md")), library)
        })
        .collect()
}

fn check(package: &Package, has_readme: bool, library: Option<&Source>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !has_readme && !library.is_some_and(has_page) {
        findings.push(Finding::new(
            &package.manifest,
            1,
            "a crate without a page",
            "say in the `//!` of src/lib.rs what it is, what it is not, and who should take it",
        ));
    }
    if package.examples.is_empty() {
        findings.push(Finding::new(
            &package.manifest,
            1,
            "a crate without an example",
            "add the smallest useful program to its examples/",
        ));
    }
    findings
}

/// More than a title: at least a second paragraph.
fn has_page(library: &Source) -> bool {
    library.lines.iter().take_while(|line| line.comment.starts_with("//!")).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "//! A ring.\n//!\n//! It is not a queue of files.\n";

    fn findings(examples: &[&str], has_readme: bool, library: &str) -> usize {
        let package = Package {
            examples: examples.iter().map(|name| (*name).to_owned()).collect(),
            ..Package::default()
        };
        check(&package, has_readme, Some(&Source::new("crates/a/src/lib.rs", library))).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings(&["first"], false, PAGE), 0);
        assert_eq!(findings(&["first"], true, "//! A ring.\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings(&[], false, PAGE), 1);
        assert_eq!(findings(&["first"], false, "//! A ring.\n"), 1);
    }
}
