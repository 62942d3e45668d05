//! Rule: a file of tests is recognizable by its name.
//!
//! Why: in a listing `models.rs` beside `ring.rs` looks like a part of the product. A file that is
//! compiled for tests only is `tests.rs`, `…_tests.rs`, or lies in a folder `tests/`.

use super::finding::Finding;
use super::source::Source;
use super::tree::Tree;

/// Every module that is declared for tests only has such a name.
pub(super) fn test_files_say_so(tree: &Tree) -> Vec<Finding> {
    tree.sources.iter().flat_map(check).collect()
}

fn check(source: &Source) -> Vec<Finding> {
    source
        .test_modules()
        .into_iter()
        .filter(|(_, module)| {
            let mut parts = module.rsplit('/');
            let name = parts.next().unwrap_or(module);
            name != "tests" && !name.ends_with("_tests") && !parts.any(|folder| folder == "tests")
        })
        .map(|(line, module)| {
            Finding::new(
                &source.path,
                line,
                format!("`{module}.rs` is only compiled for tests"),
                "call it `tests.rs` or `…_tests.rs`, or move it into a folder `tests/`",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let found = check(&Source::new("crates/a/src/ring.rs", text));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn passes() {
        assert!(findings("mod models;\n#[cfg(test)]\nmod tests;\n").is_empty());
        assert!(findings("#[cfg(all(test, loom))]\nmod order_tests;\n").is_empty());
        let inside = Source::new("crates/a/src/tests/mod.rs", "#[cfg(test)]\nmod models;\n");
        assert!(check(&inside).is_empty());
    }

    #[test]
    fn fails() {
        let found = findings("fn f() {}\n#[cfg(test)]\nmod models;\n");
        assert_eq!(found.len(), 1);
        let expected = "crates/a/src/ring.rs:3: `crates/a/src/ring/models.rs` is only compiled";
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}
