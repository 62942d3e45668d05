//! Rows that follow are printed as they come, until the run ends.

use super::kit::{call_on, scratch};
use qstore_cli::Exit;
use qstore_cli::console::Screen;
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::{Row, Value};
use std::path::Path;
use std::time::Instant;

fn append(log: &mut MetricsLog<Row>, step: i64) {
    let row = Row::from([("step", Value::from(step)), ("loss", Value::from(0.5 / step as f64))]);
    log.append(&row, Instant::now());
    log.flush().unwrap();
}

/// Calls `tail -f` on a file of three rows; one more comes at each wait, and after three the run ends.
fn follow(path: &Path, more: &[&str], screen: Screen) -> (String, usize) {
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    (1..4).for_each(|step| append(&mut log, step));
    let mut log = Some(log);
    let mut waits = 0;
    let mut wait = || {
        waits += 1;
        match waits {
            1..4 => append(log.as_mut().unwrap(), 3 + waits),
            4 => log.take().unwrap().close().unwrap(),
            _ => return false,
        }
        true
    };
    let path = path.display().to_string();
    let arguments: Vec<&str> =
        ["tail", &path, "-f", "-n", "2"].iter().chain(more).copied().collect();
    let called = call_on(screen, &arguments, &mut wait);
    assert_eq!((called.exit, &*called.err), (Exit::Done, ""));
    (called.out, waits as usize)
}

#[test]
fn every_row_is_printed_once_and_aligned() {
    let dir = tempfile::tempdir().unwrap();
    let (out, waits) = follow(&dir.path().join("a.parquet"), &[], Screen::default());
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "step      loss",
            "   2      0.25",
            "   3  0.166667",
            "   4     0.125",
            "   5       0.1",
            "   6  0.0833333",
        ]
    );
    assert_eq!(waits, 4);
}

#[test]
fn rows_can_be_followed_as_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (out, _) = follow(&dir.path().join("a.parquet"), &["--jsonl"], Screen::default());
    let steps: Vec<i64> = out
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(steps, [2, 3, 4, 5, 6]);
}

#[test]
fn a_column_that_comes_later_gets_heads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default()).unwrap();
    append(&mut log, 1);
    let mut log = Some(log);
    let mut waits = 0;
    let mut wait = || {
        waits += 1;
        match waits {
            1 => {
                let log = log.as_mut().unwrap();
                let row = Row::from([("step", Value::from(2_i64)), ("acc", Value::from(0.75))]);
                log.append(&row, Instant::now());
                append(log, 3);
            }
            2 => log.take().unwrap().close().unwrap(),
            _ => return false,
        }
        true
    };
    let path = path.display().to_string();
    let called = call_on(Screen::default(), &["tail", &path, "-f"], &mut wait);
    assert_eq!((called.exit, &*called.err), (Exit::Done, ""));
    let lines: Vec<_> = called.out.lines().map(str::trim_end).collect();
    let second = ["step      loss   acc", "   2            0.75", "   3  0.166667"];
    assert_eq!(lines, [&["step  loss", "   1   0.5"][..], &second].concat());
}

#[test]
fn epochs_that_follow_are_printed_without_their_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default()).unwrap();
    append(&mut log, 1);
    let mut log = Some(log);
    let mut waits = 0;
    let mut wait = || {
        waits += 1;
        match waits {
            1 | 2 => {
                let log = log.as_mut().unwrap();
                append(log, waits + 1);
                append(log, -1);
            }
            3 => log.take().unwrap().close().unwrap(),
            _ => return false,
        }
        true
    };
    let path = path.display().to_string();
    let arguments = ["tail", &path, "-f", "--epochs", "-c", "loss"];
    let called = call_on(Screen::default(), &arguments, &mut wait);
    assert_eq!((called.exit, &*called.out), (Exit::Done, "loss\n-0.5\n-0.5\n"), "{}", called.err);
}

#[test]
fn a_run_whose_process_was_killed_is_not_followed_forever() {
    let copy = scratch();
    // Its lock was released without an end in its description; the file was not closed.
    let run = copy.path().join("runs/run_002");
    let path = run.join("metrics.parquet");
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    append(&mut log, 1);
    for path in [run.clone(), run.join("metrics.parquet")] {
        let path = path.display().to_string();
        let called = call_on(Screen::default(), &["tail", &path, "-f"], &mut || false);
        assert_eq!((called.exit, &*called.out), (Exit::Done, "step  loss\n   1   0.5\n"));
        assert!(called.err.contains("the run has crashed"), "{}", called.err);
    }
}

#[test]
fn a_narrow_screen_keeps_the_columns_that_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default()).unwrap();
    append(&mut log, 1);
    log.close().unwrap();
    let screen = Screen { width: Some(9), ..Screen::default() };
    let called = call_on(screen, &["tail", &path.display().to_string()], &mut || false);
    assert_eq!(called.out, "step\n   1\n");
    assert_eq!(called.err, "1 column left out: loss; --all, or -c NAME\n");
}
