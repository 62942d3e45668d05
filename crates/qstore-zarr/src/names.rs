//! Names of tensors and groups as they stand in a checkpoint: always inside it, on every system.
//!
//! A user's key may hold anything, `/`, `..` and NUL included. Its name in the checkpoint holds only
//! `A-Z a-z 0-9 _ . -`, and `%XX` for every other byte; what Zarr or a file system reserves is
//! escaped as well. The name need not lead back to the key: the structure tree keeps that.

use std::collections::HashSet;

/// Longest name; file systems take 255 bytes, archivers on some of them fewer.
const MAX_BYTES: usize = 120;

/// The names in one group: unique, even where upper and lower case are the same.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    taken: HashSet<String>,
}

impl Siblings {
    /// The name for that key.
    pub(crate) fn name_for(&mut self, key: &str) -> String {
        let encoded = encode(key);
        let mut name = encoded.clone();
        let mut number = 1_u64;
        // `~` never comes out of the encoding, so a suffix meets only other suffixes.
        while !self.taken.insert(name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{encoded}~{number}");
        }
        name
    }
}

fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let hides_first = is_reserved(key);
    let last = key.len().saturating_sub(1);
    for (position, byte) in key.bytes().enumerate() {
        let is_plain = match byte {
            // A leading dot hides a file, a trailing one is dropped by Windows; so no `..` is left.
            b'.' => position != 0 && position != last,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => position != 0 || !hides_first,
            _ => false,
        };
        if is_plain {
            name.push(char::from(byte));
        } else {
            push_escape(&mut name, byte);
        }
    }
    shorten(name, key)
}

fn push_escape(name: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    name.push('%');
    name.push(char::from(DIGITS[usize::from(byte >> 4)]));
    name.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Names that mean something to Zarr (`zarr.json`, anything with two leading underscores), to this
/// format (`manifest.json`) or to Windows (`NUL`, also as `nul.txt`).
fn is_reserved(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    if lower.starts_with("__") || lower == "zarr.json" || lower == "manifest.json" {
        return true;
    }
    let stem = lower.split('.').next().unwrap_or_default();
    matches!(
        stem.as_bytes(),
        b"con"
            | b"prn"
            | b"aux"
            | b"nul"
            | [b'c', b'o', b'm', b'0'..=b'9']
            | [b'l', b'p', b't', b'0'..=b'9']
    )
}

/// Cuts a name that is too long and makes up for it with a checksum of the whole key.
fn shorten(mut name: String, key: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name;
    }
    let mut end = MAX_BYTES - "~01234567".len();
    // Not in the middle of an escape.
    if let Some(escape) = name[end - 2..end].find('%') {
        end = end - 2 + escape;
    }
    name.truncate(end);
    format!("{name}~{:08x}", crc32c::crc32c(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_become_names_that_stay_inside() {
        let check = |key: &str, name: &str| assert_eq!(encode(key), name);
        check("layer.0.weight", "layer.0.weight");
        check("a/b", "a%2Fb");
        check(".", "%2E");
        check("..", "%2E%2E");
        check("...", "%2E.%2E");
        check("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
        check("nul\0byte", "nul%00byte");
        check("__init__", "%5F_init__");
        check("zarr.json", "%7Aarr.json");
        check("Manifest.JSON", "%4Danifest.JSON");
        check("NUL.txt", "%4EUL.txt");
        check("com1", "%63om1");
        check("comma", "comma");
        check("100%", "100%25");
        check("w~2", "w%7E2");
        check("größe", "gr%C3%B6%C3%9Fe");
        check("C:\\w", "C%3A%5Cw");
    }

    #[test]
    fn siblings_differ_even_when_case_does_not_count() {
        let mut siblings = Siblings::default();
        let names: Vec<_> =
            ["Weight", "weight", "WEIGHT", "bias"].map(|key| siblings.name_for(key)).into();
        assert_eq!(names, ["Weight", "weight~2", "WEIGHT~3", "bias"]);
    }

    #[test]
    fn a_long_key_is_shortened_and_stays_unique() {
        let keys = ["a".repeat(500), "a".repeat(501), "ß".repeat(300)];
        let mut siblings = Siblings::default();
        let names: HashSet<_> = keys.iter().map(|key| siblings.name_for(key)).collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| name.len() <= MAX_BYTES));
    }

    proptest! {
        #[test]
        fn every_name_is_a_plain_file_name(keys in prop::collection::vec(any::<String>(), 1..20)) {
            let mut siblings = Siblings::default();
            let mut seen = HashSet::new();
            for key in keys.iter().filter(|key| !key.is_empty()) {
                let name = siblings.name_for(key);
                let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-%~".contains(&b);
                prop_assert!(name.bytes().all(is_allowed), "{name:?}");
                prop_assert!(!name.is_empty() && name.len() <= MAX_BYTES + 8);
                prop_assert!(!name.starts_with('.') && !name.ends_with('.'));
                prop_assert!(!name.starts_with("__"));
                prop_assert!(seen.insert(name.to_ascii_lowercase()), "{name:?} twice");
            }
        }
    }
}
