//! Columns of times: a unit of their own, kept from session to session; times of other programs are continued in
//! theirs, and a time that is not exact there is in a column of its own.

use crate::foreign::one;
use crate::{PATH, open, put};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::data_type::{Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use qstore_parquet::{
    Appended, MetricsFile, MetricsLog, OpenError, TimeOf, TimeType, TimeUnit, Values,
    WriterSettings,
};
use qstore_schema::{DataType, Row, Timestamp, TimestampUnit, Value, record};
use qstore_storage::{MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn opened(memory: &MemoryFs) -> MetricsFile {
    MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()
}

/// Appends these values of column `c` in a session of their own. Nothing is lost.
fn append(memory: &MemoryFs, values: impl IntoIterator<Item = Value>) {
    let mut log = open(memory, WriterSettings::default());
    for value in values {
        let row = Row::from([("c", value), ("n", 1.into())]);
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
    }
    log.close().unwrap();
}

fn counts(memory: &MemoryFs, column: &str) -> Vec<Option<i64>> {
    let file = opened(memory);
    assert!(file.validate().unwrap().is_whole());
    let table = file.read(&[column], 0..u64::MAX).unwrap();
    let Some(Values::Int(counts)) = table.column(column) else { panic!("{table:?}") };
    counts.clone()
}

/// The annotations of the first column, new and old.
fn stored(memory: &MemoryFs) -> (Option<LogicalType>, ConvertedType) {
    let bytes = read_all(memory, Path::new(PATH)).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let column = reader.metadata().file_metadata().schema_descr().column(0);
    (column.logical_type_ref().cloned(), column.converted_type())
}

#[test]
fn a_time_gives_its_unit_to_a_new_column_and_later_sessions_keep_it() {
    use parquet::basic::TimeUnit::{MICROS, MILLIS, NANOS};
    for (time, stored_unit, unit, converted) in [
        (Timestamp::millis(-5), MILLIS, TimeUnit::Milliseconds, ConvertedType::TIMESTAMP_MILLIS),
        (Timestamp::micros(5), MICROS, TimeUnit::Microseconds, ConvertedType::TIMESTAMP_MICROS),
        (Timestamp::nanos(i64::MAX), NANOS, TimeUnit::Nanoseconds, ConvertedType::NONE),
    ] {
        for (time, is_utc) in [(time, true), (time.local(), false)] {
            let memory = MemoryFs::new();
            let logical = LogicalType::timestamp(is_utc, stored_unit);
            for _ in 0..2 {
                append(&memory, [time.into(), Value::Null, Value::Int(7)]);
                assert_eq!(stored(&memory), (Some(logical.clone()), converted));
            }
            let own = [Some(time.count()), None, Some(7)];
            assert_eq!(counts(&memory, "c"), [own, own].concat());
            let file = opened(&memory);
            assert_eq!(file.time_type("c"), Some(TimeType { of: TimeOf::Epoch, unit, is_utc }));
            let expected = DataType::Timestamp { unit: time.unit(), is_utc };
            assert_eq!(file.fields()[0].data_type, expected);
            let row = file.read(&["c"], 0..1).unwrap().iter_rows().next().unwrap();
            assert_eq!(row.get("c"), Some(&Value::Timestamp(time)));
        }
    }
}

#[test]
fn a_time_is_stored_in_the_unit_of_another_program_if_it_is_exact_there() {
    let seven = Timestamp::millis(7);
    for (column, is_utc, count) in [
        ("int64 c (TIMESTAMP(MILLIS, true))", true, 7),
        ("int64 c (TIMESTAMP(MICROS, false))", false, 7_000),
        ("int64 c (TIMESTAMP(NANOS, false))", false, 7_000_000),
        ("int64 c (TIMESTAMP_MICROS)", true, 7_000),
    ] {
        let memory = MemoryFs::new();
        put(&memory, &one::<Int64Type>(&format!("required {column};"), &[-1]));
        let before = stored(&memory);
        let (fits, other) = if is_utc { (seven, seven.local()) } else { (seven.local(), seven) };
        let far = Timestamp::nanos(i64::MAX);
        append(&memory, [fits.into(), other.into(), far.into()]);
        assert_eq!(stored(&memory), before, "{column}");
        assert_eq!(counts(&memory, "c"), [Some(-1), Some(count), None, None], "{column}");
        // The unit of the first time that did not fit; the other one is not exact in that.
        assert_eq!(counts(&memory, "c__time"), [None, None, Some(7), None], "{column}");
        assert_eq!(counts(&memory, "c__time__time"), [None, None, None, Some(i64::MAX)]);
    }
}

/// Dates and times of day are not points in time, nor are numbers and texts.
#[test]
fn a_time_in_a_column_of_another_kind_is_in_a_column_of_its_own() {
    for column in ["int32 c (DATE)", "int32 c (TIME(MILLIS, true))", "int32 c"] {
        let memory = MemoryFs::new();
        put(&memory, &one::<Int32Type>(&format!("optional {column};"), &[]));
        append(&memory, [Value::Int(3), Timestamp::millis(7).into()]);
        assert_eq!(counts(&memory, "c"), [Some(3), None], "{column}");
        assert_eq!(counts(&memory, "c__time"), [None, Some(7)], "{column}");
    }
    let memory = MemoryFs::new();
    append(&memory, [Value::Float(0.5), Timestamp::millis(7).into(), "text".into()]);
    assert_eq!(counts(&memory, "c__time"), [None, Some(7), None]);
}

record! {
    /// A record of one's own with times, in microseconds.
    struct Shot by number {
        number: i64,
        at: Timestamp,
        ended: Option<Timestamp>,
    }
}

#[test]
fn a_declared_column_of_times_rejects_what_it_cannot_hold_exactly() {
    let memory = MemoryFs::new();
    let storage = Arc::new(memory.clone());
    let mut log =
        MetricsLog::<Shot>::open_in(storage.clone(), PATH, WriterSettings::default()).unwrap();
    let mut shot = |at, ended| log.append(&Shot { number: 1, at, ended }, Instant::now());
    let (milli, micro) = (Timestamp::millis(1), Timestamp::micros(2));
    assert_eq!(shot(milli, None), Appended::Whole);
    assert_eq!(shot(micro, Some(milli)), Appended::Whole);
    for (at, words) in [
        (
            Timestamp::nanos(1),
            "`at` holds times in microseconds, but the row has a time that is not",
        ),
        (micro.local(), "a local time, not one in UTC"),
    ] {
        let Appended::Rejected(why) = shot(at, None) else { panic!("{at:?} does not fit") };
        assert!(why.contains(words), "{why}");
    }
    log.close().unwrap();
    drop(log);
    assert_eq!(counts(&memory, "at"), [Some(1_000), Some(2)]);
    assert_eq!(counts(&memory, "ended"), [None, Some(1_000)]);

    // A finer unit of another program takes every declared time, a coarser or a local one does not.
    for (column, is_opened) in [
        ("required int64 at (TIMESTAMP(NANOS, true));", true),
        ("required int64 at (TIMESTAMP(MILLIS, true));", false),
        ("required int64 at (TIMESTAMP(MICROS, false));", false),
        ("required int64 at;", false),
    ] {
        let memory = MemoryFs::new();
        put(&memory, &one::<Int64Type>(column, &[1]));
        let storage = Arc::new(memory.clone());
        let log = MetricsLog::<Shot>::open_in(storage, PATH, WriterSettings::default());
        match log {
            Ok(_) => assert!(is_opened, "{column}"),
            Err(error) => {
                assert!(matches!(error, OpenError::SchemaConflict { .. }), "{error}");
                assert!(!is_opened, "{error}");
            }
        }
    }
    let unit = TimestampUnit::Micros;
    assert_eq!(opened(&memory).fields()[1].data_type, DataType::Timestamp { unit, is_utc: true });
}
