//! More of the page in Chromium: a thousand metrics, two hundred runs, accessibility, and both themes pixel by pixel.
//! Skipped where there is no Chromium or no node; accessibility also where `QSTORE_AXE` does not name `axe.min.js` of the
//! package `axe-core`. `QSTORE_PAGE_REFERENCE=make` writes the reference pictures again: look at them.

use super::browser::{address, drive, serve};
use super::programs::{axe, chromium, node};
use qstore_checkpoint::Snapshot;
use qstore_checkpoint::retention::Goal;
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
use qstore_logger::MetricsRow;
use qstore_page::{Report, Source};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_run::{Direction, Run, RunPlace, RunSettings};
use qstore_schema::{Row, Value};
use qstore_zarr::CheckpointSettings;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A metrics file without a run: rows that are the same every time.
fn write_rows(dir: &Path, rows: i64, columns: &[&str], seed: f64) {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join("metrics.parquet");
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    for step in 0..rows {
        let mut row = Row::from([("step", Value::from(step))]);
        for (number, column) in columns.iter().enumerate() {
            let x = step as f64 / rows as f64;
            let value = (-3.0 * x).exp() + 0.1 * (x * 40.0 + number as f64).sin();
            // What a curve must not lose, each in another place.
            let value = match (number, 6 * step / rows, 6 * step % rows) {
                (0, 2, 0) => 3.0,
                (0, 3, 0) => f64::NAN,
                (1, 4, 0) => f64::INFINITY,
                (1, 3, 0) => -2.0,
                _ => value + seed,
            };
            row.set(*column, value);
        }
        log.append(&row, Instant::now());
    }
    log.close().unwrap();
}

fn report(dir: &Path, runs: PathBuf) -> PathBuf {
    let source = Source::Directory { path: runs, is_deep: false };
    let file = dir.join("report.html");
    fs::write(&file, Report::default().write(RunPlace::default(), source).unwrap()).unwrap();
    file
}

