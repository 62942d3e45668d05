//! Rule: every crate explains itself and shows itself at work.
//!
//! Why: choosing one crate out of the set is the point of the set. Its page says what it is and is
//! not; its example is the smallest program that uses it, and is compiled with every test run. What a
//! registry shows of a published crate is its README and a few lines of its manifest, so their example
//! runs as a doctest and none of the lines is missing.

use super::finding::Finding;
use super::metadata::Package;
use super::source::Source;
use super::tree::Tree;

/// The line that makes a README's code a doctest.
const AS_A_DOCTEST: &str = "#[doc = include_str!(\"../README.md\")]";

/// Every package below `crates/` has a README or a crate page, and at least one example; a published one
/// has everything that a registry shows.
pub(super) fn every_crate_explains_itself(tree: &Tree) -> Vec<Finding> {
    tree.metadata
        .members
        .iter()
        .filter(|package| package.manifest.starts_with("crates/"))
        .flat_map(|package| {
            let home = package.manifest.trim_end_matches("Cargo.toml");
            let library = format!("{home}src/lib.rs");
            let library = tree.sources.iter().find(|source| source.path == library);
            let readme = format!("{home}README.md");
            let readme = tree.pages.iter().find(|page| page.path == readme);
            let readme = readme.map(|page| &*page.text);
            // The examples of a Python package are the blocks of its pages, which its tests run.
            let has_example =
                !package.examples.is_empty() || tree.exists(&format!("{home}pyproject.toml"));
            let mut findings = check(package, readme.is_some(), has_example, library);
            if package.is_published {
                findings.extend(check_published(package, readme, library));
            }
            findings
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

fn check_published(
    package: &Package,
    readme: Option<&str>,
    library: Option<&Source>,
) -> Vec<Finding> {
    let has_example = readme.is_some_and(|text| text.lines().any(|line| line == "```rust"));
    let is_tested = library.is_some_and(|library| library.text.contains(AS_A_DOCTEST));
    let missing = package.missing.iter().map(|key| {
        Finding::new(
            &package.manifest,
            1,
            format!("a published crate without `{key}`"),
            "write it below [package], as the other crates do",
        )
    });
    let readme = (!has_example).then(|| {
        Finding::new(
            &package.manifest,
            1,
            "a published crate without a README that has an example",
            "write README.md: what it is, what it is not, when to take it alone, about 15 lines of Rust",
        )
    });
    let test = (!is_tested).then(|| {
        Finding::new(
            &package.manifest,
            1,
            "the example of the README is not tested",
            "add `mod readme {}` to src/lib.rs, as in the other crates",
        )
    });
    missing.chain(readme).chain(test).collect()
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

    #[test]
    fn a_published_crate_shows_itself_in_a_registry() {
        let package = Package { is_published: true, ..Package::default() };
        let readme = "# a\n\nA ring.\n\n```rust\nassert!(true);\n```\n";
        let findings = |package: &Package, readme, library: &str| {
            let library = Source::new("crates/a/src/lib.rs", library);
            check_published(package, readme, Some(&library)).len()
        };
        let library = format!("{PAGE}\n#[cfg(doctest)]\n{AS_A_DOCTEST}\nmod readme {{}}\n");
        assert_eq!(findings(&package, Some(readme), &library), 0);
        assert_eq!(findings(&package, None, &library), 1);
        assert_eq!(findings(&package, Some("# a\n\n```text\na\n```\n"), &library), 1);
        assert_eq!(findings(&package, Some(readme), PAGE), 1);
        let package = Package { missing: vec!["keywords"], ..package };
        assert_eq!(findings(&package, Some(readme), &library), 1);
    }
}
