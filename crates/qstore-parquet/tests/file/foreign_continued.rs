//! Columns of other programs that are continued as they are: their types stay, what does not fit is rejected.

use crate::foreign::one;
use crate::{PATH, open, put};
use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use qstore_buffer::Sink;
use qstore_parquet::{MetricsFile, MetricsLog, Values, WriterSettings};
use qstore_schema::{Row, Value};
use qstore_storage::{MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The file with these values of its column `c` added, and the reason why the last that was rejected was.
fn continued(bytes: &[u8], values: &[Value]) -> (Vec<u8>, Option<Arc<str>>) {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    let mut log = open(&memory, WriterSettings::default());
    for value in values {
        log.append(&Row::from([("c", value.clone())]), Instant::now());
    }
    log.close().unwrap();
    let rejection = Sink::<Row>::stats(&log).last_rejection;
    (read_all(&memory, Path::new(PATH)).unwrap(), rejection)
}

fn column(bytes: &[u8]) -> Values {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    let file = MetricsFile::open_in(Arc::new(memory), PATH).unwrap();
    assert!(file.validate().unwrap().is_whole(), "{:?}", file.validate());
    file.read(&["c"], 0..u64::MAX).unwrap().columns.remove(0).values
}

/// The type of the column as the format has it.
fn stored(bytes: &[u8]) -> String {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.to_vec())).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let column = schema.column(0);
    let (logical, converted) = (column.logical_type_ref(), column.converted_type());
    format!("{} {logical:?} {converted}", column.physical_type())
}

#[test]
fn integers_fit_a_column_by_the_bits_that_were_declared_for_it() {
    for (column_type, fit, beyond) in [
        ("int32 c", [i32::MIN.into(), i32::MAX.into()], [i64::from(i32::MIN) - 1, 1 << 31]),
        ("int32 c (INTEGER(8, true))", [-128, 127], [-129, 128]),
        ("int32 c (INT_16)", [-32_768, 32_767], [-32_769, 32_768]),
        ("int32 c (INTEGER(8, false))", [0, 255], [-1, 256]),
        ("int32 c (UINT_32)", [0, u32::MAX.into()], [-1, 1 << 32]),
        ("int32 c (DATE)", [-1, 20_000], [i64::MIN, 1 << 31]),
        ("int32 c (TIME(MILLIS, false))", [0, 86_399_999], [i64::MIN, i64::MAX]),
    ] {
        let before = one::<Int32Type>(&format!("optional {column_type};"), &[]);
        let (bytes, rejection) = continued(&before, &fit.map(Value::Int));
        assert_eq!(rejection, None, "{column_type}");
        assert_eq!(stored(&bytes), stored(&before), "{column_type}");
        assert_eq!(column(&bytes), Values::Int(fit.map(Some).into()), "{column_type}");
        for value in beyond {
            let (bytes, rejection) = continued(&before, &[Value::Int(fit[0]), Value::Int(value)]);
            let reason = rejection.expect("it is rejected");
            assert!(reason.contains(&format!("smaller numbers than {value}")), "{reason}");
            assert_eq!(column(&bytes), Values::Int(vec![Some(fit[0])]), "{column_type}");
        }
    }
}

#[test]
fn large_integers_and_texts_keep_what_was_declared() {
    for column_type in [
        "int64 c (INTEGER(64, false))",
        "int64 c (UINT_64)",
        "int64 c (TIMESTAMP(NANOS, true))",
        "int64 c (TIMESTAMP(MILLIS, false))",
        "int64 c (TIMESTAMP_MICROS)",
        "int64 c (TIME(NANOS, true))",
    ] {
        let before = one::<Int64Type>(&format!("required {column_type};"), &[5]);
        let (bytes, rejection) = continued(&before, &[Value::Int(i64::MAX)]);
        assert_eq!((rejection, stored(&bytes)), (None, stored(&before)), "{column_type}");
        assert_eq!(column(&bytes), Values::Int(vec![Some(5), Some(i64::MAX)]));
    }
    for column_type in ["binary c (ENUM)", "binary c (JSON)", "binary c (UTF8)"] {
        let text = [ByteArray::from("{}")];
        let before = one::<ByteArrayType>(&format!("required {column_type};"), &text);
        let (bytes, rejection) = continued(&before, &[Value::from("[]")]);
        assert_eq!((rejection, stored(&bytes)), (None, stored(&before)), "{column_type}");
        assert_eq!(column(&bytes), Values::Text(vec![Some("{}".into()), Some("[]".into())]));
    }
}

