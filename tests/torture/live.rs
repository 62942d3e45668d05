//! T17: a dataset of ranks is read by five engines while it is written.
//!
//! Each rank logs a hundred rows a second and is flushed every second; its parts are sealed meanwhile. Half of the
//! reads are planned some time before they run, as engines do that list a directory first. Each read must find what
//! some version of each part holds. It may fail only because a part that it had listed was sealed meanwhile, and
//! then only with "file not found"; these are counted apart. `tests/readers/live.py` reads and judges.

use crate::trial::Trial;
use qstore::parquet::{DatasetSettings, RankLog};
use qstore::schema::Row;
use qstore_tests::readers;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const ENGINES: [&str; 4] = ["duckdb", "polars", "pyarrow", "datafusion"];
const ROWS_A_FLUSH: i64 = 100;
const WRITERS: usize = 4;

/// How much is done.
#[derive(Debug, Clone, Copy)]
struct Extent {
    ranks: usize,
    reads: usize,
    /// Seconds between planning a read and running it.
    gap: u64,
    part_age: Duration,
    reuse_after: Duration,
    /// After that many seconds no more reads are begun.
    limit: u64,
}

const QUICK: Extent = Extent {
    ranks: 8,
    reads: 12,
    gap: 5,
    part_age: Duration::from_secs(12),
    reuse_after: Duration::from_secs(10),
    limit: 30,
};
const FULL: Extent = Extent {
    ranks: 64,
    reads: 200,
    gap: 30,
    part_age: Duration::from_secs(180),
    reuse_after: Duration::from_secs(60),
    limit: 1_500,
};

pub(crate) fn run(trial: &Arc<Trial>) {
    let extent = if trial.full { FULL } else { QUICK };
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let (metrics, progress) = (dir.path().join("metrics"), dir.path().join("progress.json"));
    let ranks = Ranks::new(extent);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (ranks, metrics, progress) = (&ranks, &metrics, &progress);
            scope.spawn(move || ranks.write(writer, metrics, progress));
        }
        // Also if a reader cannot be started.
        let _end = End(&ranks.is_over);
        ranks.wait_for_rows();
        ranks.record(&progress);
        read(trial, extent, &metrics, &progress);
    });
    trial.note(&format!(
        "{} ranks, {} rows a second and rank",
        extent.ranks,
        ranks.rows() / extent.ranks as i64 / ranks.started.elapsed().as_secs().max(1) as i64
    ));
}

/// Lets every engine read, all at the same time.
fn read(trial: &Trial, extent: Extent, metrics: &Path, progress: &Path) {
    let numbers = [extent.reads as u64, extent.gap, extent.limit].map(|number| number.to_string());
    let arguments = |engine: &'static str| {
        let [reads, gap, limit] = numbers.each_ref().map(|number| Path::new(number.as_str()));
        [Path::new(engine), metrics, progress, reads, gap, limit]
    };
    let mut children: Vec<(&str, Child)> = ENGINES
        .into_iter()
        .map(|engine| (engine, readers::spawn("live.py", &arguments(engine))))
        .collect();
    match readers::spark("4") {
        Some(python) => {
            children.push(("spark", readers::spawn_with(&python, "live.py", &arguments("spark"))));
        }
        None => trial.skip("Spark 4", "`cargo xtask test` could not install it; it takes a Java"),
    }
    trial.plan(children.len() * extent.reads);
    thread::scope(|scope| {
        for (engine, child) in children {
            scope.spawn(move || listen(trial, engine, child));
        }
    });
}

/// Counts what one engine says about its reads.
fn listen(trial: &Trial, engine: &str, mut child: Child) {
    let said = BufReader::new(child.stdout.take().expect("its output is piped"));
    let [reads, not_found, late] = [0; 3].map(AtomicU64::new);
    for line in said.lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (name, outcome) = (text("case"), text("outcome"));
        reads.fetch_add(1, SeqCst);
        not_found.fetch_add(u64::from(outcome == "not found"), SeqCst);
        late.fetch_add(u64::from(outcome == "late"), SeqCst);
        trial.case(&name, || {
            let is_right = ["right", "not found", "late"].contains(&&*outcome);
            assert!(is_right, "{outcome}: {}", text("message"));
        });
    }
    let ended = child.wait_with_output().expect("it can be waited for");
    let wrong = String::from_utf8_lossy(&ended.stderr);
    trial.case(&format!("{engine}/end"), || {
        assert!(ended.status.success(), "it ended with {}: {wrong}", ended.status);
    });
    trial.note(&format!(
        "{engine}: {} reads, {} of them \"file not found\" for a part that was sealed meanwhile, {} failed that came \
         later than what they planned on stays in place",
        reads.into_inner(),
        not_found.into_inner(),
        late.into_inner()
    ));
}

/// Ends the writers when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// The ranks and how many rows of each are flushed.
struct Ranks {
    extent: Extent,
    flushed: Vec<AtomicI64>,
    is_over: AtomicBool,
    started: Instant,
}

impl Ranks {
    fn new(extent: Extent) -> Self {
        let flushed = (0..extent.ranks).map(|_| AtomicI64::new(0)).collect();
        Self { extent, flushed, is_over: AtomicBool::new(false), started: Instant::now() }
    }

    fn rows(&self) -> i64 {
        self.flushed.iter().map(|rows| rows.load(SeqCst)).sum()
    }

    fn wait_for_rows(&self) {
        while self.flushed.iter().any(|rows| rows.load(SeqCst) == 0) {
            thread::yield_now();
        }
    }

    /// Writes down how many rows are flushed, for the readers.
    fn record(&self, path: &Path) {
        let ranks = self.flushed.iter().enumerate();
        let all: serde_json::Map<String, Value> =
            ranks.map(|(rank, rows)| (rank.to_string(), rows.load(SeqCst).into())).collect();
        let next = path.with_extension("next");
        fs::write(&next, Value::Object(all).to_string()).expect("the directory can be written to");
        fs::rename(next, path).expect("the directory can be written to");
    }

    /// Writes every fourth rank until it is over.
    fn write(&self, writer: usize, metrics: &Path, progress: &Path) {
        let Extent { ranks, part_age, reuse_after, .. } = self.extent;
        let settings = DatasetSettings::default()
            .part_age_max(part_age)
            .writer(|w| w.reuse_after(reuse_after));
        let mut logs: Vec<_> = (writer..ranks)
            .step_by(WRITERS)
            .map(|rank| {
                let log = RankLog::<Row>::open(metrics, rank as u32, settings.clone());
                (rank, log.expect("a new rank can be opened"))
            })
            .collect();
        while !self.is_over.load(SeqCst) {
            let turn = Instant::now();
            for (rank, log) in &mut logs {
                let first = self.flushed[*rank].load(SeqCst);
                for n in first..first + ROWS_A_FLUSH {
                    log.append(&row(n), Instant::now());
                }
                log.flush().expect("nothing disturbs the writer");
                self.flushed[*rank].store(first + ROWS_A_FLUSH, SeqCst);
            }
            if writer == 0 && progress.exists() {
                self.record(progress);
            }
            // sleep: the rate is a hundred rows a second; nothing waits for it
            thread::sleep(Duration::from_secs(1).saturating_sub(turn.elapsed()));
        }
        for (_, mut log) in logs {
            log.close().expect("nothing disturbs the writer");
        }
    }
}

/// A row as long as those of a training run, with values that differ.
fn row(n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    for (at, name) in
        ["loss", "grad_norm", "accuracy", "lr", "val_loss", "time_ms"].iter().enumerate()
    {
        row.set(*name, (n as f64 * (at + 1) as f64).sin());
    }
    row
}
