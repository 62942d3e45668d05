//! Names and texts from files as they may be printed: what a terminal would obey is shown instead.
//!
//! A file can come from anywhere, and a column can be called `\x1b[2J`. Control characters, and the
//! characters that change the direction of text or have no width, are printed as Rust would write them.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// The text with everything that is not to be obeyed written out.
///
/// ```
/// use qstore_cli::output::escape::shown;
///
/// assert_eq!(shown("val_loss"), "val_loss");
/// assert_eq!(shown("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
/// ```
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for char in text.chars() {
        if is_obeyed(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

/// The same for several lines: line breaks stay.
#[must_use]
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

/// A path as it may be printed. Bytes that are not text are written as `\xNN`.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &shown(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Whether a terminal, or the reader's eye, would do something else with it than show it.
pub(super) fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn text_that_turns_around_is_written_out() {
        assert_eq!(shown("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(shown("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(shown("größe 量子 ⟨Z⟩"), "größe 量子 ⟨Z⟩");
    }

    #[test]
    fn a_path_need_not_be_text() {
        let path = Path::new(OsStr::from_bytes(b"run_\xff\x1b]0;x\x07"));
        assert_eq!(shown_path(path), "run_\\xff\\u{1b}]0;x\\u{7}");
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_is_obeyed(text in any::<String>()) {
            prop_assert!(!shown(&text).chars().any(is_obeyed));
            prop_assert!(!shown_lines(&text).chars().any(|char| char != '\n' && is_obeyed(char)));
        }
    }
}
