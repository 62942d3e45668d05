//! The header of a page: read without trusting it, and written again for the library.
//!
//! Field numbers are those of `PageHeader` in the format's own `parquet.thrift`. Statistics and page
//! checksums are skipped: values are decoded without the former, and chunks have checksums of their
//! own.

use crate::format::thrift::{Fields, Reader, Value, structure};

/// A header whose numbers are all present and not negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) kind: Kind,
    /// The decompressed length of the page in bytes.
    pub(crate) full_len: u32,
    /// The stored length of the page in bytes.
    pub(crate) stored_len: u32,
}

/// The kind of page, and the claims of its own header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Data {
        values: u32,
        encoding: u32,
        /// How definition and repetition levels are encoded.
        levels: [u32; 2],
    },
    /// An index, which is not needed to read values.
    Index,
    /// A kind that a later edition of the format defines.
    Unknown(u32),
    Dictionary {
        values: u32,
        encoding: u32,
    },
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: u32,
        /// The length of definition and of repetition levels, which come first and are never compressed.
        levels_len: [u32; 2],
        is_compressed: bool,
    },
}

const DATA: u32 = 0;
const INDEX: u32 = 1;
const DICTIONARY: u32 = 2;
const DATA_V2: u32 = 3;

impl PageHeader {
    /// Reads a header from the beginning of the bytes; also returns its length.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let mut facts = [None; 3];
        // The numbers of the inner header, by field, and its flag.
        let (mut inner, mut is_compressed) = ([None; 6], true);
        reader.structure(|reader, number, value| {
            match (number, value) {
                (1..=3, Value::Int(fact)) => facts[number as usize - 1] = Some(count(fact)?),
                (5 | 7 | 8, Value::Struct) => {
                    inner = [None; 6];
                    reader.structure(|reader, number, value| match (number, value) {
                        (1..=6, Value::Int(fact)) => {
                            inner[number as usize - 1] = Some(count(fact)?);
                            Some(())
                        }
                        (7, Value::Flag(flag)) => {
                            is_compressed = flag;
                            Some(())
                        }
                        (_, Value::Struct) => reader.skip_structure(),
                        _ => Some(()),
                    })?;
                }
                (_, Value::Struct) => reader.skip_structure()?,
                _ => {}
            }
            Some(())
        })?;
        let [kind, full_len, stored_len] = facts;
        let kind = match (kind?, inner) {
            (DATA, [Some(values), Some(encoding), Some(definition), Some(repetition), ..]) => {
                Kind::Data { values, encoding, levels: [definition, repetition] }
            }
            (INDEX, _) => Kind::Index,
            (DICTIONARY, [Some(values), Some(encoding), ..]) => {
                Kind::Dictionary { values, encoding }
            }
            (
                DATA_V2,
                [Some(values), Some(nulls), Some(rows), Some(encoding), Some(first), Some(second)],
            ) => Kind::DataV2 {
                values,
                nulls,
                rows,
                encoding,
                levels_len: [first, second],
                is_compressed,
            },
            (kind, _) if kind > DATA_V2 => Kind::Unknown(kind),
            _ => return None,
        };
        let header = Self { kind, full_len: full_len?, stored_len: stored_len? };
        Some((header, reader.position()))
    }

    /// The bytes of the header.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.append(&mut bytes);
        bytes
    }

    /// Appends the bytes of the header.
    pub(crate) fn append(&self, bytes: &mut Vec<u8>) {
        let facts = |header: &mut Fields<'_>, kind: u32| {
            for (number, fact) in (1..).zip([kind, self.full_len, self.stored_len]) {
                header.int(number, fact as i32);
            }
        };
        structure(bytes, |header| match &self.kind {
            Kind::Index => facts(header, INDEX),
            Kind::Unknown(kind) => facts(header, *kind),
            Kind::Data { values, encoding, levels: [definition, repetition] } => {
                facts(header, DATA);
                header.structure(5, |inner| {
                    for (number, fact) in (1..).zip([values, encoding, definition, repetition]) {
                        inner.int(number, *fact as i32);
                    }
                });
            }
            Kind::Dictionary { values, encoding } => {
                facts(header, DICTIONARY);
                header.structure(7, |inner| {
                    inner.int(1, *values as i32);
                    inner.int(2, *encoding as i32);
                });
            }
            Kind::DataV2 {
                values,
                nulls,
                rows,
                encoding,
                levels_len: [definition, repetition],
                is_compressed,
            } => {
                facts(header, DATA_V2);
                header.structure(8, |inner| {
                    let facts = [values, nulls, rows, encoding, definition, repetition];
                    for (number, fact) in (1..).zip(facts) {
                        inner.int(number, *fact as i32);
                    }
                    inner.flag(7, *is_compressed);
                });
            }
        });
    }
}

/// A number that is not negative and fits into the signed 32 bits of the format.
fn count(fact: i64) -> Option<u32> {
    i32::try_from(fact).ok().and_then(|fact| u32::try_from(fact).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_kind_are_read_back_and_no_part_of_one_is() {
        let kinds = [
            Kind::Data { values: 7, encoding: 9, levels: [3, 3] },
            Kind::Index,
            Kind::Unknown(4),
            Kind::Dictionary { values: 300, encoding: 0 },
            Kind::DataV2 {
                values: i32::MAX as u32,
                nulls: 1,
                rows: 2,
                encoding: 8,
                levels_len: [5, 0],
                is_compressed: false,
            },
        ];
        for kind in kinds {
            let header = PageHeader { kind, full_len: 1 << 30, stored_len: 127 };
            let bytes = header.write();
            let read = PageHeader::read(&[&bytes[..], b"page"].concat());
            assert_eq!(read, Some((header.clone(), bytes.len())));
            for len in 0..bytes.len() {
                assert_eq!(PageHeader::read(&bytes[..len]), None, "{header:?} cut to {len}");
            }
        }
    }

    #[test]
    fn a_header_with_a_negative_number_is_refused() {
        let mut bytes = Vec::new();
        structure(&mut bytes, |header| {
            header.int(1, 1);
            header.int(2, -1);
            header.int(3, 0);
        });
        assert_eq!(PageHeader::read(&bytes), None);
    }
}
