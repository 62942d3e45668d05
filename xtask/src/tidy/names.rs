//! Rule: a file is named after the thing it holds.
//!
//! Why: the listing is the architecture. `utils.rs` tells a reader nothing and collects whatever
//! has no home; `ring.rs`, `footer.rs`, `retention.rs` are the words of the field.

use super::finding::Finding;
use super::source::Source;

const FORBIDDEN: &[&str] =
    &["common", "helper", "helpers", "misc", "stuff", "types", "util", "utils"];

/// No file and no directory of modules has a name that could hold anything.
pub(super) fn file_is_named_after_a_thing(source: &Source) -> Vec<Finding> {
    let path = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    path.split('/')
        .filter(|part| FORBIDDEN.contains(part))
        .map(|part| {
            Finding::new(
                &source.path,
                1,
                format!("`{part}` could hold anything"),
                "name the file after the thing in it, or move its parts to where they are used",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str) -> usize {
        file_is_named_after_a_thing(&Source::new(path, "//! A file.\n")).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings("crates/a/src/ring.rs"), 0);
        assert_eq!(findings("crates/a/src/data_types.rs"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("crates/a/src/utils.rs"), 1);
        assert_eq!(findings("crates/a/tests/common/mod.rs"), 1);
    }
}
