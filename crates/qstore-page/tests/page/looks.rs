//! More of the page in Chromium: a thousand metrics, two hundred runs, accessibility, and both themes pixel by pixel.
//! Skipped where there is no Chromium or no node; accessibility also where `QSTORE_AXE` does not name `axe.min.js` of the
//! package `axe-core`. `QSTORE_PAGE_REFERENCE=make` writes the reference pictures again: look at them.

use super::browser::{address, drive, serve};
use super::programs::{axe, chromium, node};
use qstore_logger::MetricsRow;
use qstore_page::{Report, Source};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_run::{Direction, Run, RunPlace, RunSettings};
use qstore_schema::{Row, Value};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A metrics file without a run: rows that are the same every time.
fn write_rows(dir: &Path, rows: i64, columns: &[&str]) {
    fs::create_dir_all(dir).unwrap();
    let path = dir.join("metrics.parquet");
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default()).unwrap();
    for step in 0..rows {
        let mut row = Row::from([("step", Value::from(step))]);
        for (number, column) in columns.iter().enumerate() {
            let x = step as f64 / rows as f64;
            let value = (-3.0 * x).exp() + 0.1 * (x * 40.0 + number as f64).sin();
            let is_spike = step == rows / 3 && number == 0;
            row.set(*column, if is_spike { 3.0 } else { value });
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
    write_rows(&wide.join("run"), 50, &names);
    for number in 1..=200 {
        write_rows(&many.join(format!("run_{number:03}")), 50, &["train_loss"]);
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
    rich(&runs, 600);
    let file = report(dir.path(), runs.clone());
    let server = serve(Source::Directory { path: runs, is_deep: false });
    let words = [axe.into_os_string(), server.url().into(), address(&file).into()];
    drive(&node, "axe.mjs", &chromium, &words, |_| {});
    server.stop();
}

#[test]
fn curves_are_pixel_by_pixel_as_they_were_in_both_themes() {
    const TEST: &str = "curves_are_pixel_by_pixel_as_they_were_in_both_themes";
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    write_rows(&runs.join("run"), 5_000, &["train_loss"]);
    let file = report(dir.path(), runs);
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let is_made = env::var_os("QSTORE_PAGE_REFERENCE").is_some_and(|what| what == "make");
    let make = if is_made { "make" } else { "" };
    let words = [address(&file).into(), reference.into_os_string(), make.into()];
    drive(&node, "reference.mjs", &chromium, &words, |_| {});
}

/// Three runs with what runs have: checkpoints, epochs, parameters, measurements of the system, one still running.
fn rich(runs: &Path, steps: i64) -> Run {
    let mut last = None;
    for (name, lr, seed) in
        [("vqe_adam", 0.01, 1.0), ("vqe_spsa", 0.05, 2.0), ("vqe_lbfgs", 0.1, 3.0)]
    {
        let settings = RunSettings::default()
            .name(name)
            .tag("h2o")
            .param("lr", lr)
            .param("optimizer", &name[4..])
            .goal("val_loss", Direction::Min)
            .system_metrics(Duration::from_secs(3_600))
            .git_timeout(Duration::ZERO);
        let mut run = Run::create(runs, settings).unwrap();
        for step in 0..steps {
            let x = step as f64 / steps as f64;
            let noise = |wave: f64| (x * wave * seed).sin() * (x * wave * 1.7 + seed).cos();
            let loss = 1.8 * (-x * (4.0 + seed)).exp() + 0.12 + 0.05 * noise(900.0);
            let is_spike = step == steps / 2 && seed < 1.5;
            let loss = if is_spike { 2.4 } else { loss };
            let row = MetricsRow::step(step * 12 / steps, step, loss)
                .with("energy", -74.0 - 1.02 * (1.0 - (-x * 5.0).exp()) + 0.01 * noise(700.0))
                .with("grad_norm", 3.0 * (-x * 3.0).exp() * (1.0 + 0.4 * noise(500.0)))
                .with("fidelity", 0.96 + 0.03 * x + 0.004 * noise(300.0));
            run.log_step(row).unwrap();
            if step % 500 == 499 {
                run.logger().flush(Duration::from_secs(60)).unwrap();
            }
        }
        for epoch in 0..12 {
            let loss = 1.6 * (-(epoch as f64) / 3.0).exp() + 0.15 + 0.02 * seed;
            run.log_epoch(epoch, [("accuracy", 0.9 - loss / 4.0)], [("loss", loss)]).unwrap();
            if epoch % 4 == 3 {
                let snapshot =
                    qstore_checkpoint::Snapshot::new(epoch as u64).meta("val_loss", loss);
                run.save(epoch, snapshot).unwrap().wait(Duration::from_secs(60)).unwrap();
            }
        }
        run.logger().flush(Duration::from_secs(60)).unwrap();
        if seed < 2.5 {
            run.finish().unwrap();
        } else {
            last = Some(run);
        }
    }
    last.unwrap()
}

#[test]
fn pictures_for_the_documentation() {
    const TEST: &str = "pictures_for_the_documentation";
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let mut running = rich(&runs, 6_000);
    let file = report(dir.path(), runs.clone());
    let server = serve(Source::Directory { path: runs, is_deep: false });
    let pictures = env::var_os("QSTORE_PAGE_PICTURES").unwrap_or_default();
    let words = [server.url().into(), address(&file).into(), pictures];
    drive(&node, "pictures.mjs", &chromium, &words, |_| {});
    server.stop();
    running.finish().unwrap();
}
