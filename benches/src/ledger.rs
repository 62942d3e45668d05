//! What does a job that must not be lost cost, beside the syncs that any durable record costs?
//!
//! A job is intended and submitted, which are two durable events, while the request itself takes no time. Beside it one
//! small file that is replaced durably, two appends to a plain file, each with a sync, and two transactions of SQLite. Then a ledger with many events: its length,
//! and the time to open it and find what is not finished.

use crate::harness::durable;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::{Result, Run};
use qstore_ledger::{Batch, Budget, Job, JobSpec, Ledger, Seen, read_jobs};
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

pub(crate) const NAME: &str = "ledger";
pub(crate) const QUESTION: &str =
    "what a job that must not be lost costs, beside the syncs that any durable record costs";

const ROUNDS: usize = 200;
/// Jobs of a ledger that is read, each with four events: nearly 10 000 of them.
const JOBS: i64 = 2_500;
const READS: usize = 9;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let dir = run.scratch.join("ledger");
    fs::create_dir(&dir)?;
    let mut rows = submitting(&dir)?;
    rows.extend(reading(&dir, JOBS)?);
    fs::remove_dir_all(&dir)?;
    Ok(rows)
}

fn submit(ledger: &Ledger, n: i64) -> Result<Job> {
    let batch = Batch::new("device", 1024).circuits(["OPENQASM 3.0; …"]).salt(n.to_le_bytes());
    let spec = JobSpec::new("provider", batch).at(n / 100, n).estimate_usd(0.01);
    Ok(ledger.intend(spec)?.submitted(&format!("job-{n:08}"))?)
}

fn submitting(dir: &Path) -> Result<Vec<Row>> {
    let ledger = Ledger::open(dir.join("jobs.parquet"), Budget::usd(1e6))?;
    let next = Cell::new(0);
    let all = RefCell::new(Vec::new());
    let ours = Measure::ours(
        "ledger_submit_ms",
        "ms",
        &["durable_replace_ms", "sqlite_two_inserts_ms", "append_and_sync_twice_ms"],
        "intent and identifier, each durable; the file grows from turn to turn",
    );
    let mut contenders = vec![
        Contender::new(ours, || {
            let started = Instant::now();
            submit(&ledger, next.replace(next.get() + 1))?;
            let took = milliseconds(started);
            all.borrow_mut().push(took);
            Ok(took)
        }),
        replaced(dir),
        plain(dir)?,
    ];
    contenders.extend(sqlite(dir)?);
    let mut rows = race(NAME, ROUNDS, contenders)?;
    ledger.close()?;
    let mut all = all.into_inner();
    all.sort_by(f64::total_cmp);
    let p99 = all[all.len() * 99 / 100];
    let measure = Measure::ours("ledger_submit_ms_p99", "ms", &[], "the same, of all turns");
    rows.extend(Summary::of(vec![p99]).map(|summary| Row::new(NAME, measure, summary)));
    Ok(rows)
}

/// What any small file that is always whole takes once.
fn replaced(dir: &Path) -> Contender<'static> {
    let path = dir.join("replaced.txt");
    let note = "200 bytes as a new file: synced, renamed, directory synced";
    let measure = Measure::limit("durable_replace_ms", "ms", note);
    Contender::new(measure, move || {
        let started = Instant::now();
        durable::replace(&path, |path| Ok(fs::write(path, [b'x'; 200])?))?;
        Ok(milliseconds(started))
    })
}

/// The least: a line in a file that nobody could read by column.
fn plain(dir: &Path) -> Result<Contender<'static>> {
    let mut file = File::create(dir.join("jobs.txt"))?;
    let note = "two appends of 200 bytes to one file, each with fdatasync";
    let measure = Measure::limit("append_and_sync_twice_ms", "ms", note);
    Ok(Contender::new(measure, move || {
        let started = Instant::now();
        for _ in 0..2 {
            file.write_all(&[b'x'; 200])?;
            file.sync_data()?;
        }
        Ok(milliseconds(started))
    }))
}

#[cfg(feature = "peers")]
fn sqlite(dir: &Path) -> Result<Option<Contender<'static>>> {
    let database = rusqlite::Connection::open(dir.join("jobs.sqlite"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE jobs (seq INTEGER PRIMARY KEY, job TEXT, event TEXT)")?;
    let note = "two transactions in WAL mode with synchronous=FULL";
    let measure = Measure::peer("sqlite_two_inserts_ms", "ms", note);
    Ok(Some(Contender::new(measure, move || {
        let started = Instant::now();
        for event in ["intended", "submitted"] {
            let insert = "INSERT INTO jobs (job, event) VALUES (?1, ?2)";
            database.execute(insert, (&"018bcfe5-6800-7000-8000-000000000000", event))?;
        }
        Ok(milliseconds(started))
    })))
}

#[cfg(not(feature = "peers"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
fn sqlite(_: &Path) -> Result<Option<Contender<'static>>> {
    Ok(None)
}

fn reading(dir: &Path, jobs: i64) -> Result<Vec<Row>> {
    let path = dir.join("many.parquet");
    let ledger = Ledger::open(&path, Budget::unlimited())?;
    for n in 0..jobs {
        let job = submit(&ledger, n)?;
        ledger.observe(&job.key, &Seen::queued(17))?;
        // Every hundredth one is still under way.
        if n % 100 != 0 {
            ledger.observe(&job.key, &Seen::done().usd(0.01).exec_ms(840.0))?;
        }
    }
    let events = ledger.seq();
    ledger.close()?;
    drop(ledger);
    let kb = fs::metadata(&path)?.len() as f64 / 1e3;
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let started = Instant::now();
        let open = read_jobs(&path)?.iter().filter(|job| job.is_open()).count();
        times.push(milliseconds(started));
        assert_eq!(open as i64, (jobs + 99) / 100, "what is under way is found");
    }
    let note = format!("{events} events of {jobs} jobs");
    let find = Measure::ours("ledger_unfinished_ms", "ms", &[], note.clone());
    let kept = Measure::ours("ledger_kb", "kB", &[], note);
    let figures = [(find, times), (kept, vec![kb])];
    Ok(figures
        .into_iter()
        .filter_map(|(measure, samples)| {
            Summary::of(samples).map(|summary| Row::new(NAME, measure, summary))
        })
        .collect())
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