#[test]
fn a_thousand_metrics_and_two_hundred_runs_are_usable() {
    const TEST: &str = "a_thousand_metrics_and_two_hundred_runs_are_usable";
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (wide, many) = (dir.path().join("wide"), dir.path().join("many"));
    let names: Vec<_> = (0..1_000).map(|number| format!("m{number:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    write_rows(&wide.join("run"), 50, &names, 0.0);
    for number in 1..=200 {
        write_rows(&many.join(format!("run_{number:03}")), 50, &["train_loss"], 0.0);
    }
    let page = |path| serve(Source::Directory { path, is_deep: false });
    let (wide, many) = (page(wide), page(many));
    let words = [&wide, &many].map(|server| OsString::from(server.url()));
    drive(&node, "many.mjs", &chromium, &words, |_| {});
    wide.stop();
    many.stop();
}

#[test]
fn the_page_and_the_report_are_accessible() {
    const TEST: &str = "the_page_and_the_report_are_accessible";
    let found = (chromium(TEST), node(TEST), axe(TEST));
    let (Some(chromium), Some(node), Some(axe)) = found else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let mut running = rich(&runs, 600);
    let file = report(dir.path(), runs.clone());
    let server = serve(Source::Directory { path: runs, is_deep: false });
    let words = [axe.into_os_string(), server.url().into(), address(&file).into()];
    drive(&node, "axe.mjs", &chromium, &words, |_| {});
    server.stop();
    running.finish().unwrap();
}

#[test]
fn the_page_is_pixel_by_pixel_as_it_was_in_both_themes() {
    const TEST: &str = "the_page_is_pixel_by_pixel_as_it_was_in_both_themes";
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let columns = ["train_loss", "energy", "grad/norm"];
    for (name, seed) in [("run_1", 0.0), ("run_2", 0.2), ("run_3", 0.5)] {
        // A multiple of six, so that what is special is there.
        write_rows(&runs.join(name), 6_000, &columns, seed);
    }
    let file = report(dir.path(), runs);
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let is_made = env::var_os("QSTORE_PAGE_REFERENCE").is_some_and(|what| what == "make");
    let make = if is_made { "make" } else { "" };
    let words = [address(&file).into(), reference.into_os_string(), make.into()];
    drive(&node, "reference.mjs", &chromium, &words, |_| {});
}

/// Three runs with what runs have: checkpoints, epochs, parameters, jobs. One failed and was resumed, and one is still running.
fn rich(runs: &Path, steps: i64) -> Run {
    train(&mut begin(runs, "vqe_adam", 0.01), steps, 0..12, 1.0).finish().unwrap();
    let mut failed = begin(runs, "vqe_spsa", 0.05);
    write_jobs(&failed.path().join("jobs.parquet"));
    train(&mut failed, steps, 0..8, 2.0);
    let path = failed.path().to_path_buf();
    failed.fail("the device was taken offline").unwrap();
    let (mut resumed, _) = Run::resume(&path, settings("vqe_spsa", 0.05)).unwrap();
    train(&mut resumed, steps, 8..12, 2.0).finish().unwrap();
    let mut running = begin(runs, "vqe_lbfgs", 0.1);
    train(&mut running, steps, 0..9, 3.0);
    running
}

fn settings(name: &str, lr: f64) -> RunSettings {
    RunSettings::default()
        .name(name)
        .tag("h2o")
        .param("lr", lr)
        .param("optimizer", &name[4..])
        .param("layers", 4)
        .goal("val_loss", Direction::Min)
        .checkpoints(CheckpointSettings::default().keep_last(2).keep_best(
            1,
            "val_loss",
            Goal::Lowest,
        ))
        .system_metrics(Duration::from_millis(100))
        .git_timeout(Duration::ZERO)
}

fn begin(runs: &Path, name: &str, lr: f64) -> Run {
    Run::create(runs, settings(name, lr)).unwrap()
}

/// Logs some of twelve epochs, which have that many steps together.
fn train(run: &mut Run, steps: i64, epochs: std::ops::Range<i64>, seed: f64) -> &mut Run {
    for epoch in epochs {
        for step in epoch * steps / 12..(epoch + 1) * steps / 12 {
            let x = step as f64 / steps as f64;
            let noise = |wave: f64| (x * wave * seed).sin() * (x * wave * 1.7 + seed).cos();
            let loss = 1.8 * (-x * (4.0 + seed)).exp() + 0.12 + 0.05 * noise(900.0);
            let is_spike = step == steps / 2 && seed < 1.5;
            let loss = if is_spike { 2.4 } else { loss };
            let row = MetricsRow::step(epoch, step, loss)
                .with("energy", -74.0 - 1.02 * (1.0 - (-x * 5.0).exp()) + 0.01 * noise(700.0))
                .with("grad_norm", 3.0 * (-x * 3.0).exp() * (1.0 + 0.4 * noise(500.0)))
                .with("fidelity", 0.96 + 0.03 * x + 0.004 * noise(300.0));
            run.log_step(row).unwrap();
        }
        let loss = 1.6 * (-(epoch as f64) / 3.0).exp() + 0.15 + 0.02 * seed;
        run.log_epoch(epoch, [("accuracy", 0.9 - loss / 4.0)], [("loss", loss)]).unwrap();
        run.logger().flush(TIMEOUT).unwrap();
        if epoch % 2 == 1 {
            let snapshot = Snapshot::new(epoch as u64).meta("val_loss", loss);
            run.save((epoch + 1) * steps / 12 - 1, snapshot).unwrap().wait(TIMEOUT).unwrap();
        }
    }
    run
}

/// Jobs that are done, one that failed, one in a queue, and one of which nothing is known.
fn write_jobs(path: &Path) {
    let ledger = Ledger::open(path, Budget::usd(50.0)).unwrap();
    for step in 0..8_i64 {
        let batch =
            Batch::new("ibm_torino", 1_024).circuits(["OPENQASM 3.0;"]).parameters(&[step as f64]);
        let spec = JobSpec::new("ibm", batch).at(0, step).estimate_usd(0.67);
        let intent = ledger.intend(spec).unwrap();
        if step == 7 {
            continue;
        }
        let job = intent.submitted(&format!("d1a2b3c{step:x}")).unwrap();
        let seen = match step {
            6 => Seen::queued(17),
            4 => Seen::failed("the device is <b>calibrating</b>"),
            _ => Seen::done().usd(0.65).exec_ms(840.0),
        };
        ledger.observe(&job.key, &seen).unwrap();
    }
    ledger.close().unwrap();
}

#[test]
fn the_pictures_of_the_page_can_be_made() {
    const TEST: &str = "the_pictures_of_the_page_can_be_made";
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let pictures = env::var_os("QSTORE_PAGE_PICTURES").unwrap_or_default();
    let mut running = rich(&runs, if pictures.is_empty() { 600 } else { 6_000 });
    let file = report(dir.path(), runs.clone());
    let server = serve(Source::Directory { path: runs, is_deep: false });
    let words = [server.url().into(), address(&file).into(), pictures];
    drive(&node, "pictures.mjs", &chromium, &words, |_| {});
    server.stop();
    running.finish().unwrap();
}
