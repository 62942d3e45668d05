//! Rust source as a flat list of tokens with their places in the text.
//!
//! Comments and white space are not tokens, so two pieces of code that differ only in layout are equal
//! here. Not a parser: the callers look for short sequences. Doc comments become attributes.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::ops::Range;

/// A word, a literal, one character of an operator, or one bracket.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Bytes of the source.
    pub(crate) range: Range<usize>,
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(crate) fn opens(&self) -> bool {
        matches!(self.text.as_str(), "(" | "[" | "{")
    }

    pub(crate) fn closes(&self) -> bool {
        matches!(self.text.as_str(), ")" | "]" | "}")
    }
}

/// The tokens of a text, or why it is not Rust.
pub(crate) fn of(text: &str) -> Result<Vec<Token>, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let brackets = match group.delimiter() {
                    Delimiter::Parenthesis => Some(("(", ")")),
                    Delimiter::Brace => Some(("{", "}")),
                    Delimiter::Bracket => Some(("[", "]")),
                    Delimiter::None => None,
                };
                let mut push = |text: &str, range| {
                    tokens.push(Token { text: text.to_owned(), range });
                };
                if let Some((open, _)) = brackets {
                    push(open, group.span_open().byte_range());
                }
                flatten(group.stream(), tokens);
                if let Some((_, close)) = brackets {
                    let range = group.span_close().byte_range();
                    tokens.push(Token { text: close.to_owned(), range });
                }
            }
            other => {
                tokens.push(Token { text: other.to_string(), range: other.span().byte_range() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_comments_do_not_matter() {
        let tokens = of("f(a,\n    // why\n    b.c::<'x'>());").unwrap();
        assert_eq!(tokens, of("f( a , b . c :: < 'x' > ( ) ) ;").unwrap());
        assert_ne!(tokens, of("f(a, b.c::<'y'>());").unwrap());
    }

    #[test]
    fn a_token_knows_its_place() {
        let text = "let a = \"ä\"; // ä\nb[0]";
        for token in of(text).unwrap() {
            assert_eq!(&text[token.range.clone()], token.text);
        }
    }
}
