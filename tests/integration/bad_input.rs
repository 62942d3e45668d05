//! Bad input and its error messages. Details are tested in each crate; this is what users see: every message
//! names the setting or the path and says what to do.

use qstore::schema::{Dtype, Row, StateDict, Tensor, TrainingMetrics};
use qstore::{
    AsyncBuffer, AsyncMetricsLogger, AsyncMetricsWriter, CheckpointManager, CheckpointSettings,
    LoggerSettings, Snapshot, WriterSettings,
};
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Checks that the error message contains all of these.
fn check<T>(outcome: Result<T, impl Display>, expected: &[&str]) {
    let Err(error) = outcome else { panic!("accepted, without {expected:?}") };
    let message = error.to_string();
    for part in expected {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
}

fn start(path: &Path, settings: WriterSettings) -> Result<(), qstore::parquet::Error> {
    let buffer = AsyncBuffer::<TrainingMetrics>::new(8).unwrap();
    AsyncMetricsWriter::start(buffer, path, settings).map(drop)
}

#[test]
fn a_bad_setting_is_reported_by_name_with_its_range() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = dir.path().join("metrics.parquet");
    let writer = WriterSettings::default;
    check(AsyncBuffer::<u8>::new(0), &["maxsize is 0", "1 or more"]);
    check(start(&metrics, writer().flush_interval(0)), &["flush_interval is 0", "1 or more"]);
    check(start(&metrics, writer().flush_after(Duration::ZERO)), &["flush_after is 0"]);
    check("brotli".parse::<qstore::parquet::Compression>(), &["`brotli`", "zstd, lz4, gzip"]);
    let gzip = qstore::parquet::Compression::GZIP.level(11);
    check(start(&metrics, writer().compression(gzip)), &["compression is gzip:11", "0 to 9"]);
    let logger = LoggerSettings::default().buffer_size(0);
    check(
        AsyncMetricsLogger::open_with(&metrics, logger, writer()),
        &["buffer_size is 0", "1 or more", "default 1000"],
    );

    let checkpoints = dir.path().join("checkpoints");
    let manager = |settings| CheckpointManager::open(&checkpoints, settings);
    let settings = CheckpointSettings::default;
    let zstd = |level| settings().compression(qstore::Compression::ZSTD.level(level));
    check(manager(zstd(0)), &["compression is zstd:0", "a level from 1 to 9"]);
    check(manager(zstd(10)), &["compression is zstd:10", "default zstd:3"]);
}

#[test]
fn a_bad_path_is_reported_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let default = WriterSettings::default;
    let at = |path: &str| start(&dir.join(path), default());
    check(
        at("no/metrics.parquet"),
        &["no/metrics.parquet", "directory does not exist", "create it"],
    );
    check(start(dir, default()), &["it is a directory", "name a file"]);
    check(start(Path::new("/proc/metrics.parquet"), default()), &["/proc", "could not"]);

    fs::write(dir.join("notes.txt"), "these are my notes").unwrap();
    check(at("notes.txt"), &["notes.txt", "not a valid Parquet file", "left untouched"]);
    assert_eq!(fs::read(dir.join("notes.txt")).unwrap(), b"these are my notes");

    let manager =
        |path: &str| CheckpointManager::open(dir.join(path), CheckpointSettings::default());
    check(manager("notes.txt"), &["notes.txt", "not a directory"]);
    let in_proc = CheckpointManager::open("/proc/checkpoints", CheckpointSettings::default());
    check(in_proc, &["/proc", "could not"]);
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "something was left behind");
}

#[test]
fn a_file_with_another_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let buffer = AsyncBuffer::new(8).unwrap();
    let mut writer =
        AsyncMetricsWriter::start(buffer.clone(), &path, WriterSettings::default()).unwrap();
    buffer.push(Row::from([("epoch", "first")])).unwrap();
    writer.stop(Duration::from_secs(60)).unwrap();
    let before = fs::read(&path).unwrap();
    let refused =
        ["metrics.parquet", "`epoch` holds text in the file and 64-bit integers in these rows"];
    check(start(&path, WriterSettings::default()), &refused);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let first = AsyncMetricsLogger::open(&path).unwrap();
    check(start(&path, WriterSettings::default()), &["metrics.parquet", "another writer"]);
    drop(first);
    start(&path, WriterSettings::default()).unwrap();
}

#[test]
fn a_bad_checkpoint_name_is_refused_or_stays_inside() {
    let dir = tempfile::tempdir().unwrap();
    let manager = CheckpointManager::open(dir.path(), CheckpointSettings::default()).unwrap();
    let patience = Duration::from_secs(60);
    let model = |name: &str| StateDict::from_iter([(name, Tensor::scalar(1.0_f32))]);
    manager.save(Snapshot::new(3).model(model("w"))).unwrap().wait(patience).unwrap();
    check(manager.load(4), &["no checkpoint 4", "[3]"]);
    check(manager.save(Snapshot::new(4).model(model(""))), &["an empty name"]);
    check(Tensor::new(Dtype::Float32, [2, 3], vec![0_u8; 8]), &["24 bytes", "8"]);

    // Names that would lead out of the checkpoint stay inside, and survive a round trip.
    let names = ["..", "../../escape", "/etc/passwd", "a\0b", "C:\\con", "zarr.json", "Ünï", "a/b"];
    let hostile: StateDict = names.iter().map(|name| (*name, Tensor::scalar(2_i64))).collect();
    manager.save(Snapshot::new(5).model(hostile.clone())).unwrap().wait(patience).unwrap();
    assert_eq!(manager.load(5).unwrap().model(), Some(&hostile));
    assert!(!dir.path().parent().unwrap().join("escape").exists());
}
