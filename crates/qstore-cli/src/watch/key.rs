//! Keys, from the bytes that a terminal sends for them.

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// A character, Ctrl with a letter included: Ctrl-C is `'\x03'`.
    Char(char),
    /// Return.
    Enter,
    /// Escape, alone.
    Escape,
    /// Tab.
    Tab,
    /// Shift with tab.
    BackTab,
    /// The key that takes back a character.
    Backspace,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
}

/// Takes the keys from what was typed. The beginning of a character or of an escape sequence stays for the next call, if
/// `is_over` does not say that nothing more has come.
pub fn keys(typed: &mut Vec<u8>, is_over: bool) -> Vec<Key> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < typed.len() {
        match next(&typed[at..], is_over) {
            Some((key, len)) => {
                found.extend(key);
                at += len;
            }
            None => break,
        }
    }
    typed.drain(..at);
    found
}

/// The first key, if it is known and complete, and the number of its bytes.
fn next(typed: &[u8], is_over: bool) -> Option<(Option<Key>, usize)> {
    let first = *typed.first()?;
    match first {
        b'\x1b' => escape(typed, is_over),
        b'\r' | b'\n' => Some((Some(Key::Enter), 1)),
        b'\t' => Some((Some(Key::Tab), 1)),
        0x7f | 0x08 => Some((Some(Key::Backspace), 1)),
        0..0x80 => Some((Some(Key::Char(char::from(first))), 1)),
        _ => {
            let len = match first {
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => 1,
            };
            let Some(bytes) = typed.get(..len) else {
                return is_over.then_some((None, typed.len()));
            };
            match std::str::from_utf8(bytes) {
                Ok(text) => Some((text.chars().next().map(Key::Char), len)),
                // No text: a byte is skipped, not more, for what follows may be.
                Err(_) => Some((None, 1)),
            }
        }
    }
}

/// What begins with an escape character. A sequence that is not known is skipped whole.
fn escape(typed: &[u8], is_over: bool) -> Option<(Option<Key>, usize)> {
    let incomplete = is_over.then_some((Some(Key::Escape), 1));
    match typed.get(1) {
        None => incomplete,
        Some(b'[') => {
            let Some(len) = typed.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte))
            else {
                return incomplete;
            };
            let sequence = &typed[2..len + 3];
            let key = match sequence {
                [.., b'A'] => Some(Key::Up),
                [.., b'B'] => Some(Key::Down),
                [.., b'C'] => Some(Key::Right),
                [.., b'D'] => Some(Key::Left),
                [.., b'H'] | b"1~" | b"7~" => Some(Key::Home),
                [.., b'F'] | b"4~" | b"8~" => Some(Key::End),
                b"Z" => Some(Key::BackTab),
                b"5~" => Some(Key::PageUp),
                b"6~" => Some(Key::PageDown),
                _ => None,
            };
            Some((key, sequence.len() + 2))
        }
        Some(b'O') => match typed.get(2) {
            None => incomplete,
            Some(last) => {
                let key = match last {
                    b'A' => Some(Key::Up),
                    b'B' => Some(Key::Down),
                    b'C' => Some(Key::Right),
                    b'D' => Some(Key::Left),
                    b'H' => Some(Key::Home),
                    b'F' => Some(Key::End),
                    _ => None,
                };
                Some((key, 3))
            }
        },
        Some(_) => Some((Some(Key::Escape), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<Key> {
        keys(&mut text.as_bytes().to_vec(), true)
    }

    #[test]
    fn each_key_is_known_by_its_bytes() {
        use Key::{
            BackTab, Backspace, Char, Down, End, Enter, Escape, Home, PageUp, Right, Tab, Up,
        };
        assert_eq!(all("q?\x03ü量"), ['q', '?', '\x03', 'ü', '量'].map(Char));
        assert_eq!(all("\r\t\x1b[Z\x7f"), [Enter, Tab, BackTab, Backspace]);
        assert_eq!(all("\x1b[A\x1bOB\x1b[1;5C\x1b[5~"), [Up, Down, Right, PageUp]);
        assert_eq!(all("\x1b[H\x1b[4~"), [Home, End]);
        assert_eq!(all("\x1b\x1bq"), [Escape, Escape, Char('q')]);
        assert_eq!(all("\x1b[200~x\x1b[13;2u"), [Char('x')], "what is not known is skipped");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_what_is_typed_is_cut(
            parts in prop::collection::vec(
                prop::sample::select(vec!["q", "ü", "量", "\x1b[A", "\x1bOB", "\x1b[5~", "\r", "\x1b[1;2D"]), 0..12),
            cut in 0_usize..99,
        ) {
            let bytes = parts.concat().into_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut typed = first.to_vec();
            let mut found = keys(&mut typed, false);
            typed.extend_from_slice(second);
            found.extend(keys(&mut typed, true));
            prop_assert_eq!(found, keys(&mut bytes.clone(), true));
            prop_assert!(typed.is_empty());
        }

        #[test]
        fn any_bytes_are_used_up(mut bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            keys(&mut bytes, true);
            prop_assert!(bytes.is_empty(), "{:?}", bytes);
        }
    }
}
