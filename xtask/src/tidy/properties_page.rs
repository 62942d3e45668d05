//! Rule: docs/properties.md is true and has every property test, and the tests that SECURITY.md names exist.
//!
//! Why: the pages are what a person reads to find out which laws are tested, with how many cases, and which
//! test holds a promise. A test that was renamed, or a number that was changed, would make them wrong unnoticed.

use super::finding::Finding;
use super::source::Source;
use super::tree::{Page, Tree};
use crate::properties::{self, Property};

const PAGE: &str = "docs/properties.md";

/// Pages that name tests, and what their links to files of the workspace begin with.
const NAMING: &[(&str, &str)] = &[(PAGE, "](../"), ("SECURITY.md", "](")];

/// The page names each property with its file and its number of cases, and no test that does not exist.
pub(super) fn is_true_and_complete(tree: &Tree) -> Vec<Finding> {
    let page = |path: &str| tree.pages.iter().find(|page| page.path == path);
    let Some(properties) = page(PAGE) else {
        return vec![Finding::new(PAGE, 1, "is missing", "list the property tests there")];
    };
    let mut findings = check(properties, &all(&tree.sources));
    for (path, top) in NAMING {
        let mentions = page(path).into_iter().flat_map(|page| mentions(page, top));
        for Mention { line, file, name } in mentions {
            let what = match (tree.exists(file), name) {
                (false, _) => format!("{file} does not exist"),
                (true, Some(name))
                    if !tree.text(file).is_some_and(|text| has_test(&text, name)) =>
                {
                    format!("{file} has no test `{name}`")
                }
                _ => continue,
            };
            findings.push(Finding::new(path, line, what, "name the file and the test as they are"));
        }
    }
    findings
}

/// `PROPTEST_CASES` asks any property for more cases, so that one command can run all of them for long.
pub(super) fn cases_come_from_outside(tree: &Tree) -> Vec<Finding> {
    let fixed = all(&tree.sources).into_iter().filter(|property| !property.is_adjustable);
    fixed
        .map(|Property { file, line, name, .. }| {
            Finding::new(
                &file,
                line,
                format!("`{name}` has a number of cases that PROPTEST_CASES does not change"),
                "pass the configuration through `proptest::test_runner::contextualize_config`",
            )
        })
        .collect()
}

fn all(sources: &[Source]) -> Vec<Property> {
    sources.iter().flat_map(|source| properties::in_file(&source.path, &source.text)).collect()
}

/// Each property has a row, which links to its file and has its number of cases in a cell.
fn check(page: &Page, properties: &[Property]) -> Vec<Finding> {
    let row_of = |property: &Property| {
        let (name, file) = (format!("`{}`", property.name), format!("](../{})", property.file));
        page.text.lines().find(|line| line.contains(&name) && line.contains(&file))
    };
    let what = |property: &Property| {
        let Some(row) = row_of(property) else {
            return Some(format!("`{}` is not in {PAGE}", property.name));
        };
        let cases = property.cases.to_string();
        let has_cases = row.split('|').any(|cell| cell.replace(' ', "") == cases);
        (!has_cases).then(|| format!("{PAGE} has not {cases} as the cases of `{}`", property.name))
    };
    let finding = |property: &Property| {
        let remedy = "write the law in one sentence, with the file, the test and its cases";
        Some(Finding::new(&property.file, property.line, what(property)?, remedy))
    };
    properties.iter().filter_map(finding).collect()
}

/// A file that the page links to, alone or with one of its tests.
#[derive(Debug, PartialEq)]
struct Mention<'a> {
    line: usize,
    file: &'a str,
    name: Option<&'a str>,
}

/// Every link to a file, and in a table the names in backticks behind it, up to the end of the cell.
fn mentions<'a>(page: &'a Page, top: &str) -> Vec<Mention<'a>> {
    let mut mentions = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        for link in line.split(top).skip(1) {
            let Some((file, rest)) = link.split_once(')') else { continue };
            let file = file.split('#').next().unwrap_or(file);
            mentions.push(Mention { line: number, file, name: None });
            if !line.starts_with('|') {
                continue;
            }
            let cell = rest.split('|').next().unwrap_or(rest);
            let is_name = |word: &&str| {
                let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                word.contains('_') && word.chars().all(is_part)
            };
            let names = cell.split('`').skip(1).step_by(2).filter(is_name);
            let of_file = |name| Mention { line: number, file, name: Some(name) };
            mentions.extend(names.map(of_file));
        }
    }
    mentions
}

/// Whether a file of Rust or Python has a function of that name, also as an argument of a macro.
fn has_test(text: &str, name: &str) -> bool {
    let is_definition = |line: &str| {
        ["fn ", "def "].iter().any(|word| {
            line.split_once(word).is_some_and(|(_, rest)| {
                rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('('))
            })
        })
    };
    text.lines().any(is_definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str =
        "| A law. | [`b.rs`](../crates/a/src/b.rs) `rows_stay` | 1 500 | — | few rows |";

    fn page(text: &str) -> Page {
        Page { path: PAGE.into(), text: text.into() }
    }

    fn property(name: &str, cases: u32) -> Property {
        let (name, file) = (name.to_owned(), "crates/a/src/b.rs".to_owned());
        Property { name, file, line: 1, cases, is_adjustable: true }
    }

    #[test]
    fn a_property_needs_a_row_with_its_file_and_its_cases() {
        assert_eq!(check(&page(ROW), &[property("rows_stay", 1_500)]).len(), 0);
        assert_eq!(check(&page(ROW), &[property("rows_stay", 150)]).len(), 1);
        assert_eq!(check(&page(ROW), &[property("rows", 1_500)]).len(), 1);
        let elsewhere = ROW.replace("src/b.rs", "src/c.rs");
        assert_eq!(check(&page(&elsewhere), &[property("rows_stay", 1_500)]).len(), 1);
    }

    #[test]
    fn links_and_the_names_behind_them_are_mentions() {
        let text = format!("{ROW}\nBegin in [`c.py`](../d/c.py#L1) with `any_state`.");
        let page = page(&text);
        let file = "crates/a/src/b.rs";
        let expected = [
            Mention { line: 1, file, name: None },
            Mention { line: 1, file, name: Some("rows_stay") },
            Mention { line: 2, file: "d/c.py", name: None },
        ];
        assert_eq!(mentions(&page, "](../"), expected);
    }

    #[test]
    fn a_test_is_a_function_of_that_whole_name() {
        assert!(has_test("    fn rows_stay(all in any()) {", "rows_stay"));
        assert!(has_test("def test_rows(state):", "test_rows"));
        assert!(!has_test("fn rows_stay_longer() {}", "rows_stay"));
        assert!(!has_test("rows_stay();", "rows_stay"));
    }
}
