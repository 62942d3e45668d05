//! What in a footer is beyond this crate without being damage: encryption, columns in other files,
//! and numbers of enumerations that a later edition of the format may define.
//!
//! The library refuses a whole footer for one such number, and ignores encryption. So the structure is
//! walked here, without knowing more of it than the numbers of the fields below, those of `parquet.thrift`.

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

/// The first thing in a footer that is beyond this crate; `None` if there is nothing, or if the footer
/// is malformed.
pub(super) fn beyond_us(footer: &[u8]) -> Option<String> {
    let mut found = None;
    let mut reader = Reader::new(footer);
    reader.walk(&mut |path, step| {
        if found.is_none() {
            found = look(path, step);
        }
    })?;
    found
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
        beyond_us(&footer(|column| {
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
        let found = beyond_us(&footer(|column| column.bytes(1, "part-0.parquet"))).unwrap();
        assert!(found.contains("in other files"), "{found}");
        let found = beyond_us(&footer(|column| column.structure(8, |_| ()))).unwrap();
        assert!(found.contains("encrypted"), "{found}");
        let mut bytes = Vec::new();
        structure(&mut bytes, |footer| footer.structure(8, |_| ()));
        assert!(beyond_us(&bytes).unwrap().contains("encrypted"));
    }

    #[test]
    fn a_malformed_footer_is_left_to_the_library() {
        let whole = footer(|column| column.bytes(1, "part-0.parquet"));
        for len in 0..whole.len() {
            assert_eq!(beyond_us(&whole[..len]), None, "cut to {len}");
        }
    }
}
