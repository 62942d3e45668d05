//! A second process follows a metrics file while its writer flushes, merges, closes, is killed and
//! comes back.
//!
//! `QSTORE_SEED` decides when the writer is killed.

use qstore::buffer::Sink;
use qstore::parquet::{Durability, Follow, MetricsFile, MetricsLog, ReadError, Table, Values};
use qstore::storage::{FileSystem, MemoryFs};
use qstore::{Row, WriterSettings};
use qstore_storage::testing::{Failure, Fault, FaultFs};
use qstore_tests::metrics_run::{self, ways};
use qstore_tests::promises::Promises;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const DIRECTORY: &str = "QSTORE_FOLLOW_DIRECTORY";

/// Rows of a writer that is allowed to come to its end.
const ROWS: i64 = 20_000;

/// The writer: the test's own program, started again. Without a parent it has nothing to do.
#[test]
fn writes_for_a_follower() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let mut random = fastrand::Rng::new();
    for session in 0.. {
        let settings = WriterSettings::default()
            .row_group_rows_max(3_000)
            .twin_bytes_min(0)
            .reuse_after(Duration::from_millis(20))
            .durability(if session % 2 == 0 { Durability::Sync } else { Durability::Flush })
            .publish_by_copy(session % 5 == 4);
        let mut log = MetricsLog::<Row>::open(dir.join("metrics.parquet"), settings).unwrap();
        let mut n = log.stats().file_rows as i64;
        for _ in 0..random.usize(1..40) {
            for _ in 0..random.i64(1..150) {
                log.append(&metrics_run::row(n), Instant::now());
                n += 1;
            }
            log.flush().unwrap();
        }
        if n >= ROWS {
            log.close().unwrap();
            return;
        }
        if random.bool() {
            log.close().unwrap();
        }
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "follow::writes_for_a_follower", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The rows go on where those before them ended, and are what was written.
fn check(table: &Table, next: i64) -> i64 {
    let Some(Values::Int(numbers)) = table.column("n") else { panic!("{table:?}") };
    let Some(Values::Float(losses)) = table.column("loss") else { panic!("{table:?}") };
    for (n, (number, loss)) in (next..).zip(numbers.iter().zip(losses)) {
        let expected = if n % 7 == 0 { f64::NAN } else { n as f64 / 8.0 };
        assert_eq!(*number, Some(n), "a row is missing, doubled or out of order");
        assert_eq!(loss.map(f64::to_bits), Some(expected.to_bits()), "row {n}");
    }
    next + numbers.len() as i64
}

#[test]
fn a_second_process_sees_every_row_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let seed = std::env::var("QSTORE_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let mut follow = Follow::new(&path);
    let (mut next, mut looks) = (0, 0_u64);
    let mut version: Option<MetricsFile> = None;
    for life in 0..6 {
        let mut child = start(dir.path());
        let born = Instant::now();
        // The last writer comes to its own end.
        let lifetime = Duration::from_millis(random.u64(50..250));
        loop {
            let is_over = child.try_wait().unwrap().is_some();
            while let Some(table) = follow.poll().unwrap() {
                next = check(&table, next);
            }
            looks += 1;
            // A version that is kept open and moved on sees the same rows.
            match &mut version {
                Some(version) => {
                    let before = version.rows();
                    if let Some(new) = version.refresh().unwrap() {
                        assert_eq!(new.start, before);
                        let tables = version.rows_since(new.start);
                        let end =
                            tables.fold(new.start as i64, |n, table| check(&table.unwrap(), n));
                        assert_eq!(end as u64, new.end);
                    }
                }
                none if next > 0 => *none = Some(MetricsFile::open(&path).unwrap()),
                _ => {}
            }
            if is_over {
                break;
            }
            if life < 5 && born.elapsed() > lifetime && next > 0 {
                child.kill().unwrap();
                child.wait().unwrap();
                break;
            }
            // sleep: paces the polling, nothing depends on how long it is
            thread::sleep(Duration::from_micros(500));
        }
    }
    assert!(follow.is_closed(), "the last session came to its end");
    assert!(next >= ROWS, "{next} rows");
    let file = MetricsFile::open(&path).unwrap();
    assert_eq!(file.rows(), next as u64);
    assert!(file.validate().unwrap().is_whole());
    println!("{next} rows, in {looks} looks");
}

/// Every operation of a reader fails once: what it reports is the disk, never damage, and the next try
/// succeeds.
#[test]
fn a_disk_that_fails_is_never_reported_as_damage() {
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let [(_, settings), ..] = ways();
    metrics_run::run(Path::new("/"), &storage, &settings, &Promises::default());
    let path = metrics_run::file(Path::new("/"));
    let rows = MetricsFile::open_in(Arc::clone(&storage), &path).unwrap().rows();
    let mut failures = 0;
    for at in 0.. {
        let failing = FaultFs::failing_any(Arc::new(memory.clone()), Fault::Once(at), Failure::Io);
        let read = || -> Result<(), ReadError> {
            let file = MetricsFile::open_in(failing.shared(), &path)?;
            let validation = file.validate()?;
            assert!(validation.is_whole(), "operation {at}: {validation:?}");
            file.read(&[], 0..u64::MAX).map(drop)
        };
        match read() {
            Ok(()) => assert!(!failing.has_struck(), "operation {at} failed unnoticed"),
            Err(ReadError::Storage(_)) => failures += 1,
            Err(other) => panic!("operation {at}: {other}"),
        }
        // A follower that meets the same failure goes on where it was.
        let failing = FaultFs::failing_any(Arc::new(memory.clone()), Fault::Once(at), Failure::Io);
        let mut follow = Follow::new_in(failing.shared(), &path);
        let mut next = 0;
        loop {
            match follow.poll() {
                Ok(Some(table)) => {
                    assert_eq!(table.first_row, next, "operation {at}");
                    next += table.rows as u64;
                }
                Ok(None) => break,
                Err(ReadError::Storage(_)) => {}
                Err(other) => panic!("operation {at}: {other}"),
            }
        }
        assert_eq!(next, rows, "operation {at}");
        if !failing.has_struck() && read().is_ok() {
            break;
        }
    }
    assert!(failures > 20, "{failures} failures");
    println!("{failures} cases: operations of a reader");
}
