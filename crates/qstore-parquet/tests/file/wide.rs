//! Tables of ten thousand columns: nothing is left out, everything is read back, and row groups are few.

use super::*;
use qstore_parquet::{Appended, MetricsFile, Values, validate};
use qstore_schema::SmolStr;

const COLUMNS: usize = 10_000;

fn name(number: usize) -> SmolStr {
    format!("layer_{number}/grad_norm").into()
}

/// A value that tells its row and its column.
fn value(row: usize, column: usize) -> f64 {
    row as f64 + column as f64 / 16_384.0
}

fn read(memory: &MemoryFs) -> MetricsFile {
    MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()
}

/// Regression: values beyond the 256th column were left out.
#[test]
fn ten_thousand_columns_are_read_back() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    let rows = 23;
    for row in 0..rows {
        let row: Row = (0..COLUMNS).map(|column| (name(column), value(row, column))).collect();
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
        if log.append(&row, Instant::now()) == Appended::Whole {
            log.flush().unwrap();
        }
    }
    log.close().unwrap();
    let file = read(&memory);
    assert_eq!((file.rows(), file.fields().len()), (2 * rows as u64, COLUMNS));
    let table = file.read(&[], 0..u64::MAX).unwrap();
    for (column, found) in table.columns.iter().enumerate() {
        let expected = (0..2 * rows).map(|row| Some(value(row / 2, column))).collect();
        assert_eq!((&found.field.name, &found.values), (&name(column), &Values::Float(expected)));
    }
    assert!(file.validate().unwrap().is_whole());
}

#[test]
fn one_column_more_is_left_out_and_told() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    let row: Row = (0..=COLUMNS).map(|column| (name(column), 1.0)).collect();
    let Appended::Incomplete(why) = log.append(&row, Instant::now()) else { panic!("it is whole") };
    assert!(why.contains("the file has 10000 columns for metrics, the maximum"), "{why}");
    log.close().unwrap();
    let file = read(&memory);
    let segments = &file.audit().unwrap().segments;
    assert_eq!(segments[0].omitted.get(name(COLUMNS).as_str()), Some(&1));
}

/// Rows that set twenty of many columns, which come one after the other: each flush brings new ones.
#[test]
fn sparse_rows_whose_columns_come_late_are_read_back_and_groups_stay_few() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default().twin_bytes_min(0);
    let mut log = open(&memory, settings);
    let (rows, columns) = (600, 3_000);
    let is_set = |row: usize, column: usize| {
        column * rows / columns <= row && (row + column).is_multiple_of(150)
    };
    for row in 0..rows {
        let set = (0..columns).filter(|column| is_set(row, *column));
        let mut values: Row = set.map(|column| (name(column), value(row, column))).collect();
        values.set("row", row as i64);
        assert_eq!(log.append(&values, Instant::now()), Appended::Whole);
        if row % 10 == 9 {
            log.flush().unwrap();
            let groups = read(&memory).row_groups();
            assert!(groups <= 14, "{groups} groups after row {row}");
        }
    }
    log.close().unwrap();
    let file = read(&memory);
    let table = file.read(&[], 0..u64::MAX).unwrap();
    assert_eq!(table.rows, rows);
    for column in 0..columns {
        let expected: Vec<_> =
            (0..rows).map(|row| is_set(row, column).then(|| value(row, column))).collect();
        if expected.iter().any(Option::is_some) {
            assert_eq!(table.column(&name(column)), Some(&Values::Float(expected)), "{column}");
        }
    }
}

/// A row group is full by bytes, and no more than a few of them wait.
#[test]
fn wide_rows_fill_a_group_by_their_bytes() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default().row_group_bytes_max(80_000));
    for row in 0..100 {
        let row: Row = (0..1_000).map(|column| (name(column), value(row, column))).collect();
        log.append(&row, Instant::now());
    }
    log.flush().unwrap();
    assert_eq!(read(&memory).row_groups(), 10, "each of ten rows of 8 000 bytes");
    log.close().unwrap();
    assert_eq!(read(&memory).rows(), 100);
}

#[test]
fn a_wide_file_is_continued_and_its_integers_become_floats() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    for session in 0..3_i64 {
        let mut log = MetricsLog::open(&path, WriterSettings::default()).unwrap();
        for row in 0..30 {
            let mut row: Row = (0..2_000).map(|column| (name(column), session + row)).collect();
            if session == 1 {
                row.set(name(7), 0.5).set(name(2_000), 1.0);
            }
            assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
        }
        log.close().unwrap();
    }
    assert!(validate(&path).unwrap().is_whole());
    let table = MetricsFile::open(&path).unwrap().read(&[], 0..u64::MAX).unwrap();
    assert_eq!((table.rows, table.columns.len()), (90, 2_001));
    let Some(Values::Float(seventh)) = table.column(&name(7)) else { panic!("it has a fraction") };
    assert_eq!((seventh[0], seventh[30], seventh[60]), (Some(0.0), Some(0.5), Some(2.0)));
    assert_eq!(table.column(&name(1_999)).map(Values::len), Some(90));
}
