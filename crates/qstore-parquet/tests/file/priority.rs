//! The threads of a background writer do not preempt the training; a log without one changes no thread.

use qstore_buffer::AsyncBuffer;
use qstore_parquet::{AsyncMetricsWriter, MetricsLog, Priority, WriterSettings};
use qstore_schema::Row;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const NORMAL: i32 = 0;
const BATCH: i32 = 3;

/// The scheduling policy of a thread: field 41 of its line in `/proc`.
fn policy(task: &Path) -> i32 {
    let line = fs::read_to_string(task.join("stat")).unwrap();
    // The second field is a name in brackets, which may contain spaces.
    let behind_name = &line[line.rfind(')').unwrap() + 2..];
    behind_name.split(' ').nth(41 - 3).unwrap().parse().unwrap()
}

fn policies_of_the_writer() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let ours = |task: &std::path::PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("qstore-metrics"))
    };
    tasks.filter(ours).map(|task| policy(&task)).collect()
}

#[test]
fn the_threads_of_a_writer_have_the_priority_that_was_set() {
    let dir = tempfile::tempdir().unwrap();
    for (priority, expected) in [(Priority::default(), BATCH), (Priority::Normal, NORMAL)] {
        let buffer = AsyncBuffer::new(10).unwrap();
        let settings = WriterSettings::default().priority(priority);
        let path = dir.path().join(format!("{expected}.parquet"));
        let mut writer = AsyncMetricsWriter::start(buffer.clone(), path, settings).unwrap();
        buffer.push(Row::from([("n", 1)])).unwrap();
        // After this both threads exist.
        writer.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(policies_of_the_writer(), [expected, expected]);
        writer.stop(Duration::from_secs(20)).unwrap();
    }
    let mut log =
        MetricsLog::open(dir.path().join("log.parquet"), WriterSettings::default()).unwrap();
    log.append(&Row::from([("n", 1)]), Instant::now());
    log.close().unwrap();
    assert_eq!(policy(Path::new("/proc/thread-self")), NORMAL);
}
