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
            // The examples of a Python package are the blocks of its pages, which its tests run.
            let has_example =
                !package.examples.is_empty() || tree.exists(&format!("{home}pyproject.toml"));
            check(package, tree.exists(&format!("{home}README.md")), has_example, library)
        })
        .collect()
}

fn check(
    package: &Package,
    has_readme: bool,
    has_example: bool,
    library: Option<&Source>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !has_readme && !library.is_some_and(has_page) {
        findings.push(Finding::new(
            &package.manifest,
            1,
            "a crate without a page",
            "say in the `//!` of src/lib.rs what it is, what it is not, and who should take it",
        ));
    }
    if !has_example {
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

    fn findings(has_example: bool, has_readme: bool, library: &str) -> usize {
        let package = Package::default();
        check(&package, has_readme, has_example, Some(&Source::new("crates/a/src/lib.rs", library)))
            .len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings(true, false, PAGE), 0);
        assert_eq!(findings(true, true, "//! A ring.\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings(false, false, PAGE), 1);
        assert_eq!(findings(true, false, "//! A ring.\n"), 1);
    }
}
