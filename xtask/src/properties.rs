//! The property tests of the workspace, found in its sources without a build.
//!
//! A property is a function with `#[test]` in a `proptest!`. Its name is unique in the workspace, so it can be
//! run, documented and repeated by its name alone.

use crate::tokens::{self, Token};

/// How many cases proptest tries unless a test or the environment says otherwise.
const CASES: u32 = 256;

/// What a configuration that can be changed from outside is passed through.
const FROM_ENVIRONMENT: &str = "contextualize_config";

/// A property test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    /// From the top of the workspace, with forward slashes.
    pub(crate) file: String,
    /// The line of its name, counted from 1.
    pub(crate) line: usize,
    /// How many cases it tries when nothing else is asked for.
    pub(crate) cases: u32,
    /// Whether `PROPTEST_CASES` changes that.
    pub(crate) is_adjustable: bool,
}

/// The properties in a file.
pub(crate) fn in_file(path: &str, text: &str) -> Vec<Property> {
    if !text.contains("proptest!") {
        return vec![];
    }
    let all = tokens::of(text).unwrap_or_default();
    let mut properties = Vec::new();
    for (at, block) in blocks(&all) {
        let is_configured = block.iter().any(|token| token.is("proptest_config"));
        // A configuration that is made by a function is elsewhere in the file.
        let cases = if is_configured { number(block).or_else(|| number(&all)) } else { None };
        let reads_environment =
            |tokens: &[Token]| tokens.iter().any(|token| token.is(FROM_ENVIRONMENT));
        for name in names(block) {
            properties.push(Property {
                name: name.text.clone(),
                file: path.to_owned(),
                line: text[..name.range.start].matches('\n').count() + 1,
                cases: cases.unwrap_or(CASES),
                is_adjustable: !is_configured
                    || reads_environment(block)
                    || (number(block).is_none() && reads_environment(&all[..at])),
            });
        }
    }
    properties
}

/// What is between the braces of each `proptest! { … }`, and where it begins.
fn blocks(tokens: &[Token]) -> Vec<(usize, &[Token])> {
    let begins = |at: &usize| {
        let [word, mark, brace] = [0, 1, 2].map(|next| tokens.get(at + next));
        word.is_some_and(|token| token.is("proptest"))
            && mark.is_some_and(|token| token.is("!"))
            && brace.is_some_and(|token| token.is("{"))
    };
    let block = |at: usize| {
        let mut depth = 0_usize;
        let len = tokens[at + 2..].iter().position(|token| {
            depth += usize::from(token.opens());
            depth -= usize::from(token.closes());
            depth == 0
        });
        (at, &tokens[at + 3..at + 2 + len.unwrap_or(1)])
    };
    (0..tokens.len()).filter(begins).map(block).collect()
}

/// The names of the functions that are tests.
fn names(block: &[Token]) -> Vec<&Token> {
    const TEST: [&str; 4] = ["#", "[", "test", "]"];
    let is_test = |at: usize| TEST.iter().zip(&block[at..]).all(|(text, token)| token.is(text));
    let name = |at: usize| {
        let rest = &block[at + TEST.len()..];
        rest.iter().position(|token| token.is("fn")).and_then(|at| rest.get(at + 1))
    };
    (0..block.len().saturating_sub(TEST.len())).filter(|at| is_test(*at)).filter_map(name).collect()
}

/// The number in `with_cases(1_500)` or `cases: 1000`.
fn number(tokens: &[Token]) -> Option<u32> {
    tokens.windows(3).find_map(|window| {
        let is_call = window[0].is("with_cases") && window[1].is("(");
        let is_field = window[0].is("cases") && window[1].is(":");
        let digits = window[2].text.replace('_', "");
        (is_call || is_field).then(|| digits.parse().ok()).flatten()
    })
}

impl Property {
    /// The package it is in, and the test program: the library's own tests, or those of a folder.
    pub(crate) fn home(&self) -> Option<(&str, Program<'_>)> {
        let (package, rest) = self.file.strip_prefix("crates/")?.split_once('/')?;
        let program = match rest.split_once('/')? {
            ("src", _) => Program::Library,
            ("tests", rest) => {
                let name = rest.split_once('/').map_or(rest, |(folder, _)| folder);
                Program::Test(name.trim_end_matches(".rs"))
            }
            _ => return None,
        };
        Some((package, program))
    }
}

/// A program that cargo builds of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program<'a> {
    /// Of the tests beside the code.
    Library,
    /// Of `tests/NAME.rs` or `tests/NAME/`.
    Test(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        fn config() -> C { contextualize_config(C::with_cases(10_000)) }
        proptest! {
            /// A law.
            #[test]
            fn one(a in 0..3) { if a > 1 { helper() } }
            #[test]
            fn two(_ in 0..3) {}
        }
        proptest! {
            #![proptest_config(C::with_cases(48))]
            #[test]
            fn three(_ in 0..3) {}
        }
        proptest! {
            #![proptest_config(config())]
            #[test]
            #[ignore]
            fn four(_ in 0..3) {}
        }
        #[test]
        fn an_example() {}
    ";

    #[test]
    fn properties_are_found_with_their_cases() {
        let found = in_file("crates/a/src/b.rs", TEXT);
        let facts = |found: &Property| (found.name.clone(), found.cases, found.is_adjustable);
        let expected =
            [("one", 256, true), ("two", 256, true), ("three", 48, false), ("four", 10_000, true)];
        let expected =
            expected.map(|(name, cases, is_adjustable)| (name.to_owned(), cases, is_adjustable));
        assert_eq!(found.iter().map(facts).collect::<Vec<_>>(), expected);
        assert_eq!(found[0].line, 6);
        assert!(in_file("crates/a/src/b.rs", "#[test]\nfn an_example() {}").is_empty());
    }

    #[test]
    fn a_property_is_in_a_program_of_tests() {
        let home = |file: &str| {
            let property = Property { file: file.into(), ..in_file("", TEXT).remove(0) };
            property.home().map(|(package, program)| format!("{package} {program:?}"))
        };
        assert_eq!(home("crates/a/src/b/tests.rs").unwrap(), "a Library");
        assert_eq!(home("crates/a/tests/c.rs").unwrap(), "a Test(\"c\")");
        assert_eq!(home("crates/a/tests/c/d.rs").unwrap(), "a Test(\"c\")");
        assert_eq!(home("benches/b.rs"), None);
    }
}
