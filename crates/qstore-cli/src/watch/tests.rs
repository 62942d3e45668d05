//! What the eyes read, and what they leave alone.

use super::{Dashboard, Eyes, Key, View};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_run::{Run, RunPlace, RunSettings, RunState};
use qstore_schema::{Row, Value};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn start(runs: &Path) -> Run {
    let settings = RunSettings::default().git_timeout(Duration::ZERO).param("steps", 1_000);
    Run::create(runs, settings).unwrap()
}

fn log(run: &Run, steps: std::ops::Range<i64>) {
    for step in steps {
        let loss = if step == 77 { 9.0 } else { 0.5 };
        run.log_step((0, step, loss)).unwrap();
    }
    run.logger().flush(Duration::from_secs(60)).unwrap();
}

fn open(path: PathBuf, dir: Option<PathBuf>) -> (Eyes, Dashboard) {
    let paths = if dir.is_some() { Vec::new() } else { vec![path] };
    let mut eyes = Eyes::new(RunPlace::default(), paths, dir, None);
    let mut dashboard = Dashboard::new((80, 24));
    eyes.look(&mut dashboard).unwrap();
    (eyes, dashboard)
}

/// Looks until nothing more is to be read for the screen.
fn settle(eyes: &mut Eyes, dashboard: &mut Dashboard) {
    while eyes.look(dashboard).unwrap().pause.is_zero() {}
}

fn largest(dashboard: &Dashboard, column: &str) -> (f64, u64, bool) {
    let chart = &dashboard.charts[&(false, column.to_owned())];
    let total = chart.series.as_ref().unwrap().total();
    (total.max, total.n, chart.is_quick)
}

#[test]
fn a_run_is_followed_and_no_spike_is_hidden() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = start(runs.path());
    log(&run, 0..50);
    let (mut eyes, mut dashboard) = open(run.path().to_path_buf(), None);
    settle(&mut eyes, &mut dashboard);
    assert_eq!(largest(&dashboard, "train_loss"), (0.5, 50, false));
    let facts = dashboard.facts();
    assert_eq!((facts.state, facts.total), (Some(RunState::Running), Some(1_000)));
    log(&run, 50..200);
    settle(&mut eyes, &mut dashboard);
    assert_eq!(largest(&dashboard, "train_loss"), (9.0, 200, false));
    assert_eq!(dashboard.facts().step, Some(199));

    dashboard.press(Key::Char(' '));
    log(&run, 200..300);
    settle(&mut eyes, &mut dashboard);
    assert_eq!(largest(&dashboard, "train_loss").1, 200, "it is paused");
    dashboard.press(Key::Char(' '));
    run.finish().unwrap();
    settle(&mut eyes, &mut dashboard);
    assert_eq!(largest(&dashboard, "train_loss").1, 300);
    assert_eq!(dashboard.facts().state, Some(RunState::Finished));
    assert_eq!(dashboard.facts().left, None);

    // The last eighth, where the spike is not.
    for _ in 0..3 {
        dashboard.press(Key::Char('+'));
    }
    settle(&mut eyes, &mut dashboard);
    let (max, rows, _) = largest(&dashboard, "train_loss");
    assert!(max < 1.0 && (30..60).contains(&rows), "{max} {rows}");
}

#[test]
fn what_cannot_be_read_is_on_the_screen_until_it_can() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = start(runs.path());
    log(&run, 0..50);
    run.finish().unwrap();
    let path = run.path().to_path_buf();
    let (mut eyes, mut dashboard) = open(path.clone(), None);
    settle(&mut eyes, &mut dashboard);
    let seen = eyes.look(&mut dashboard).unwrap();
    assert!(!seen.pause.is_zero() && dashboard.facts().problems.is_empty());
    let metrics = path.join("metrics.parquet");
    let bytes = std::fs::read(&metrics).unwrap();
    std::fs::write(&metrics, vec![0; bytes.len()]).unwrap();
    eyes.look(&mut dashboard).unwrap();
    assert!(!dashboard.facts().problems.is_empty());
    std::fs::write(&metrics, bytes).unwrap();
    settle(&mut eyes, &mut dashboard);
    assert!(dashboard.facts().problems.is_empty(), "{:?}", dashboard.facts().problems);
}

#[test]
fn many_rows_are_first_drawn_from_their_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let settings = WriterSettings::default();
    let mut metrics =
        MetricsLog::<Row>::open(dir.path().join("metrics.parquet"), settings).unwrap();
    for step in 0..300_100_i64 {
        let loss = if step == 123_456 { 9.0 } else { 0.5 };
        let row = Row::from([("step", Value::from(step)), ("loss", Value::from(loss))]);
        metrics.append(&row, Instant::now());
    }
    metrics.close().unwrap();
    let (mut eyes, mut dashboard) = open(dir.path().to_path_buf(), None);
    assert!(eyes.look(&mut dashboard).unwrap().pause.is_zero(), "more is to come");
    let (max, _, is_quick) = largest(&dashboard, "loss");
    assert_eq!((max, is_quick), (9.0, true));
    settle(&mut eyes, &mut dashboard);
    assert_eq!(largest(&dashboard, "loss"), (9.0, 300_100, false));
}

#[test]
fn only_the_charts_of_the_screen_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let settings = WriterSettings::default();
    let mut metrics =
        MetricsLog::<Row>::open(dir.path().join("metrics.parquet"), settings).unwrap();
    for step in 0..3_i64 {
        let mut row = Row::from([("step", Value::from(step))]);
        for number in 0..1_000 {
            row.set(&*format!("m{number:03}"), 0.5);
        }
        metrics.append(&row, Instant::now());
    }
    metrics.close().unwrap();
    let (mut eyes, mut dashboard) = open(dir.path().to_path_buf(), None);
    settle(&mut eyes, &mut dashboard);
    assert_eq!((dashboard.facts().columns.len(), dashboard.charts.len()), (1_000, 4));
    for char in "/m99".chars() {
        dashboard.press(Key::Char(char));
    }
    settle(&mut eyes, &mut dashboard);
    assert!(dashboard.charts.keys().all(|(_, column)| column.starts_with("m99")));
    assert_eq!(dashboard.charts.len(), 4);
}

#[test]
fn runs_that_appear_are_listed_and_opened() {
    let runs = tempfile::tempdir().unwrap();
    let mut first = start(runs.path());
    log(&first, 0..10);
    first.finish().unwrap();
    let mut second = start(runs.path());
    log(&second, 0..20);
    let (mut eyes, mut dashboard) = open(PathBuf::new(), Some(runs.path().to_path_buf()));
    assert_eq!(dashboard.facts().name, "run_002", "the one that changed last");
    dashboard.press(Key::Char('4'));
    assert_eq!(dashboard.view(), View::Runs);
    settle(&mut eyes, &mut dashboard);
    let rows: Vec<_> = dashboard.runs.iter().map(|run| (run.rows, run.state)).collect();
    assert_eq!(rows, [(10, Some(RunState::Finished)), (20, Some(RunState::Running))]);
    eyes.open(0, &mut dashboard);
    settle(&mut eyes, &mut dashboard);
    assert_eq!((dashboard.facts().name.as_str(), dashboard.facts().rows), ("run_001", 10));
    second.finish().unwrap();
}
