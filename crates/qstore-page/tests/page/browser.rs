//! The page in Chromium: curves that grow while one looks, zoom, keyboard, both themes, a refused name, a report that asks for
//! nothing. Skipped where there is no Chromium or no node. `QSTORE_PAGE_PICTURES` names a directory for the pictures.

use super::programs::{chromium, node};
use qstore_page::{Port, Report, Server, Site, SiteSettings, Source, random_token};
use qstore_run::{Direction, Run, RunPlace, RunSettings};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

const TEST: &str = "the_page_is_what_it_should_be_in_a_browser";

fn start(runs: &Path, name: &str) -> Run {
    let lr = if name == "run_001" { 0.1 } else { 0.2 };
    let settings =
        RunSettings::default().name(name).param("lr", lr).goal("val_loss", Direction::Min);
    Run::create(runs, settings.tag(name)).unwrap()
}

fn log(run: &Run, steps: std::ops::Range<i64>) {
    for step in steps {
        let loss = if step == 300 { 9.0 } else { 1.0 / (1.0 + step as f64 / 90.0) };
        run.log_step((step / 100, step, loss)).unwrap();
    }
    run.log_epoch(9, [("accuracy", 0.5)], [("loss", 0.25)]).unwrap();
    run.logger().flush(Duration::from_secs(60)).unwrap();
}

#[test]
fn the_page_is_what_it_should_be_in_a_browser() {
    let (Some(chromium), Some(node)) = (chromium(TEST), node(TEST)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let model = qstore_checkpoint::Snapshot::new(1);
    let mut done = start(&runs, "run_001");
    log(&done, 0..900);
    done.save(899, model).unwrap().wait(Duration::from_secs(60)).unwrap();
    done.finish().unwrap();
    let mut running = start(&runs, "<img src=x onerror=alert(1)>");
    log(&running, 0..500);

    let source = Source::Directory { path: runs, is_deep: false };
    let report = Report::default().write(RunPlace::default(), source.clone()).unwrap();
    let file = dir.path().join("report.html");
    fs::write(&file, report).unwrap();
    let port = Port::take(0).unwrap();
    let evil = format!("http://evil.test:{}/", port.number());
    let settings = SiteSettings::default().token(random_token().unwrap());
    let site = Site::new(RunPlace::default(), source, port.number(), settings);
    let server = port.serve(site).unwrap();

    let pictures = env::var_os("QSTORE_PAGE_PICTURES").unwrap_or_default();
    let words = [server.url().into(), evil.into(), address(&file).into(), pictures];
    drive(&node, "browser.mjs", &chromium, &words, |line| {
        if line == "grow" {
            log(&running, 500..700);
        }
    });
    server.stop();
    running.finish().unwrap();
}

/// The address of a file.
pub(crate) fn address(file: &Path) -> String {
    format!("file://{}", file.display())
}

/// Runs a script of this directory, which prints at the end that all hold.
pub(crate) fn drive(
    node: &Path,
    script: &str,
    chromium: &Path,
    words: &[OsString],
    mut told: impl FnMut(&str),
) {
    let mut driver = Command::new(node)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page").join(script))
        .arg(chromium)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut all_hold = false;
    for line in BufReader::new(driver.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        told(&line);
        all_hold |= line == "all hold";
    }
    assert!(driver.wait().unwrap().success() && all_hold, "{script} does not hold");
}

/// A page of these runs, on which one needs no token.
pub(crate) fn serve(source: Source) -> Server {
    let port = Port::take(0).unwrap();
    let site = Site::new(RunPlace::default(), source, port.number(), SiteSettings::default());
    port.serve(site).unwrap()
}
