//! `kill -9` of a program that only flushes, merges, closes and opens a metrics file.
//!
//! `QSTORE_KILLS` sets the number of kills (25 by default), and `QSTORE_SEED` their timing.

use qstore::Row;
use qstore::WriterSettings;
use qstore::buffer::Sink;
use qstore::parquet::{Durability, MetricsFile, MetricsLog};
use qstore_tests::readers;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const DIRECTORY: &str = "QSTORE_KILL_DIRECTORY";

fn settings(session: usize) -> WriterSettings {
    let settings = WriterSettings::default()
        .row_group_rows_max(3_000)
        .twin_bytes_min(0)
        .reuse_after(Duration::from_millis(20))
        .publish_by_copy(session % 5 == 4);
    if session.is_multiple_of(2) { settings } else { settings.durability(Durability::Flush) }
}

fn row(n: i64) -> Row {
    let loss = if n % 7 == 0 { f64::NAN } else { n as f64 / 8.0 };
    let mut row = Row::from([("n", n)]);
    row.set("loss", loss);
    row
}

/// The program that is killed: the test itself, started again. Without a parent it does nothing.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let mut acknowledged =
        OpenOptions::new().append(true).create(true).open(dir.join("acknowledged")).unwrap();
    let mut random = fastrand::Rng::new();
    for session in random.usize(..10).. {
        let path = dir.join("metrics.parquet");
        let mut log = MetricsLog::<Row>::open(path, settings(session)).unwrap();
        let mut n = log.stats().file_rows as i64;
        for _ in 0..random.usize(1..60) {
            for _ in 0..random.i64(1..150) {
                log.append(&row(n), Instant::now());
                n += 1;
            }
            log.flush().unwrap();
            acknowledged.write_all(&n.to_le_bytes()).unwrap();
        }
        if random.bool() {
            log.close().unwrap();
        }
    }
}

fn last_acknowledged(dir: &Path) -> i64 {
    let bytes = fs::read(dir.join("acknowledged")).unwrap_or_default();
    bytes.chunks_exact(8).last().map_or(0, |n| i64::from_le_bytes(n.try_into().unwrap()))
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_log::writes_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_writer_that_is_killed_loses_no_acknowledged_row() {
    let kills = std::env::var("QSTORE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let mut pandas = readers::spawn("each.py", &[&path]);
    let mut said = BufReader::new(pandas.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    let seed = std::env::var("QSTORE_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let mut left_over = 0;
    for kill in 0..kills {
        let before = last_acknowledged(dir.path());
        let mut child = start(dir.path());
        while last_acknowledged(dir.path()) == before {
            assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
            // sleep: paces the polling; nothing depends on its duration
            thread::sleep(Duration::from_millis(1));
        }
        // sleep: the writer runs for a random time and is then killed in the middle of something
        thread::sleep(Duration::from_micros(random.u64(..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();

        let acknowledged = last_acknowledged(dir.path());
        writeln!(pandas.stdin.as_mut().unwrap(), "read").unwrap();
        let rows = said.next().and_then(Result::ok).unwrap_or_default();
        let rows: i64 = rows.parse().unwrap_or_else(|_| {
            pandas.kill().unwrap();
            panic!("pandas cannot read the file after kill {kill}: {rows}")
        });
        assert!(rows >= acknowledged, "kill {kill}: {rows} of {acknowledged} rows");
        let file = MetricsFile::open(&path).unwrap();
        let validation = file.validate().unwrap();
        assert!(validation.is_whole(), "kill {kill}: {validation:?}");
        assert_eq!(file.rows(), rows as u64);
        left_over += usize::from(dir.path().join(".metrics.parquet.twin").exists());
        if rows > 150_000 {
            // Otherwise the later kills would mostly hit the reading of a large file.
            fs::remove_file(&path).unwrap();
            fs::remove_file(dir.path().join("acknowledged")).unwrap();
        }
    }
    readers::finish("each.py", pandas);
    println!("{kills} cases: kills, {left_over} of which left a retired file behind");
}
