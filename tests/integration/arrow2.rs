//! arrow2 and parquet2, which share no code with the Parquet library that we write with, read our files; and the
//! way back, through the feature `arrow2`.
//!
//! They support neither byte-stream-split floats nor run-length-encoded booleans, so files with those are written
//! with the plain encoding. Integers and texts are written as usual.

use arrow2::io::parquet::read::{FileReader, infer_schema, read_metadata};
use qstore::parquet::{Compression, MetricsLog, arrow2_rows};
use qstore::schema::Timestamp;
use qstore::{Row, WriterSettings};
use qstore_tests::plain;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

const CODECS: [&str; 5] = ["gzip", "zstd:3", "lz4", "snappy", "none"];

/// Integers and texts; if plain, also booleans, all kinds of floats, nulls, and a column that appears late.
fn rows(count: i64, is_plain: bool) -> Vec<Row> {
    let mut random = fastrand::Rng::with_seed(9);
    let row = |step: i64| {
        // Differences that exceed 64 bits overflow in arrow2's delta decoder.
        let bits = if is_plain { 0 } else { 2 };
        let mut row = Row::from([("step", step), ("noise", random.i64(..) >> bits)]);
        row.set("backend", ["simulator", "ion_trap", ""][random.usize(..3)]);
        if is_plain {
            if step % 3 == 0 {
                row.set("is_best", random.bool());
            }
            // Arbitrary bits: NaNs with a payload, infinities, both zeros.
            row.set("loss", f64::from_bits(random.u64(..)));
            row.set("zero", [0.0, -0.0][random.usize(..2)]);
            if step % 4 != 1 {
                let list = (0..step % 5).map(|_| f64::from_bits(random.u64(..)));
                row.set("list", list.collect::<Vec<_>>());
            }
            row.set("at", Timestamp::micros(step));
            if step > count / 2 {
                row.set("late", f64::from_bits(0x7ff8_0000_0000_0000 | random.u64(..1 << 51)));
            }
        }
        row
    };
    (0..count).map(row).collect()
}

fn write(path: &Path, rows: &[Row], settings: WriterSettings) {
    let mut log = MetricsLog::open(path, settings).unwrap();
    for rows in rows.chunks(700) {
        for row in rows {
            log.append(row, Instant::now());
        }
        log.flush().unwrap();
    }
    log.close().unwrap();
}

/// All rows of a file as arrow2 reads them.
fn read(path: &Path) -> Vec<Row> {
    let mut file = File::open(path).unwrap();
    let metadata = read_metadata(&mut file).unwrap();
    let schema = infer_schema(&metadata).unwrap();
    let fields = schema.fields.clone();
    let reader = FileReader::new(file, metadata.row_groups, schema, None, None, None);
    let chunks = reader.map(|chunk| chunk.unwrap());
    chunks.flat_map(|chunk| arrow2_rows(&fields, &chunk).unwrap().collect::<Vec<_>>()).collect()
}

/// Compares bit by bit, ignoring the order of names in a row.
fn assert_same(found: &[Row], expected: &[Row], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(plain::row(found), plain::row(expected), "row {number}, {what}");
    }
}

#[test]
fn arrow2_reads_every_value_of_a_file_and_its_rows_make_the_same_file_again() {
    for codec in CODECS {
        let compression: Compression = codec.parse().unwrap();
        for is_plain in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (first, second) = (dir.path().join("a.parquet"), dir.path().join("b.parquet"));
            let settings =
                WriterSettings::default().compression(compression).plain_encoding(is_plain);
            // Enough for a sealed group with statistics.
            let rows = rows(6_000, is_plain);
            write(&first, &rows, settings.clone());
            let found = read(&first);
            assert_same(&found, &rows, codec);
            write(&second, &found, settings);
            assert_same(&read(&second), &rows, codec);
        }
    }
}
