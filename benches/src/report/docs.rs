//! `docs/benchmarks.md`: its text is written by people, the summary between two marks by this file.

use super::{Report, cannot, markdown, put};
use crate::Result;
use std::fs;
use std::path::Path;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
const BEGIN: &str = "<!-- summary: written by `cargo xtask bench --write-docs` -->\n";
const END: &str = "<!-- end of the summary -->";

/// Puts the summary of this report into the docs, in place of the one before.
pub(crate) fn refresh(report: &Report) -> Result {
    let path = Path::new(DOCS);
    let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    put(path, &with_summary(&text, &markdown::summary(report))?)?;
    println!("the summary in docs/benchmarks.md is of this run now");
    Ok(())
}

fn with_summary(text: &str, summary: &str) -> Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or("docs/benchmarks.md has lost the marks of its summary")?;
    Ok(format!("{before}{BEGIN}\n{}\n\n{END}{after}", summary.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("head\n{BEGIN}old\n{END}\nfoot\n");
        let once = with_summary(&text, "new\n").unwrap();
        assert_eq!(once, format!("head\n{BEGIN}\nnew\n\n{END}\nfoot\n"));
        assert_eq!(with_summary(&once, "new\n").unwrap(), once);
        assert!(with_summary("no marks", "new").is_err());
    }

    #[test]
    fn the_docs_have_the_marks() {
        let text = fs::read_to_string(DOCS).unwrap();
        assert!(with_summary(&text, "").is_ok());
    }
}
