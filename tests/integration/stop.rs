//! Stopping with a full buffer. Regression: the original Python program lost 999 of 1 000 rows here.

use qstore::schema::Row;
use qstore::{AsyncBuffer, AsyncMetricsWriter, WriterSettings};
use qstore_tests::{plain, readers};
use serde_json::json;
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: i64 = 10_000;

fn row(n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    row.set("loss", 1.0 / (1 + n) as f64);
    row
}

#[test]
fn ten_thousand_buffered_rows_are_ten_thousand_rows_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let buffer = AsyncBuffer::new(ROWS as usize).unwrap();
    for n in 0..ROWS {
        buffer.push(row(n)).unwrap();
    }
    let mut writer =
        AsyncMetricsWriter::start(buffer.clone(), &path, WriterSettings::default()).unwrap();
    let summary = writer.stop(PATIENCE).unwrap();
    assert_eq!((summary.rows_written, summary.pending_rows), (ROWS as u64, 0));
    assert_eq!((buffer.len(), buffer.stats().dropped), (0, 0));

    let rows: Vec<_> = (0..ROWS).map(|n| plain::row(&row(n))).collect();
    let expected = readers::expect(dir.path(), &json!({ "columns": ["n", "loss"], "rows": rows }));
    readers::run("metrics.py", &[&path, &expected]);
}

/// Producers push until they are refused; every accepted row is in the file.
#[test]
fn rows_accepted_while_stopping_are_written() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = dir.path().join(format!("{round}.parquet"));
        let buffer = AsyncBuffer::new(64).unwrap();
        let mut writer =
            AsyncMetricsWriter::start(buffer.clone(), &path, WriterSettings::default()).unwrap();
        let accepted = thread::scope(|scope| {
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let buffer = buffer.clone();
                    scope.spawn(move || {
                        let mut accepted = 0_u64;
                        while !buffer.is_closed() {
                            accepted += u64::from(buffer.push(row(1)).is_ok());
                        }
                        accepted
                    })
                })
                .collect();
            writer.flush(PATIENCE).unwrap();
            let summary = writer.stop(PATIENCE).unwrap();
            let accepted: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
            assert_eq!(summary.rows_written, accepted, "round {round}");
            accepted
        });
        assert_eq!(buffer.stats().pushed, accepted);
    }
}
