//! The change of one statement.
//!
//! A statement is found by the anchor comment above it and compared token by token, so that neither its
//! layout nor its place matters.

use crate::tokens::{self, Token};
use std::ops::Range;

/// What happens to the statement below an anchor. An arm of a `match` and the last expression of a block
/// count as statements.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// These tokens, which occur exactly once in the statement, become those.
    Replace(&'static str, &'static str),
    /// All of the statement becomes this, its `;` or `,` included.
    Rewrite(&'static str),
    Delete,
    InsertBefore(&'static str),
    SwapWithNext,
}

/// A range of a file's bytes and the text that takes its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Edit {
    /// The change for the statement that begins after byte `at` of the file, or why it does not fit.
    pub(super) fn splice(self, file: &str, tokens: &[Token], at: usize) -> Result<Splice, String> {
        let first = tokens.partition_point(|token| token.range.start < at);
        let statement = statement(&tokens[first..]);
        let range = match statement {
            [first, .., last] => first.range.start..last.range.end,
            [only] => only.range.clone(),
            [] => return Err("no statement below the anchor".into()),
        };
        let splice = |range, text: &str| Splice { range, text: text.to_owned() };
        Ok(match self {
            Self::Delete => splice(range, ""),
            Self::Rewrite(to) => splice(range, to),
            Self::InsertBefore(text) => splice(range.start..range.start, &format!("{text}\n")),
            Self::Replace(from, to) => {
                let wanted = tokens::of(from)?;
                let found: Vec<_> =
                    statement.windows(wanted.len()).filter(|found| **found == *wanted).collect();
                match *found.as_slice() {
                    [[first, .., last]] => splice(first.range.start..last.range.end, to),
                    [[only]] => splice(only.range.clone(), to),
                    _ => {
                        let (count, text) = (found.len(), &file[range]);
                        return Err(format!(
                            "`{from}` occurs {count} times in the statement\n{text}"
                        ));
                    }
                }
            }
            Self::SwapWithNext => {
                let next = self::statement(&tokens[first + statement.len()..]);
                let ([next_first, ..], [.., next_last]) = (next, next) else {
                    return Err("no statement after the one below the anchor".into());
                };
                let next = next_first.range.start..next_last.range.end;
                let both = range.start..next.end;
                splice(both, &format!("{}\n{}", &file[next], &file[range]))
            }
        })
    }
}

/// The statement that these tokens begin with.
fn statement(tokens: &[Token]) -> &[Token] {
    let word = tokens.first().map_or("", |token| token.text.as_str());
    // The parameters of a closure have commas, and initializers have blocks.
    let ends_with_semicolon = word == "let";
    let is_block = matches!(word, "if" | "match" | "for" | "while" | "loop" | "unsafe" | "{");
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            if depth == 0 {
                return &tokens[..index];
            }
            depth -= 1;
            if depth == 0 && token.is("}") && !ends_with_semicolon {
                let next = tokens.get(index + 1).map_or("", |token| token.text.as_str());
                let goes_on = match next {
                    "else" => true,
                    "." | "?" | ";" | "," | "=" | "&" | "|" | "+" | "-" | "<" | ">" => !is_block,
                    _ => false,
                };
                if !goes_on {
                    return &tokens[..=index];
                }
            }
        } else if depth == 0 && (token.is(";") || (token.is(",") && !ends_with_semicolon)) {
            return &tokens[..=index];
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::Edit::{Delete, InsertBefore, Replace, Rewrite, SwapWithNext};
    use super::*;

    /// The edit of the statement below `// here`.
    fn apply(edit: Edit, text: &str) -> Result<String, String> {
        let at = text.find("// here").unwrap() + "// here".len();
        let Splice { range, text: new } = edit.splice(text, &tokens::of(text).unwrap(), at)?;
        Ok(format!("{}{new}{}", &text[..range.start], &text[range.end..]))
    }

    fn check(edit: Edit, text: &str, expected: &str) {
        let changed = apply(edit, text).unwrap();
        assert_eq!(tokens::of(&changed).unwrap(), tokens::of(expected).unwrap(), "{changed}");
    }

    #[test]
    fn a_statement_ends_where_rust_ends_it() {
        check(Delete, "{ a; // here\n b.sync()?; c; }", "{ a; c; }");
        check(Delete, "{ // here\n if a { b; } else { c; } *d = 1; }", "{ *d = 1; }");
        check(Delete, "{ // here\n match a { _ => {} } d }", "{ d }");
        check(Delete, "{ // here\n let a = if b { c } else { d }; e }", "{ e }");
        check(Delete, "{ // here\n let a = |b, c| b; e }", "{ e }");
        check(Delete, "{ // here\n a(S { b }).d; e }", "{ e }");
        check(Delete, "match a { // here\n 0 => b(c, d), _ => e }", "match a { _ => e }");
        check(Delete, "match a { // here\n S { b } => c, _ => e }", "match a { _ => e }");
        check(Rewrite("Ok(())"), "{ a; // here\n b.map(c) }", "{ a; Ok(()) }");
    }

    #[test]
    fn edits() {
        let text = "{ // here\n a.sync( )?;\n // why\n b; }";
        check(SwapWithNext, text, "{ b; a.sync()?; }");
        check(InsertBefore("c;"), text, "{ c; a.sync()?; b; }");
        check(Replace("sync()", "len()"), text, "{ a.len()?; b; }");
        check(Replace("sync()?", ""), text, "{ a.; b; }");
        check(Rewrite("c;"), text, "{ c; b; }");
    }

    #[test]
    fn what_is_not_in_the_statement_exactly_once_is_an_error() {
        let text = "{ // here\n f(a, a); b; }";
        let why = |edit| apply(edit, text).unwrap_err();
        assert!(why(Replace("a", "c")).contains("2 times"));
        assert!(why(Replace("b", "c")).contains("0 times"));
        assert!(apply(Delete, "{ a; // here\n }").unwrap_err().contains("no statement"));
        assert!(apply(SwapWithNext, "{ // here\n a; }").unwrap_err().contains("no statement"));
    }
}
