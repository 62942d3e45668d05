//! The paths of tensors in a checkpoint: `model/layer.0.weight`, `optimizer/state/0/exp_avg`. They cannot
//! escape the checkpoint on any operating system.
//!
//! A user's key may contain anything, including `/`, `..` and NUL. Its name in a path contains only
//! `A-Z a-z 0-9 _ . -`, and `%XX` for every other byte; names that Zarr or a file system reserves are
//! escaped as well. A name need not be reversible: a format that must restore the keys stores them
//! separately.

use crate::snapshot::Parts;
use qstore_schema::{State, StateDict, Tensor};
use std::collections::HashSet;

/// The longest name in bytes. File systems allow 255, but some archivers allow fewer.
const MAX_BYTES: usize = 120;

/// The names in one group: unique, even on file systems that ignore case.
///
/// ```
/// use qstore_checkpoint::path::Siblings;
///
/// let mut siblings = Siblings::default();
/// assert_eq!(siblings.name_for("layer.0.weight"), "layer.0.weight");
/// assert_eq!(siblings.name_for("../etc/passwd"), "%2E.%2Fetc%2Fpasswd");
/// assert_eq!(siblings.name_for("Layer.0.weight"), "Layer.0.weight~2");
/// ```
#[derive(Debug, Default)]
pub struct Siblings {
    taken: HashSet<String>,
}

impl Siblings {
    /// The name for the next key of the group.
    pub fn name_for(&mut self, key: &str) -> String {
        let encoded = encode(key);
        let mut name = encoded.clone();
        let mut number = 1_u64;
        // The encoding never produces `~`, so a suffix can only collide with other suffixes.
        while !self.taken.insert(name.to_ascii_lowercase()) {
            number += 1;
            name = format!("{encoded}~{number}");
        }
        name
    }
}

/// Every array of these parts with its path, in the order of the state: the tensors, and bytes as a tensor of
/// `uint8`.
#[must_use]
pub fn tensors(parts: &Parts) -> Vec<(String, Tensor)> {
    let mut found = Vec::new();
    let mut groups = Siblings::default();
    for (name, state) in parts.iter() {
        collect_dict(&groups.name_for(name), state, &mut found);
    }
    found
}

fn collect_dict(group: &str, dict: &StateDict, found: &mut Vec<(String, Tensor)>) {
    let mut siblings = Siblings::default();
    for (key, node) in dict.iter() {
        collect_node(group, &mut siblings, key, node, found);
    }
}

fn collect_node(
    group: &str,
    siblings: &mut Siblings,
    key: &dyn ToString,
    node: &State,
    found: &mut Vec<(String, Tensor)>,
) {
    match node {
        State::Tensor(tensor) => {
            let path = format!("{group}/{}", siblings.name_for(&key.to_string()));
            found.push((path, tensor.clone()));
        }
        State::Bytes(bytes) => {
            let path = format!("{group}/{}", siblings.name_for(&key.to_string()));
            found.push((path, Tensor::from_bytes(bytes.clone())));
        }
        State::List(list) | State::Tuple(list) => {
            let group = format!("{group}/{}", siblings.name_for(&key.to_string()));
            let mut siblings = Siblings::default();
            for (number, node) in list.iter().enumerate() {
                collect_node(&group, &mut siblings, &number, node, found);
            }
        }
        State::Dict(dict) => {
            let group = format!("{group}/{}", siblings.name_for(&key.to_string()));
            collect_dict(&group, dict, found);
        }
        _ => {}
    }
}

fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let hides_first = is_reserved(key);
    let last = key.len().saturating_sub(1);
    for (position, byte) in key.bytes().enumerate() {
        let is_plain = match byte {
            // A leading dot hides a file, and Windows drops a trailing one; this also rules out `..`.
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

/// Names reserved by Zarr (`zarr.json`, anything with two leading underscores), by the checkpoint
/// format (`manifest.json`) or by Windows (`NUL`, also as `nul.txt`).
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

/// Truncates a name that is too long and appends a checksum of the whole key.
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
    fn keys_become_names_that_cannot_escape() {
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
    fn siblings_differ_even_if_case_is_ignored() {
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
                prop_assert!(seen.insert(name.to_ascii_lowercase()), "{name:?} is a duplicate");
            }
        }
    }
}
