//! A small run of a metrics log that covers everything: flushes, merges, a sealed group, a column that appears
//! late, lists and times, a close and a reopening; and what must hold wherever it was stopped.

use crate::parquet::integers;
use crate::promises::Promises;
use qstore::WriterSettings;
use qstore::buffer::Sink;
use qstore::parquet::{Durability, MetricsFile, MetricsLog};
use qstore::schema::{Row, Timestamp};
use qstore::storage::{FileSystem, read_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of rows that a run appends if nothing fails.
pub const ROWS: i64 = 120;

/// Ways to write a file, each of which must withstand every fault: two inodes that reuse space immediately and
/// never, copies, and flushes that are acknowledged before the sync.
pub fn ways() -> [(&'static str, WriterSettings); 4] {
    let settings = WriterSettings::default().row_group_rows_max(40);
    let twin = settings.clone().twin_bytes_min(0).reuse_after(Duration::ZERO);
    [
        ("twin", twin.clone()),
        ("twin-slow", twin.clone().reuse_after(Duration::from_secs(1_000))),
        ("copies", settings.publish_by_copy(true)),
        ("flush", twin.durability(Durability::Flush)),
    ]
}

/// The metrics file of a run in that directory.
pub fn file(dir: &Path) -> PathBuf {
    dir.join("metrics.parquet")
}

/// Row number `n`, as `readers/each.py` expects it.
pub fn row(n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    row.set("loss", if n % 7 == 0 { f64::NAN } else { n as f64 / 8.0 });
    if let Some(list) = list(n) {
        row.set("list", list);
    }
    row.set("at", Timestamp::micros(n));
    row
}

/// The list in row number `n`: none in every third, and an empty one in every fifth of the others.
fn list(n: i64) -> Option<Vec<f64>> {
    (n % 3 != 1).then(|| (0..n % 5).map(|element| (element - n) as f64 / 4.0).collect())
}

/// Performs the run. What fails is retried a few times, as a drain does while it has time; what never succeeds
/// ends the run.
pub fn run(dir: &Path, storage: &Arc<dyn FileSystem>, settings: &WriterSettings, told: &Promises) {
    let is_synced = settings.durability == Durability::Sync;
    for session in 0..2 {
        let open =
            || MetricsLog::<Row>::open_in(Arc::clone(storage), file(dir), settings.clone()).ok();
        let Some(mut log) = (0..3).find_map(|_| open()) else { return };
        // A session continues where the one before it stopped.
        let mut n = log.stats().file_rows as i64;
        for flush in 0..10 {
            for _ in 0..6 {
                let mut row = row(n);
                if session == 1 && flush > 4 {
                    row.set("late", n as f64);
                }
                log.append(&row, Instant::now());
                n += 1;
            }
            told.begin(n);
            if log.flush().is_ok() {
                told.acknowledge(n, is_synced);
            }
        }
        if (0..8).any(|_| log.close().is_ok()) {
            told.acknowledge(n, true);
        }
    }
}

/// Checks what a stopped run left: it can be opened, and that changes nothing; it has all acknowledged rows with
/// their values; it can be written to immediately, and there are no leftovers.
///
/// # Panics
/// When one of these does not hold.
pub fn check(dir: &Path, storage: &Arc<dyn FileSystem>, acknowledged: i64) {
    let path = file(dir);
    let bytes = || read_all(&**storage, &path).ok();
    let open = || {
        MetricsLog::<Row>::open_in(Arc::clone(storage), &path, WriterSettings::default())
            .unwrap_or_else(|error| panic!("what is left cannot be opened: {error}"))
    };
    let before = bytes();
    drop(open());
    assert!(bytes() == before, "opening the file has changed it");
    let mut log = open();
    let rows = log.stats().file_rows as i64;
    assert!(rows >= acknowledged, "{rows} of {acknowledged} acknowledged rows are left");
    log.append(&row(rows), Instant::now());
    log.close().expect("what is left can be written to immediately");
    drop(log);
    let found = integers(&bytes().expect("a closed file is there"), "n");
    assert!(found.into_iter().eq(0..=rows), "the rows have other values");
    let file = MetricsFile::open_in(Arc::clone(storage), &path).expect("our own reader opens it");
    let validation = file.validate().expect("it can be validated");
    assert!(validation.is_whole(), "{validation:?}");
    let lists = file.read(&["list", "at"], 0..u64::MAX).expect("its lists can be read");
    for (n, found) in (0..).zip(lists.iter_rows()) {
        let mut expected = Row::new();
        for (name, value) in
            row(n).iter().filter(|(name, _)| ["list", "at"].contains(&name.as_str()))
        {
            expected.set(name.clone(), value.clone());
        }
        assert_eq!(found, expected, "the lists have other values");
    }
    let is_ours = |name: &str| name.contains("metrics.parquet");
    let names = storage.list(dir).expect("the directory can be listed");
    let names: Vec<_> = names.iter().map(|entry| entry.name.to_string_lossy()).collect();
    assert_eq!(names.iter().filter(|name| is_ours(name)).count(), 1, "leftovers: {names:?}");
}