#[test]
fn floats_are_rounded_to_the_bits_of_their_column_and_never_to_an_infinity() {
    let before = one::<FloatType>("required float c;", &[0.5]);
    let values = [0.1, f64::INFINITY, -0.0, 1e-50].map(Value::Float);
    let (bytes, rejection) = continued(&before, &values);
    assert_eq!((rejection, stored(&bytes)), (None, stored(&before)));
    let expected = [0.5, f64::from(0.1_f32), f64::INFINITY, -0.0, 0.0];
    assert_eq!(column(&bytes), Values::Float(expected.map(Some).into()));
    for value in [Value::Float(1e39), Value::Int((1 << 24) + 1)] {
        let (bytes, rejection) = continued(&before, std::slice::from_ref(&value));
        assert!(rejection.is_some(), "{value:?}");
        assert_eq!(column(&bytes), Values::Float(vec![Some(0.5)]));
    }
}

#[test]
fn small_integers_may_become_floats_and_times_may_not() {
    let before = one::<Int32Type>("required int32 c;", &[7, -3]);
    let (bytes, rejection) = continued(&before, &[Value::Float(0.25), Value::Int(1 << 40)]);
    assert_eq!(rejection, None);
    assert!(stored(&bytes).starts_with("DOUBLE"), "{}", stored(&bytes));
    let expected = [7.0, -3.0, 0.25, (1_i64 << 40) as f64];
    assert_eq!(column(&bytes), Values::Float(expected.map(Some).into()));
    let before = one::<Int64Type>("required int64 c (TIMESTAMP(MICROS, true));", &[7]);
    let (bytes, rejection) = continued(&before, &[Value::Float(0.25), Value::Int(8)]);
    assert!(rejection.is_some());
    assert_eq!(stored(&bytes), stored(&before));
    assert_eq!(column(&bytes), Values::Int(vec![Some(7), Some(8)]));
}

/// Through small groups, merges, full groups and their statistics, a late column and several sessions.
#[test]
fn thousands_of_rows_stay_in_columns_of_32_bits() {
    for is_plain in [false, true] {
        let memory = MemoryFs::new();
        put(&memory, &one::<FloatType>("optional float c;", &[]));
        let settings = WriterSettings::default()
            .row_group_rows_max(5_000)
            .plain_encoding(is_plain)
            .twin_bytes_min(0)
            .reuse_after(Duration::ZERO);
        let mut next = 0_i32;
        for rows in [3, 700, 9_500] {
            let mut log: MetricsLog<Row> = open(&memory, settings.clone());
            for _ in 0..rows {
                let float = if next == 5_005 { f64::NAN } else { f64::from(next) / 4.0 };
                let mut row = Row::from([("c", float)]);
                if next > 600 {
                    row.set("late", i64::from(next));
                }
                log.append(&row, Instant::now());
                next += 1;
                if next % 97 == 0 {
                    log.flush().unwrap();
                }
            }
            log.close().unwrap();
            assert_eq!(Sink::<Row>::stats(&log).rejected_rows, 0);
        }
        let bytes = read_all(&memory, Path::new(PATH)).unwrap();
        let Values::Float(floats) = column(&bytes) else { panic!("they are floats") };
        assert_eq!(floats.len(), 10_203);
        for (n, float) in (0_i32..).zip(floats) {
            let float = float.unwrap();
            let is_nan = n == 5_005 && float.is_nan();
            assert!(is_nan || float.to_bits() == (f64::from(n) / 4.0).to_bits(), "row {n}");
        }
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        for group in reader.metadata().row_groups() {
            assert_eq!(group.column(0).column_type(), Physical::FLOAT);
        }
        // The first full group has a NaN.
        let [.., full, last] = reader.metadata().row_groups() else { panic!("there are two") };
        assert!(full.column(0).statistics().is_none());
        let Some(Statistics::Float(floats)) = last.column(0).statistics() else { panic!("it has") };
        let bounds = (floats.min_opt().copied(), floats.max_opt().copied());
        assert_eq!(bounds, (Some(5_703.0 / 4.0), Some(10_202.0 / 4.0)));
    }
}
