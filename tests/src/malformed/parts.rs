//! Named pieces of bytes as one byte string: how a whole directory becomes the input of a fuzzer, and back.
//!
//! Each piece is the length of its name in one byte, the name, the length of its content in two bytes
//! (little-endian), and the content. A truncated piece ends where the bytes end, so that every input is valid.

use crate::stored_zip::Parts;

/// More than any seed has.
const COUNT_MAX: usize = 64;

pub(super) fn pack(parts: &Parts) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in parts {
        bytes.push(u8::try_from(name.len()).expect("names of seeds are short"));
        bytes.extend_from_slice(name.as_bytes());
        let len = u16::try_from(content.len()).expect("pieces of seeds are small");
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

pub(super) fn unpack(mut bytes: &[u8]) -> Parts {
    let mut parts = Vec::new();
    while let (Some((len, rest)), true) = (bytes.split_first(), parts.len() < COUNT_MAX) {
        let (name, rest) = rest.split_at(rest.len().min((*len).into()));
        let (len, rest) = match rest.split_first_chunk() {
            Some((len, rest)) => (u16::from_le_bytes(*len).into(), rest),
            None => (rest.len(), rest),
        };
        let (content, rest) = rest.split_at(rest.len().min(len));
        parts.push((String::from_utf8_lossy(name).into_owned(), content.to_vec()));
        bytes = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_every_part_of_it_is_something() {
        let parts = vec![("a/b".to_owned(), b"text".to_vec()), (String::new(), Vec::new())];
        let bytes = pack(&parts);
        assert_eq!(unpack(&bytes), parts);
        for len in 0..bytes.len() {
            assert!(unpack(&bytes[..len]).len() <= 2);
        }
    }
}
