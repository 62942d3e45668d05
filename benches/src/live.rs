//! How long until a run is on the screen of a browser?
//!
//! The page is served by a process of its own, which is new for each round, as is the browser: Chromium, which
//! `QSTORE_CHROMIUM` names, driven by node. Without either nothing is measured, which is reported. The file is that of the
//! set `view`, a million rows of 20 columns, and ten million with `--long`; it is in the system's cache.

use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::long_runs::peak_megabytes;
use crate::{Result, Run, view};
use qstore_page::{Port, Report, Site, SiteSettings, Source};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_run::RunPlace;
use qstore_schema::{Row as Columns, Value};
use serde::Deserialize;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) const NAME: &str = "live";
pub(crate) const QUESTION: &str = "how long until a run is on the screen of a browser";

/// The word that makes a child serve a directory until its input ends, and print the most memory that it had.
pub(crate) const CHILD: &str = "serve";

const ROUNDS: usize = 3;
/// Polls of the last round, one a second.
const POLLS: usize = 20;
/// The charts of the report, its runs, and the rows and pixel columns of each curve.
const CHARTS: usize = 20;
const RUNS: u64 = 4;
const POINTS: u32 = 4_000;

/// What `live.mjs` prints: milliseconds since the navigation began, and counts.
#[derive(Debug, Deserialize)]
struct Seen {
    /// The first answer with a curve was there.
    data: f64,
    /// All charts of the screen showed the bounds of the footer, or more.
    painted: f64,
    /// All of them were exact.
    exact: f64,
    charts: usize,
    polls: usize,
    /// Polls that were answered without a body.
    empty: usize,
}

/// Chromium and node.
struct Browser {
    chromium: PathBuf,
}

impl Browser {
    fn look(&self, address: &str, polls: usize) -> Result<Seen> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("live.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(&self.chromium).args([address, &polls.to_string()]);
        Ok(serde_json::from_str(&this_program::answer_of(&mut node, "node")?)?)
    }
}

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let Some(chromium) = env::var_os("QSTORE_CHROMIUM").map(PathBuf::from) else {
        run.skip("Chromium", "QSTORE_CHROMIUM does not name one");
        return Ok(Vec::new());
    };
    let browser = Browser { chromium };
    let mut rows = long_run(run, &browser)?;
    rows.extend(charts(run, &browser)?);
    Ok(rows)
}

/// A run with many rows, looked at for the first time.
fn long_run(run: &Run<'_>, browser: &Browser) -> Result<Vec<Row>> {
    let (rows, size) = if run.long { (10_000_000, "1e7") } else { (1_000_000, "1e6") };
    let dir = run.scratch.join("live");
    fs::create_dir_all(dir.join("run"))?;
    view::write(&dir.join("run").join("metrics.parquet"), rows)?.close()?;
    let (mut data, mut painted, mut exact, mut memory) = (vec![], vec![], vec![], vec![]);
    let mut share = 0.0;
    for round in 1..=ROUNDS {
        let polls = if round == ROUNDS { POLLS } else { 0 };
        let mut child = this_program::command(CHILD)?
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut told = BufReader::new(child.stdout.take().ok_or("it is piped")?).lines();
        let address = told.next().ok_or("the server has no address")??;
        let seen = browser.look(&address, polls)?;
        drop(child.stdin.take());
        memory.push(told.next().ok_or("the server has no memory")??.parse()?);
        child.wait()?;
        data.push(seen.data / 1e3);
        painted.push(seen.painted / 1e3);
        exact.push(seen.exact / 1e3);
        if polls > 0 {
            share = seen.empty as f64 / seen.polls as f64;
        }
    }
    fs::remove_dir_all(&dir)?;
    let since = "since the address was opened; the server and Chromium are new, the file is in the system's cache";
    Ok(vec![
        row(
            format!("page_data_s_{size}x20"),
            "s",
            &format!("the first curve arrives, {since}"),
            data,
        )?,
        row(
            format!("page_painted_s_{size}x20"),
            "s",
            &format!("all charts of the screen show bounds, {since}"),
            painted,
        )?,
        row(
            format!("page_exact_s_{size}x20"),
            "s",
            &format!("all of them are exact, {since}"),
            exact,
        )?,
        row(
            format!("page_server_rss_mb_{size}x20"),
            "MB",
            "the most memory that the server had",
            memory,
        )?,
        row(
            "idle_polls_without_body".into(),
            "of 1",
            "polls of a run that does not change",
            vec![share],
        )?,
    ])
}

/// A report of 20 charts with 4 curves of 4 000 points each.
fn charts(run: &Run<'_>, browser: &Browser) -> Result<Vec<Row>> {
    let dir = run.scratch.join("charts");
    for number in 0..RUNS {
        write_noise(&dir.join(format!("run_{number}")), number)?;
    }
    let source = Source::Directory { path: dir.clone(), is_deep: false };
    let html = Report::default().width(POINTS).write(RunPlace::default(), source)?;
    let file = run.scratch.join("charts.html");
    fs::write(&file, &html)?;
    let mut painted = Vec::new();
    for _ in 0..ROUNDS {
        let seen = browser.look(&format!("file://{}", file.display()), 0)?;
        painted.push(seen.exact / 1e3);
        if seen.charts != CHARTS {
            return Err(format!("{} charts are drawn", seen.charts).into());
        }
    }
    fs::remove_dir_all(&dir)?;
    let note = format!(
        "a report of {:.1} MB is opened; all its charts are drawn",
        html.len() as f64 / 1e6
    );
    Ok(vec![row(format!("charts_{CHARTS}x{RUNS}x{POINTS}_painted_s"), "s", &note, painted)?])
}

/// A metrics file of noise, so that no pixel column is like the next.
fn write_noise(dir: &Path, seed: u64) -> Result {
    fs::create_dir_all(dir)?;
    let mut log =
        MetricsLog::<Columns>::open(dir.join("metrics.parquet"), WriterSettings::default())?;
    let mut random = fastrand::Rng::with_seed(seed);
    let names: Vec<_> = (0..CHARTS).map(|number| format!("m{number:02}")).collect();
    for step in 0..i64::from(POINTS) {
        let values = names.iter().map(|name| (name.as_str(), Value::from(random.f64())));
        let row: Columns = values.chain([("step", Value::from(step))]).collect();
        log.append(&row, Instant::now());
    }
    log.close()?;
    Ok(())
}

fn row(name: String, unit: &'static str, note: &str, values: Vec<f64>) -> Result<Row> {
    let summary = Summary::of(values).ok_or("it was measured")?;
    Ok(Row::new(NAME, Measure::ours(name, unit, &[], note), summary))
}

/// Serves a directory to everyone on this machine.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [dir] = arguments else { return Err("a directory".into()) };
    let source = Source::Directory { path: OsStr::new(dir).into(), is_deep: false };
    let port = Port::take(0)?;
    let site = Site::new(RunPlace::default(), source, port.number(), SiteSettings::default());
    let server = port.serve(site)?;
    println!("{}", server.url());
    io::stdin().read_to_end(&mut Vec::new())?;
    server.stop();
    Ok(peak_megabytes()?.to_string())
}
