//! What can be learned of a run.

use qstore_logger::MetricsRow;
use qstore_parquet::WriterSettings;
use qstore_run::{Direction, Run, RunReader, RunSettings};
use qstore_schema::{Row, Value};

/// Small row groups, so that bounds are of several parts.
fn settings() -> RunSettings {
    let writer = WriterSettings::default().row_group_rows_max(64);
    RunSettings::default().record_environment(false).writer(writer)
}

#[test]
fn the_last_and_the_best_values_are_found_where_they_are() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), settings()).unwrap();
    for step in 0..300_i64 {
        let mut row = MetricsRow::step(0, step, ((step - 170) as f64).abs());
        if step < 100 {
            row = row.with("early", step);
        }
        if step == 250 {
            row = row.with("once", f64::NAN).with("flag", true).with("note", "here");
        }
        run.log_step(row).unwrap();
        run.logger().flush(std::time::Duration::from_secs(60)).unwrap();
    }
    run.log_epoch(0, Row::from([("loss", 3.5)]), Row::from([("loss", 4.5)])).unwrap();
    run.finish().unwrap();

    let reader = RunReader::open(run.path()).unwrap();
    let best = |column, direction| {
        let best = reader.best(column, direction).unwrap();
        best.map(|best| (best.value, best.row, best.step, best.epoch))
    };
    assert_eq!(best("train_loss", Direction::Min), Some((0.0, 170, Some(170), Some(0))));
    assert_eq!(best("train_loss", Direction::Max), Some((170.0, 0, Some(0), Some(0))));
    assert_eq!(best("early", Direction::Max), Some((99.0, 99, Some(99), Some(0))));
    assert_eq!(best("val_loss", Direction::Min), Some((4.5, 300, Some(-1), Some(0))));
    assert_eq!(best("once", Direction::Min), None, "NaN is never the best");
    assert_eq!(best("note", Direction::Min), None);
    assert_eq!(best("missing", Direction::Min), None);

    let last = |column| {
        let last = reader.last(column).unwrap();
        last.map(|last| (last.value, last.row, last.step))
    };
    assert_eq!(last("train_loss"), Some((Value::Float(3.5), 300, Some(-1))));
    assert_eq!(last("early"), Some((Value::Int(99), 99, Some(99))));
    assert_eq!(last("note"), Some((Value::from("here"), 250, Some(250))));
    assert_eq!(last("flag"), Some((Value::Bool(true), 250, Some(250))));
    assert!(matches!(last("once"), Some((Value::Float(nan), 250, _)) if nan.is_nan()));
    assert_eq!(last("missing"), None);

    let progress = reader.progress().unwrap();
    assert_eq!((progress.rows, progress.step, progress.epoch), (301, Some(299), Some(0)));
    assert!(progress.timestamp.is_some_and(|time| time > 1e9));
    assert!(reader.losses().unwrap().is_empty());
    let files = ["run.json", "metrics.parquet", ".run.lock", "checkpoints/.qstore.json"];
    let bytes = files.map(|name| std::fs::metadata(run.path().join(name)).unwrap().len());
    assert_eq!(reader.size_on_disk().unwrap(), bytes.iter().sum::<u64>());
}

#[test]
fn a_run_without_rows_has_no_values() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), settings()).unwrap();
    run.finish().unwrap();
    let reader = RunReader::open(run.path()).unwrap();
    assert_eq!(reader.last("train_loss").unwrap(), None);
    assert_eq!(reader.best("train_loss", Direction::Min).unwrap(), None);
    let progress = reader.progress().unwrap();
    assert_eq!((progress.rows, progress.step), (0, None));
    assert!(reader.current_rows().unwrap().is_empty() && reader.superseded().unwrap().is_empty());
    assert!(reader.checkpoints().unwrap().unwrap().list_checkpoints().unwrap().is_empty());
    assert!(reader.system_metrics().unwrap().is_none());
}

#[test]
fn a_reader_moves_on_only_by_a_refresh() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), settings()).unwrap();
    let mut reader = RunReader::open(run.path()).unwrap();
    assert_eq!(reader.progress().unwrap().rows, 0);
    run.log_step((0, 0, 0.5)).unwrap();
    run.logger().flush(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(reader.progress().unwrap().rows, 0, "a reader keeps its version");
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.progress().unwrap().rows, 1);
    assert!(!reader.refresh().unwrap());
    qstore_run::edit_run_json(run.path(), |file| file.tags.push("x".into())).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.run_json().tags, ["x"]);
    run.finish().unwrap();
}

#[test]
fn a_refresh_reports_a_metrics_file_that_has_appeared() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), settings()).unwrap();
    run.log_step((0, 0, 0.5)).unwrap();
    run.finish().unwrap();
    let copy = runs.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let bring = |name| std::fs::copy(run.path().join(name), copy.join(name)).unwrap();
    bring("run.json");
    let mut reader = RunReader::open(&copy).unwrap();
    assert!(reader.metrics().unwrap().is_none() && !reader.refresh().unwrap());
    bring("metrics.parquet");
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.progress().unwrap().rows, 1);
    assert!(!reader.refresh().unwrap());
}

/// Written by the logger alone.
#[test]
fn a_metrics_file_without_a_record_is_a_run_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let mut logger = qstore_logger::AsyncMetricsLogger::open(&path).unwrap();
    logger.log_step((0, 3, 0.5)).unwrap();
    logger.flush(std::time::Duration::from_secs(60)).unwrap();
    let reader = RunReader::open(dir.path()).unwrap();
    assert!(!reader.has_run_json() && reader.run_json().attempts.is_empty());
    assert_eq!(reader.status().unwrap().state.name(), "unknown");
    assert_eq!(reader.progress().unwrap().step, Some(3));
    drop(reader);
    logger.stop(std::time::Duration::from_secs(60)).unwrap();
    let reader = RunReader::open(dir.path()).unwrap();
    assert_eq!(reader.status().unwrap().state.name(), "finished");
    // It becomes a run when it is resumed.
    let (mut run, resumed) = Run::resume(dir.path(), settings()).unwrap();
    assert!(resumed.is_none());
    run.log_step((0, 0, 0.25)).unwrap();
    run.finish().unwrap();
    let reader = RunReader::open(dir.path()).unwrap();
    assert!(reader.has_run_json());
    assert_eq!((reader.progress().unwrap().rows, reader.superseded().unwrap()), (1, one(0..1)));
}

#[test]
fn system_metrics_are_a_file_of_their_own() {
    let runs = tempfile::tempdir().unwrap();
    let settings = settings().system_metrics(std::time::Duration::from_secs(3600));
    let mut run = Run::create(runs.path(), settings).unwrap();
    assert_eq!(run.finish().unwrap().system_error, None);
    let reader = RunReader::open(run.path()).unwrap();
    assert!(reader.system_metrics().unwrap().is_some_and(|file| file.rows() > 0));
    assert_eq!(reader.progress().unwrap().rows, 0);
}

/// A list of one range, not of the numbers in it.
fn one(range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
    std::iter::once(range).collect()
}
