//! A reader that takes the footer from one version and the data from a later one, as readers do that
//! open the path twice.

use crate::{PATH, open, row};
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as Record};
use parquet::schema::types::Type;
use qstore_parquet::{Compression, WriterSettings};
use qstore_storage::{MemoryFs, read_all};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Every version of a file that is written in small flushes, merged and sealed.
fn versions(settings: &WriterSettings) -> Vec<Vec<u8>> {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings.clone().row_group_rows_max(60).twin_bytes_min(0));
    let mut versions = Vec::new();
    for n in 0..300_i64 {
        log.append(&row(n), Instant::now());
        if n % 3 == 2 {
            log.flush().unwrap();
            versions.push(read_all(&memory, Path::new(PATH)).unwrap());
        }
    }
    versions
}

/// The rows that the footer of `earlier` finds in the data of `later`, in one column or in all; `None`
/// if reading fails.
fn read(earlier: &[u8], later: &[u8], column: Option<usize>) -> Option<Vec<Record>> {
    let tail =
        u32::from_le_bytes(earlier[earlier.len() - 8..][..4].try_into().unwrap()) as usize + 8;
    let mut bytes = later.to_vec();
    bytes.resize(bytes.len().max(earlier.len()), 0);
    bytes.extend_from_slice(&earlier[earlier.len() - tail..]);
    let read = || -> Result<Vec<Record>, parquet::errors::ParquetError> {
        let reader = SerializedFileReader::new(Bytes::from(bytes))?;
        let schema = reader.metadata().file_metadata().schema();
        let one = column.and_then(|column| schema.get_fields().get(column).cloned());
        let projection =
            one.map(|leaf| Type::group_type_builder("schema").with_fields(vec![leaf]).build());
        reader.get_row_iter(projection.transpose()?)?.collect()
    };
    catch_unwind(AssertUnwindSafe(read)).ok()?.ok()
}

fn check(records: &[Record]) {
    for (n, record) in records.iter().enumerate() {
        let expected = row(n as i64);
        for (name, field) in record.get_column_iter() {
            let expected = expected.get(name).cloned().unwrap_or_default();
            let is_right = match field {
                Field::Null => expected == qstore_schema::Value::Null,
                Field::Bool(value) => expected == (*value).into(),
                Field::Long(value) => expected == (*value).into(),
                Field::Str(value) => expected == value.clone().into(),
                Field::Double(value) => {
                    matches!(expected, qstore_schema::Value::Float(float) if float.to_bits() == value.to_bits())
                }
                _ => false,
            };
            assert!(is_right, "row {n}, {name}: {field:?} for {expected:?}");
        }
    }
}

const CODECS: [Compression; 3] = [Compression::GZIP, Compression::LZ4, Compression::NONE];

#[test]
fn within_the_grace_period_every_earlier_footer_fits_every_later_version() {
    for codec in CODECS {
        let settings = WriterSettings::default().compression(codec);
        let versions = versions(&settings.reuse_after(Duration::from_secs(1_000)));
        for (number, earlier) in versions.iter().enumerate() {
            for later in versions[number..].iter().step_by(7) {
                let rows = read(earlier, later, None).expect("what it refers to is there");
                assert_eq!(rows.len(), 3 * (number + 1));
                check(&rows);
            }
        }
    }
}

/// Without a grace period space is reused at once: such a reader fails, or finds the right rows, even
/// though it checks nothing.
#[test]
fn after_the_grace_period_an_earlier_footer_fails_and_never_finds_other_rows() {
    std::panic::set_hook(Box::new(|_| {})); // the library panics on some malformed pages
    let (mut failed, mut right) = (0, 0);
    for codec in CODECS {
        let settings = WriterSettings::default().compression(codec);
        let versions = versions(&settings.reuse_after(Duration::ZERO));
        for (number, earlier) in versions.iter().enumerate() {
            for later in versions[number..].iter().step_by(3) {
                // A single column is easier to confuse: no other column has to match.
                for column in [None, Some(0), Some(1), Some(2), Some(3)] {
                    match read(earlier, later, column) {
                        Some(rows) => {
                            let is_right = catch_unwind(|| check(&rows)).is_ok();
                            assert!(is_right, "{codec}: version {number} found other rows");
                            right += 1;
                        }
                        None => failed += 1,
                    }
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("{failed} failed, {right} were right");
    assert!(failed > right, "space was reused");
}
