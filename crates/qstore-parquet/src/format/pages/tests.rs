//! Pages with false claims. Regression: a header alone made the library allocate 2 GiB, a dictionary
//! 16 GiB, and 100 KB of gzip became 100 MB whatever the header claimed.

use super::*;
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

fn claims(data_type: DataType, compression: Compression) -> Claims {
    Claims { compression, data_type, rows: 100 }
}

fn refuse(chunk: &[u8], claims: Claims, reason: &str) {
    let error = check(chunk, 4, claims).unwrap_err();
    assert!(error.contains(reason), "{error}, not {reason}");
}

#[test]
fn correct_pages_are_unchanged_except_that_gzip_is_decompressed() {
    let body = [7; 800];
    let plain = data(100, 800, &body);
    for (chunk, compression) in
        [(plain.clone(), Compression::SNAPPY), (data(100, 800, &gzip(&body)), gz())]
    {
        let pages = check(&chunk, 4, claims(DataType::Float64, compression)).unwrap();
        assert_eq!(pages.bytes, [&[0; 4][..], &plain].concat());
        let is_left = compression == Compression::SNAPPY;
        assert_eq!(pages.compression == Compression::SNAPPY, is_left);
    }
}

#[test]
fn a_length_that_the_rows_do_not_justify_is_refused() {
    for compression in [gz(), Compression::SNAPPY, Compression::UNCOMPRESSED] {
        for data_type in [DataType::Bool, DataType::Int64, DataType::Float64, DataType::Utf8] {
            let chunk = data(100, i32::MAX as u32, b"few bytes");
            refuse(&chunk, claims(data_type, compression), "claims to be 2147483647 bytes");
        }
    }
    // Many small false claims add up.
    let chunk = data(0, 2_000, b"").repeat(100);
    refuse(&chunk, claims(DataType::Int64, Compression::SNAPPY), "claims to be 2000 bytes");
    let chunk = data(0, 20 << 20, b"").repeat(2);
    refuse(&chunk, claims(DataType::Utf8, Compression::SNAPPY), "claims to be 20971520 bytes");
}

#[test]
fn gzip_expands_to_no_more_than_was_checked() {
    let bomb = gzip(&vec![0; 100 << 20]);
    for claimed in [800, 0] {
        refuse(
            &data(100, claimed, &bomb),
            claims(DataType::Float64, gz()),
            "does not have the length",
        );
    }
    let short = gzip(&[0; 700]);
    refuse(&data(100, 800, &short), claims(DataType::Float64, gz()), "does not have the length");
    let broken = &short[..short.len() / 2];
    assert!(check(&data(100, 800, broken), 4, claims(DataType::Float64, gz())).is_err());
}

#[test]
fn more_values_than_rows_or_than_fit_into_a_dictionary_are_refused() {
    let plain = |data_type| claims(data_type, Compression::UNCOMPRESSED);
    let chunk = [data(60, 0, b""), data(41, 0, b"")].concat();
    refuse(&chunk, plain(DataType::Int64), "more values than there are rows");
    let dictionary = |values| page(Kind::Dictionary { values, encoding: PLAIN }, 8, &[0; 8]);
    for (data_type, fit) in [(DataType::Int64, 1), (DataType::Utf8, 2)] {
        assert!(check(&dictionary(fit), 4, plain(data_type)).is_ok());
        refuse(&dictionary(fit + 1), plain(data_type), "it claims a dictionary of");
        refuse(&dictionary(i32::MAX as u32), plain(data_type), "it claims a dictionary of");
        refuse(&dictionary(fit).repeat(2), plain(data_type), "it claims a dictionary of");
    }
    for encoding in [PLAIN_DICTIONARY, RLE_DICTIONARY] {
        let chunk = page(Kind::Data { values: 1, encoding, levels: [3, 3] }, 0, b"");
        refuse(&chunk, plain(DataType::Utf8), "a dictionary that is missing");
    }
    for encoding in [DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY] {
        let chunk = page(Kind::Data { values: 1, encoding, levels: [3, 3] }, 0, b"");
        refuse(&chunk, plain(DataType::Utf8), "encoded as deltas");
    }
}

#[test]
fn a_truncated_page_is_refused() {
    let whole = data(100, 800, &[7; 800]);
    for len in 1..whole.len() {
        let cut = check(&whole[..len], 4, claims(DataType::Int64, Compression::UNCOMPRESSED));
        assert!(cut.is_err(), "cut to {len}");
    }
    let levels = |levels_len| {
        let (values, encoding) = (1, PLAIN);
        let kind =
            Kind::DataV2 { values, nulls: 0, rows: 1, encoding, levels_len, is_compressed: true };
        page(kind, 8, b"12")
    };
    refuse(&levels([8, 1]), claims(DataType::Int64, gz()), "reach beyond it");
    refuse(&levels([2, 1]), claims(DataType::Int64, gz()), "reach beyond it");
}
