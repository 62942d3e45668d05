//! Texts as deltas, written by the library and by hand, and the ways in which few bytes claim many.

use super::*;
use parquet::basic::{Encoding, LogicalType, Repetition, Type as Physical};
use parquet::column::page::Page;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;
use std::sync::Arc;

/// The values of a page that the library encoded.
fn encoded(texts: &[String], encoding: Encoding) -> Vec<u8> {
    let leaf = Type::primitive_type_builder("text", Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String));
    let root =
        Type::group_type_builder("schema").with_fields(vec![Arc::new(leaf.build().unwrap())]);
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 30)
        .set_encoding(encoding)
        .build();
    let root = Arc::new(root.build().unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<_> = texts.iter().map(|text| ByteArray::from(text.as_str())).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let file = bytes::Bytes::from(writer.into_inner().unwrap());
    let reader = SerializedFileReader::new(file).unwrap();
    let mut pages = reader.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
    match pages.get_next_page().unwrap().unwrap() {
        Page::DataPageV2 { buf, .. } => buf.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn plain(texts: &[String]) -> Vec<u8> {
    let text = |text: &String| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    texts.iter().flat_map(text).collect()
}

const MUCH: u64 = 1 << 30;

proptest! {
    #[test]
    fn texts_of_the_library_come_back(
        texts in prop::collection::vec("(epoch )?[a-c]{0,40}ü?", 1..400),
    ) {
        let expected = plain(&texts);
        let bytes = encoded(&texts, Encoding::DELTA_LENGTH_BYTE_ARRAY);
        let mut out = Vec::new();
        append_lengths_first(&bytes, texts.len() as u32, MUCH, &mut out).unwrap();
        prop_assert_eq!(&out, &expected);
        let bytes = encoded(&texts, Encoding::DELTA_BYTE_ARRAY);
        let mut out = Vec::new();
        append_prefixed(&bytes, texts.len() as u32, MUCH, &mut out).unwrap();
        prop_assert_eq!(&out, &expected);
        // More bytes than are allowed are not damage.
        let len = expected.len() as u64 - 1;
        let refused = append_prefixed(&bytes, texts.len() as u32, len, &mut Vec::new());
        prop_assert!(matches!(refused, Err(ReadFailure::Unsupported(_))));
        // Fewer values than there are texts is damage.
        let refused = append_prefixed(&bytes, texts.len() as u32 - 1, MUCH, &mut Vec::new());
        prop_assert!(matches!(refused, Err(ReadFailure::Damaged(_))));
    }

    #[test]
    fn any_bytes_are_an_error_or_texts(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for append in [append_prefixed, append_lengths_first] {
            let mut out = Vec::new();
            let _ = append(&bytes, 100, 1 << 16, &mut out);
            prop_assert!(out.len() <= 1 << 16);
        }
    }
}

/// Deltas of one block in which all values are equal, up to the number that is claimed.
fn equal(count: u32, value: i64) -> Vec<u8> {
    let mut bytes = vec![0x80, 0x01, 4];
    varint(count.into(), &mut bytes);
    varint((value << 1 ^ value >> 63) as u64, &mut bytes);
    for _ in 0..count.saturating_sub(1).div_ceil(128).min(1 << 16) {
        bytes.extend([0, 0, 0, 0, 0]);
    }
    bytes
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[test]
fn a_count_beyond_the_page_is_refused_before_anything_is_allocated() {
    let claimed = equal(u32::MAX, 0);
    for append in [append_prefixed, append_lengths_first] {
        let refused = append(&claimed, 1_000, MUCH, &mut Vec::new());
        assert!(matches!(refused, Err(ReadFailure::Damaged(_))));
    }
}

// A million rows that each repeat a text of a megabyte: a terabyte in a few kilobytes.
#[test]
fn texts_that_repeat_the_one_before_are_counted_before_they_are_written() {
    let (rows, len) = (1_000_000, 1_000_000_u32);
    // The first has a megabyte of its own; each later one takes all of it.
    let mut prefixes = vec![0x80, 0x01, 4];
    varint(rows.into(), &mut prefixes);
    prefixes.push(0);
    let mut suffixes = prefixes[..prefixes.len() - 1].to_vec();
    varint(u64::from(len) << 1, &mut suffixes);
    for block in 0..(rows - 1_u32).div_ceil(128) {
        let first = block == 0;
        // The first delta of the first block leads from 0 to the length, or back; all others are 0.
        for (bytes, delta) in [(&mut prefixes, i64::from(len)), (&mut suffixes, -i64::from(len))] {
            let least = if first { delta.min(0) } else { 0 };
            varint((least << 1 ^ least >> 63) as u64, bytes);
            let width = if first { 32 } else { 0 };
            bytes.extend([width, if first && least < 0 { width } else { 0 }]);
            let rest = if first && least < 0 { width } else { 0 };
            bytes.extend([rest, rest]);
            if first {
                let others = (-least) as u32;
                bytes.extend(((delta - least) as u32).to_le_bytes());
                for _ in 1..if least < 0 { 128 } else { 32 } {
                    bytes.extend(others.to_le_bytes());
                }
            }
        }
    }
    let bytes = [prefixes, suffixes, vec![b'x'; len as usize]].concat();
    let mut out = Vec::new();
    let refused = append_prefixed(&bytes, rows, MUCH, &mut out);
    let Err(ReadFailure::Unsupported(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("1000004000000 bytes"), "{reason}");
    assert_eq!(out.capacity(), 0);
}

#[test]
fn lengths_that_contradict_each_other_are_damage() {
    let texts: Vec<_> = ["one", "one two", "two"].map(str::to_owned).into();
    let whole = encoded(&texts, Encoding::DELTA_BYTE_ARRAY);
    for len in 0..whole.len() {
        let cut = append_prefixed(&whole[..len], 3, MUCH, &mut Vec::new());
        assert!(matches!(cut, Err(ReadFailure::Damaged(_))), "cut to {len}");
    }
    // A text that begins with more than there is, and a negative length.
    let long = [equal(2, 5), equal(2, 1), b"ab".to_vec()].concat();
    assert!(append_prefixed(&long, 2, MUCH, &mut Vec::new()).is_err());
    let negative = [equal(2, -1), b"ab".to_vec()].concat();
    assert!(append_lengths_first(&negative, 2, MUCH, &mut Vec::new()).is_err());
}
