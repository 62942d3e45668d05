//! Telling the code of a Rust file from its comments and its text.
//!
//! Not a parser: it knows strings, characters, comments and nothing else, which is what keeps a
//! rule from tripping over the word `unsafe` in a sentence.

/// One line of a file, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// The code. What stood between quotes is gone, the quotes remain.
    pub(super) code: String,
    /// The text of all comments on the line, with their slashes.
    pub(super) comment: String,
}

#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(usize),
    /// A string: `None` with escapes, `Some(n)` raw and closed by `"` and n hashes.
    Text(Option<usize>),
}

/// Splits every line of a file.
pub(super) fn split(text: &str) -> Vec<Split> {
    let characters: Vec<char> = text.chars().collect();
    let mut lines = vec![Split::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        if rest[0] == '\n' {
            if matches!(state, State::LineComment) {
                state = State::Code;
            }
            lines.push(Split::default());
            at += 1;
            continue;
        }
        let last = lines.len() - 1;
        let line = &mut lines[last];
        let (next, length) = step(state, rest, line);
        state = next;
        at += length;
    }
    if text.ends_with('\n') {
        lines.pop();
    }
    lines
}

/// Consumes one or more characters of a line: returns the state after them, and how many.
fn step(state: State, rest: &[char], line: &mut Split) -> (State, usize) {
    match state {
        State::Code => code(rest, line),
        State::LineComment => {
            line.comment.push(rest[0]);
            (State::LineComment, 1)
        }
        State::BlockComment(depth) => {
            let (depth, length) = match rest {
                ['*', '/', ..] => (depth - 1, 2),
                ['/', '*', ..] => (depth + 1, 2),
                _ => (depth, 1),
            };
            line.comment.extend(&rest[..length]);
            (if depth == 0 { State::Code } else { State::BlockComment(depth) }, length)
        }
        State::Text(None) => match rest {
            ['\\', escaped, ..] if *escaped != '\n' => (state, 2),
            ['"', ..] => {
                line.code.push('"');
                (State::Code, 1)
            }
            _ => (state, 1),
        },
        State::Text(Some(hashes)) => {
            let closes = rest[0] == '"'
                && rest.len() > hashes
                && rest[1..=hashes].iter().all(|character| *character == '#');
            if closes {
                line.code.push('"');
                (State::Code, 1 + hashes)
            } else {
                (state, 1)
            }
        }
    }
}

fn code(rest: &[char], line: &mut Split) -> (State, usize) {
    let in_word = line.code.ends_with(is_word);
    match rest {
        ['/', '/', ..] => {
            line.comment.push_str("//");
            (State::LineComment, 2)
        }
        ['/', '*', ..] => {
            line.comment.push_str("/*");
            (State::BlockComment(1), 2)
        }
        ['"', ..] => {
            line.code.push('"');
            (State::Text(None), 1)
        }
        // b"", c"", br"", cr"": the first letter is an ordinary one, the `r` opens a raw string.
        ['r', ..] if !in_word || prefixed(&line.code) => {
            let hashes = rest[1..].iter().take_while(|character| **character == '#').count();
            if rest.get(1 + hashes) == Some(&'"') {
                line.code.push('"');
                (State::Text(Some(hashes)), 2 + hashes)
            } else {
                line.code.push('r');
                (State::Code, 1)
            }
        }
        ['\'', '\\', _, tail @ ..] => {
            let length = tail.iter().position(|character| *character == '\'').map_or(3, |n| n + 4);
            line.code.push_str("''");
            (State::Code, length)
        }
        ['\'', _, '\'', ..] => {
            line.code.push_str("''");
            (State::Code, 3)
        }
        _ => {
            line.code.push(rest[0]);
            (State::Code, 1)
        }
    }
}

/// Does the code end in a lone `b` or `c`, the prefix of a byte or C string?
fn prefixed(code: &str) -> bool {
    let mut backwards = code.chars().rev();
    matches!(backwards.next(), Some('b' | 'c')) && !backwards.next().is_some_and(is_word)
}

/// Can the character be part of a name?
pub(super) fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let lines = split(text);
        let lines: Vec<_> =
            lines.iter().map(|line| (line.code.as_str(), line.comment.as_str())).collect();
        assert_eq!(lines, expected, "{text:?}");
    }

    #[test]
    fn comments() {
        check("let a; // unsafe\n", &[("let a; ", "// unsafe")]);
        check("/* a /* b */ c */ d", &[(" d", "/* a /* b */ c */")]);
        check("a /* b\nc */ d\n", &[("a ", "/* b"), (" d", "c */")]);
    }

    #[test]
    fn strings_lose_their_text() {
        check(r#"f("a // \" unsafe") + 1"#, &[(r#"f("") + 1"#, "")]);
        check("f(\"a\nb\") // c", &[("f(\"", ""), ("\") ", "// c")]);
        check(r##"f(r#"a " // "#, br"\")"##, &[(r#"f("", b"")"#, "")]);
        check("let r#fn = for_r;", &[("let r#fn = for_r;", "")]);
    }

    #[test]
    fn characters_and_lifetimes() {
        check("('\"', '\\'', '\\u{7f}', b'/') // c", &[("('', '', '', b'') ", "// c")]);
        check("fn f<'a>(a: &'a str) // c", &[("fn f<'a>(a: &'a str) ", "// c")]);
    }
}
