//! Pages with false claims. Regression: a header alone made the library allocate 2 GiB, a dictionary
//! 16 GiB, and 100 KB of gzip became 100 MB whatever the header claimed.

use super::*;
use crate::format::leaves::Reading;
use flate2::write::GzEncoder;
use std::io::Write;

fn gz() -> Compression {
    Compression::GZIP(parquet::basic::GzipLevel::default())
}

fn data(values: u32, full_len: u32, body: &[u8]) -> Vec<u8> {
    let kind = Kind::Data { values, encoding: PLAIN, levels: [3, 3] };
    page(kind, full_len, body)
}

fn page(kind: Kind, full_len: u32, body: &[u8]) -> Vec<u8> {
    let header = PageHeader { kind, full_len, stored_len: body.len() as u32 };
    [&header.write()[..], body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The readings that the tests go through.
const READINGS: [Reading; 7] = [
    Reading::Bool,
    Reading::Int64,
    Reading::UInt32,
    Reading::Float64,
    Reading::Float16,
    Reading::Lists64,
    Reading::Text,
];

fn claims(reading: Reading, compression: Compression) -> Claims {
    Claims { compression, reading, nullable: true, values: 100, bytes_max: 32 << 20 }
}

fn refuse(chunk: &[u8], claims: Claims, reason: &str) {
    let failure = check(chunk, 4, claims).unwrap_err();
    let ReadFailure::Damaged(error) = failure else { panic!("{failure:?}") };
    assert!(error.contains(reason), "{error}, not {reason}");
}

/// It may be right, and this reader does not take it.
fn pass(chunk: &[u8], claims: Claims, reason: &str) {
    let failure = check(chunk, 4, claims).unwrap_err();
    let ReadFailure::Unsupported(error) = failure else { panic!("{failure:?}") };
    assert!(error.contains(reason), "{error}, not {reason}");
}

#[test]
fn correct_pages_are_unchanged_except_that_they_are_decompressed() {
    let body = [7; 800];
    let plain = data(100, 800, &body);
    let snappy = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    for (chunk, compression) in [
        (plain.clone(), Compression::UNCOMPRESSED),
        (data(100, 800, &snappy), Compression::SNAPPY),
        (data(100, 800, &gzip(&body)), gz()),
    ] {
        let pages = check(&chunk, 4, claims(Reading::Float64, compression)).unwrap();
        assert_eq!(pages, [&[0; 4][..], &plain].concat());
    }
}

/// Regression: the library took a page without values, which pyarrow writes, for the end of the chunk.
#[test]
fn pages_without_values_are_left_out() {
    let (first, last) = (data(60, 480, &[7; 480]), data(40, 320, &[7; 320]));
    let chunk = [&first[..], &data(0, 1, &[2]), &last].concat();
    let pages = check(&chunk, 4, claims(Reading::Float64, Compression::UNCOMPRESSED)).unwrap();
    assert_eq!(pages, [&[0; 4][..], &first, &last].concat());
    assert_eq!(values_of(&chunk).unwrap(), 100);
}

#[test]
fn a_length_that_the_rows_do_not_justify_is_more_than_the_reader_takes() {
    for compression in [gz(), Compression::SNAPPY, Compression::UNCOMPRESSED] {
        for reading in READINGS {
            let chunk = data(100, i32::MAX as u32, b"few bytes");
            pass(&chunk, claims(reading, compression), "claims to be 2147483647 bytes");
        }
    }
    // Many small claims add up.
    let page = data(0, 2_000, &[0; 2_000]);
    let plain = |reading| claims(reading, Compression::UNCOMPRESSED);
    pass(&page.repeat(100), plain(Reading::Int64), "claims to be 2000 bytes");
    let page = data(0, 20 << 20, &vec![0; 20 << 20]);
    pass(&page.repeat(2), plain(Reading::Text), "see MetricsFile::chunk_bytes_max");
}

// Regression: a column of ours whose texts zstd had made a thousandth of was called damaged.
#[test]
fn texts_of_any_ratio_are_taken_up_to_the_limit_and_numbers_with_any_codec() {
    let zeros = vec![0; 30 << 20];
    let zstd = Compression::ZSTD(parquet::basic::ZstdLevel::default());
    let packed = zstd::bulk::compress(&zeros, 3).unwrap();
    let pages = check(&data(100, 30 << 20, &packed), 4, claims(Reading::Text, zstd)).unwrap();
    assert!(pages.len() > 30 << 20 && packed.len() < 10_000, "{}", packed.len());
    let rows = 1_000_000;
    let packed = zstd::bulk::compress(&zeros[..8 * rows], 3).unwrap();
    let many = Claims { values: rows as u64, ..claims(Reading::Float64, zstd) };
    assert!(check(&data(rows as u32, 8 * rows as u32, &packed), 4, many).is_ok());
}

#[test]
fn encodings_and_pages_that_are_not_known_are_not_damage() {
    let plain = |reading| claims(reading, Compression::UNCOMPRESSED);
    let page_of = |encoding| page(Kind::Data { values: 1, encoding, levels: [3, 3] }, 0, b"");
    for (reading, encodings) in [
        (Reading::Bool, &[1, 4, 5, 6, 7, 9, 10, 11, 1_000][..]),
        (Reading::Int64, &[1, 3, 4, 6, 7, 10, 11]),
        (Reading::UInt32, &[1, 3, 4, 6, 7, 10, 11]),
        (Reading::Float64, &[1, 3, 4, 5, 6, 7, 11]),
        (Reading::Float16, &[1, 3, 4, 5, 6, 7, 10, 11]),
        (Reading::Text, &[1, 3, 4, 5, 9, 10, 11]),
    ] {
        for encoding in encodings {
            let what = format!("its value encoding is {encoding},");
            pass(&page_of(*encoding), plain(reading), &what);
        }
    }
    let levels = Kind::Data { values: 1, encoding: PLAIN, levels: [0, 3] };
    pass(&page(levels, 0, b""), plain(Reading::Text), "its level encoding is 0");
    pass(&page(Kind::Unknown(4), 0, b""), plain(Reading::Text), "a page of type 4");
    let dictionary = |values, encoding| {
        page(Kind::Dictionary { values, encoding }, 8_000_000, &vec![0; 8_000_000])
    };
    pass(&dictionary(1, 8), plain(Reading::Text), "its dictionary encoding is 8");
    pass(&dictionary(2_000_000, PLAIN), plain(Reading::Text), "2000000 values for a chunk of 100");
    let lzo = claims(Reading::Text, Compression::LZO);
    pass(&data(1, 8, b"compressed"), lzo, "LZO");
}

#[test]
fn gzip_expands_to_no_more_than_was_checked() {
    let bomb = gzip(&vec![0; 100 << 20]);
    for claimed in [800, 0] {
        refuse(
            &data(100, claimed, &bomb),
            claims(Reading::Float64, gz()),
            "does not have the length",
        );
    }
    let short = gzip(&[0; 700]);
    refuse(&data(100, 800, &short), claims(Reading::Float64, gz()), "does not have the length");
    let broken = &short[..short.len() / 2];
    assert!(check(&data(100, 800, broken), 4, claims(Reading::Float64, gz())).is_err());
}

#[test]
fn lists_of_more_elements_than_the_reader_takes_are_refused_before_anything_is_decoded() {
    let lists = Claims { values: 1 << 21, ..claims(Reading::Lists64, Compression::UNCOMPRESSED) };
    let page = data(1 << 21, 100, &[0; 100]);
    assert!(check(&page, 4, lists).is_ok());
    pass(&page, Claims { values: (1 << 21) + 1, ..lists }, "MetricsFile::chunk_bytes_max");
    pass(&page, Claims { values: u64::MAX, ..lists }, "MetricsFile::chunk_bytes_max");
    // Its levels may be in an encoding that this reader does not know.
    for levels in [[3, 7], [7, 3]] {
        let kind = Kind::Data { values: 3, encoding: PLAIN, levels };
        pass(&self::page(kind, 100, &[0; 100]), lists, "its level encoding is 7");
    }
}

#[test]
fn more_values_than_rows_or_than_fit_into_a_dictionary_are_refused() {
    let plain = |reading| claims(reading, Compression::UNCOMPRESSED);
    let chunk = [data(60, 0, b""), data(41, 0, b"")].concat();
    refuse(&chunk, plain(Reading::Int64), "more values than it claims");
    let dictionary = |values| page(Kind::Dictionary { values, encoding: PLAIN }, 8, &[0; 8]);
    for (reading, fit) in [(Reading::Int64, 1), (Reading::Float32, 2), (Reading::Text, 2)] {
        assert!(check(&dictionary(fit), 4, plain(reading)).is_ok());
        refuse(&dictionary(fit + 1), plain(reading), "it claims a dictionary of");
        refuse(&dictionary(i32::MAX as u32), plain(reading), "it claims a dictionary of");
        refuse(&dictionary(fit).repeat(2), plain(reading), "it claims a dictionary of");
    }
    for encoding in [PLAIN_DICTIONARY, RLE_DICTIONARY] {
        let chunk = page(Kind::Data { values: 1, encoding, levels: [3, 3] }, 0, b"");
        refuse(&chunk, plain(Reading::Text), "a dictionary that is missing");
    }
    for encoding in [DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY] {
        let chunk = page(Kind::Data { values: 1, encoding, levels: [3, 3] }, 4, &[0; 4]);
        refuse(&chunk, plain(Reading::Text), "malformed deltas");
    }
}

#[test]
fn a_truncated_page_is_refused() {
    let whole = data(100, 800, &[7; 800]);
    for len in 1..whole.len() {
        let cut = check(&whole[..len], 4, claims(Reading::Int64, Compression::UNCOMPRESSED));
        assert!(cut.is_err(), "cut to {len}");
    }
    let levels = |levels_len| {
        let (values, encoding) = (1, PLAIN);
        let kind =
            Kind::DataV2 { values, nulls: 0, rows: 1, encoding, levels_len, is_compressed: true };
        page(kind, 8, b"12")
    };
    refuse(&levels([8, 1]), claims(Reading::Int64, gz()), "reach beyond it");
    refuse(&levels([2, 1]), claims(Reading::Int64, gz()), "reach beyond it");
}
