//! Writes structures, with fields in ascending order.

use super::{BINARY, BYTE, FALSE, I32, I64, LIST, STRUCT, TRUE};

/// A longer list has its length after its first byte.
const SHORT_LIST_MAX: usize = 14;

/// Writes one structure; `fill` writes its fields.
pub(crate) fn structure(out: &mut Vec<u8>, fill: impl FnOnce(&mut Fields<'_>)) {
    fill(&mut Fields { out, last: 0 });
    out.push(0);
}

/// The fields of a structure that is being written.
pub(crate) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    last: u8,
}

impl Fields<'_> {
    /// A 32-bit integer, or one value of an enumeration.
    pub(crate) fn int(&mut self, id: u8, value: i32) {
        self.header(id, I32);
        signed(self.out, value.into());
    }

    /// A byte.
    pub(crate) fn byte(&mut self, id: u8, value: u8) {
        self.header(id, BYTE);
        self.out.push(value);
    }

    /// A flag.
    pub(crate) fn flag(&mut self, id: u8, value: bool) {
        self.header(id, if value { TRUE } else { FALSE });
    }

    /// A 64-bit integer.
    pub(crate) fn long(&mut self, id: u8, value: i64) {
        self.header(id, I64);
        signed(self.out, value);
    }

    /// Bytes, or a text.
    pub(crate) fn bytes(&mut self, id: u8, bytes: impl AsRef<[u8]>) {
        self.header(id, BINARY);
        binary(self.out, bytes.as_ref());
    }

    /// A structure in this one.
    pub(crate) fn structure(&mut self, id: u8, fill: impl FnOnce(&mut Fields<'_>)) {
        self.header(id, STRUCT);
        structure(self.out, fill);
    }

    /// A list of 32-bit integers.
    pub(crate) fn ints(&mut self, id: u8, values: &[i32]) {
        self.list(id, I32, values.len());
        for value in values {
            signed(self.out, (*value).into());
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, id: u8, texts: &[&str]) {
        self.list(id, BINARY, texts.len());
        for text in texts {
            binary(self.out, text.as_bytes());
        }
    }

    /// A list of structures, one for each item.
    pub(crate) fn structures<T>(
        &mut self,
        id: u8,
        items: &[T],
        fill: impl Fn(&T, &mut Fields<'_>),
    ) {
        self.list(id, STRUCT, items.len());
        for item in items {
            structure(self.out, |fields| fill(item, fields));
        }
    }

    /// A list of `count` structures that are encoded already, one after the other.
    pub(crate) fn joined(&mut self, id: u8, count: usize, structures: &[u8]) {
        self.list(id, STRUCT, count);
        self.out.extend_from_slice(structures);
    }

    fn list(&mut self, id: u8, kind: u8, len: usize) {
        self.header(id, LIST);
        if len <= SHORT_LIST_MAX {
            self.out.push((len as u8) << 4 | kind);
        } else {
            self.out.push(0xf0 | kind);
            unsigned(self.out, len as u64);
        }
    }

    /// The number of the field is written as the distance from the one before, in half a byte.
    fn header(&mut self, id: u8, kind: u8) {
        debug_assert!(id > self.last && id - self.last < 16, "fields are written in order");
        self.out.push((id - self.last) << 4 | kind);
        self.last = id;
    }
}

fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Zigzag: small numbers of either sign are short.
fn signed(out: &mut Vec<u8>, value: i64) {
    unsigned(out, (value << 1 ^ value >> 63) as u64);
}

fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Fields<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        structure(&mut out, fill);
        out
    }

    #[test]
    fn numbers_are_zigzag_and_fields_are_relative() {
        let bytes = written(|fields| {
            fields.int(1, -1);
            fields.long(4, 300);
            fields.bytes(5, "ab");
        });
        assert_eq!(bytes, [0x15, 1, 0x36, 0xd8, 0x04, 0x18, 2, b'a', b'b', 0]);
        assert_eq!(written(|fields| fields.long(1, i64::MIN)).len(), 1 + 10 + 1);
    }

    #[test]
    fn a_list_has_its_length_before_its_items() {
        assert_eq!(written(|fields| fields.ints(2, &[0, 3])), [0x29, 0x25, 0, 6, 0]);
        let long = written(|fields| fields.structures(1, &[(); 200], |(), _| {}));
        assert_eq!(long[..4], [0x19, 0xfc, 0xc8, 1]);
        assert_eq!(long.len(), 4 + 200 + 1);
    }
}
