//! Rule: every file opens with `//!`.
//!
//! Why: the tree is the first document. A reader who opens any file learns in its first lines what
//! it is, what it deliberately does not do, and which invariant it keeps.

use super::finding::Finding;
use super::source::Source;

/// The first line that is not blank is a `//!` comment with words in it.
pub(super) fn opens_with_a_doc_comment(source: &Source) -> Vec<Finding> {
    let first = source
        .numbered()
        .find(|(_, line)| !line.code.trim().is_empty() || !line.comment.is_empty());
    match first {
        Some((_, line)) if line.comment.trim().len() > "//!".len() && is_doc(&line.comment) => {
            vec![]
        }
        first => vec![Finding::new(
            &source.path,
            first.map_or(1, |(number, _)| number),
            "the file does not open with `//!`",
            "say in a sentence what it is and what it deliberately does not do",
        )],
    }
}

fn is_doc(comment: &str) -> bool {
    comment.starts_with("//!")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        opens_with_a_doc_comment(&Source::new("crates/a/src/ring.rs", text)).len()
    }

    #[test]
    fn passes() {
        assert_eq!(findings("//! The ring.\n\nfn a() {}\n"), 0);
        assert_eq!(findings("\n//! The ring.\n"), 0);
    }

    #[test]
    fn fails() {
        assert_eq!(findings("// The ring.\n//! Too late.\n"), 1);
        assert_eq!(findings("//!\n//! Says nothing at first.\n"), 1);
        assert_eq!(findings("use std::fs;\n"), 1);
        assert_eq!(findings(""), 1);
    }
}
