//! A real disk that is full, again and again.
//!
//! This needs a dedicated small file system (4 to 64 MiB), which a test cannot create without root privileges:
//! `QSTORE_SMALL_DISK=DIR` names a directory on one. Without it nothing is done here; a simulated disk is full in
//! [`faults`](crate::faults).

use qstore::parquet::{MetricsFile, Values};
use qstore::{AsyncBuffer, AsyncMetricsWriter, Row, WriterSettings};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes zeros until there is no space left.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for block in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; block]).is_ok() {}
    }
}

fn check(path: &Path, rows: i64) {
    let file = MetricsFile::open(path).unwrap();
    assert!(file.validate().unwrap().is_whole());
    let numbers = file.read(&["n"], 0..u64::MAX).unwrap();
    let Some(Values::Int(numbers)) = numbers.column("n") else { panic!("{numbers:?}") };
    assert!(numbers.len() as i64 >= rows, "{} of {rows} rows", numbers.len());
    assert!(numbers.iter().enumerate().all(|(n, found)| *found == Some(n as i64)));
}

#[test]
fn a_full_disk_loses_no_row_and_writing_resumes_by_itself() {
    let Some(dir) = std::env::var_os("QSTORE_SMALL_DISK").map(PathBuf::from) else { return };
    let (path, filler) = (dir.join("metrics.parquet"), dir.join("filler"));
    let _ = (fs::remove_file(&path), fs::remove_file(&filler));
    let mut random = fastrand::Rng::new();
    let (mut n, mut flushed, mut failures) = (0_i64, 0_i64, 0);
    for round in 0..40 {
        // Small files are copied, large ones are kept as two inodes: the disk can run full with either.
        let settings = WriterSettings::default()
            .row_group_rows_max(2_000)
            .twin_bytes_min(if round % 2 == 0 { 0 } else { 1 << 18 })
            .reuse_after(Duration::ZERO);
        let buffer = AsyncBuffer::new(2_000).unwrap();
        let mut writer = AsyncMetricsWriter::start(buffer.clone(), &path, settings).unwrap();
        let mut is_full = false;
        for flush in 0..30 {
            for _ in 0..random.i64(1..60) {
                let mut row = Row::from([("n", n)]);
                row.set("loss", random.f64());
                buffer.push(row).unwrap();
                n += 1;
            }
            match flush {
                10 => {
                    fill(&filler);
                    is_full = true;
                }
                20 => {
                    fs::remove_file(&filler).unwrap();
                    is_full = false;
                }
                _ => {}
            }
            match writer.flush(PATIENCE) {
                Ok(()) => flushed = n,
                Err(error) => {
                    assert!(is_full, "{error}");
                    assert!(
                        writer
                            .health()
                            .check()
                            .unwrap_err()
                            .to_string()
                            .contains("free some space")
                    );
                    failures += 1;
                }
            }
            check(&path, flushed);
        }
        writer.stop(PATIENCE).unwrap();
        flushed = n;
        check(&path, flushed);
        if fs::metadata(&path).unwrap().len() > 700_000 {
            fs::remove_file(&path).unwrap();
            (n, flushed) = (0, 0);
        }
    }
    assert!(failures > 50, "the disk was full only {failures} times");
    println!("{failures} cases: flushes that failed, and no row was lost");
}
