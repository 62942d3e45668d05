//! What in a footer is beyond this crate without being damage: encryption, columns in other files,
//! and numbers of enumerations that a later edition of the format may define. And what the library would
//! allocate memory for without looking: more children of a schema element than the footer has bytes.
//!
//! The library refuses a whole footer for one such number, and ignores encryption. So the structure is
//! walked here, without knowing more of it than the numbers of the fields below, those of `parquet.thrift`.

use crate::format::read_failure::ReadFailure;
use crate::format::thrift::{Reader, Step};

/// The fields from the root of the footer to an enumeration, what it is, and its largest known number.
const KNOWN: [(&[i64], &str, i64); 8] = [
    (&[2, 1], "column type", 7),
    (&[2, 3], "repetition", 2),
    (&[2, 6], "converted type", 21),
    (&[4, 1, 3, 1], "column type", 7),
    (&[4, 1, 3, 2], "encoding", 10),
    (&[4, 1, 3, 4], "codec", 7),
    (&[4, 1, 3, 13, 1], "page type", 3),
    (&[4, 1, 3, 13, 2], "encoding", 10),
];

/// An encoding that was numbered and never defined.
const GROUP_VAR_INT: i64 = 1;

const CHUNK_FILE: &[i64] = &[4, 1, 1];
const CHUNK_ENCRYPTION: &[i64] = &[4, 1, 8];
const ENCRYPTION: &[i64] = &[8];
const CHILDREN: &[i64] = &[2, 5];

/// Why a footer must not be handed to the library; `None` if it may be, or if it is malformed.
pub(super) fn beyond_us(footer: &[u8]) -> Option<ReadFailure> {
    let mut found = None;
    let mut reader = Reader::new(footer);
    let whole = reader.walk(&mut |path, step| {
        if found.is_none() {
            found = children(path, step, footer.len())
                .map(ReadFailure::Damaged)
                .or_else(|| look(path, step).map(ReadFailure::Unsupported));
        }
    });
    // What is malformed behind it changes nothing about a claim.
    found.filter(|failure| whole.is_some() || matches!(failure, ReadFailure::Damaged(_)))
}

/// A claim of more children than there can be. Each of them has some bytes of the footer.
fn children(path: &[i64], step: Step, footer_len: usize) -> Option<String> {
    match (path, step) {
        (CHILDREN, Step::Int(count)) => {
            usize::try_from(count).map_or(true, |count| count > footer_len).then(|| {
                format!(
                    "its footer claims a column with {count} children, and has {footer_len} bytes"
                )
            })
        }
        _ => None,
    }
}

fn look(path: &[i64], step: Step) -> Option<String> {
    match (path, step) {
        (ENCRYPTION | CHUNK_ENCRYPTION, _) => {
            Some("it is encrypted, which this crate does not support".into())
        }
        (CHUNK_FILE, _) => Some("its columns are in other files: it is a summary of those".into()),
        (_, Step::Int(number)) => {
            let (_, what, most) = KNOWN.iter().find(|(known, ..)| *known == path)?;
            let is_known =
                (0..=*most).contains(&number) && !(*what == "encoding" && number == GROUP_VAR_INT);
            (!is_known).then(|| format!("it has {what} {number}, which this crate does not know"))
        }
        (_, Step::Other) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::thrift::{Fields, structure};

    /// What is not supported.
    fn beyond(footer: &[u8]) -> Option<String> {
        match beyond_us(footer)? {
            ReadFailure::Unsupported(reason) => Some(reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_claim_of_more_children_than_bytes_is_damage() {
        let footer = |children: i32| {
            let mut bytes = Vec::new();
            structure(&mut bytes, |footer| {
                footer.structures(2, &[()], |(), leaf| leaf.int(5, children));
            });
            bytes
        };
        assert!(beyond_us(&footer(1)).is_none());
        for children in [i32::MAX, -1, 1_000] {
            let found = beyond_us(&footer(children));
            assert!(matches!(found, Some(ReadFailure::Damaged(_))), "{children}: {found:?}");
            // Also if what comes behind it is missing.
            let bytes = footer(children);
            let found = beyond_us(&bytes[..bytes.len() - 1]);
            assert!(matches!(found, Some(ReadFailure::Damaged(_))), "{children}: {found:?}");
        }
    }

    fn footer(chunk: impl Fn(&mut Fields<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        structure(&mut bytes, |footer| {
            footer.int(1, 2);
            footer.structures(2, &[(), ()], |(), leaf| leaf.int(1, 5));
            footer.structures(4, &[()], |(), group| {
                group.structures(1, &[()], |(), column| chunk(column));
            });
        });
        bytes
    }

    fn described(encodings: &'static [i32], codec: i32) -> Option<String> {
        beyond(&footer(|column| {
            column.long(2, 4);
            column.structure(3, |described| {
                described.int(1, 5);
                described.ints(2, encodings);
                described.int(4, codec);
            });
        }))
    }

    #[test]
    fn numbers_of_a_later_edition_are_found_and_those_of_this_one_are_not() {
        assert_eq!(described(&[0, 2, 3, 4, 5, 6, 7, 8, 9, 10], 7), None);
        for (encodings, codec, what) in [
            (&[0, 11][..], 0, "encoding 11"),
            (&[1], 0, "encoding 1"),
            (&[0], 8, "codec 8"),
            (&[0], -1, "codec -1"),
        ] {
            let found = described(encodings, codec).unwrap_or_default();
            assert!(found.contains(what), "{found}");
        }
    }

    #[test]
    fn encryption_and_columns_in_other_files_are_found() {
        let found = beyond(&footer(|column| column.bytes(1, "part-0.parquet"))).unwrap();
        assert!(found.contains("in other files"), "{found}");
        let found = beyond(&footer(|column| column.structure(8, |_| ()))).unwrap();
        assert!(found.contains("encrypted"), "{found}");
        let mut bytes = Vec::new();
        structure(&mut bytes, |footer| footer.structure(8, |_| ()));
        assert!(beyond(&bytes).unwrap().contains("encrypted"));
    }

    #[test]
    fn a_malformed_footer_is_left_to_the_library() {
        let whole = footer(|column| column.bytes(1, "part-0.parquet"));
        for len in 0..whole.len() {
            assert_eq!(beyond(&whole[..len]), None, "cut to {len}");
        }
    }
}
