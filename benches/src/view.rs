//! How long until an exact picture is there, beside a query that computes the same of the same file?
//!
//! The file has a step and 19 floats that are mostly noise, which neither a compressor nor a sample can make
//! small. It has a million rows, and ten million with `--long`, and it is still being written while it is
//! looked at. Beside the times stand two counts: of pictures that are dot for dot what drawing every row gives, and of
//! spikes of one row that are on the picture.

use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::parquet::long_runs::peak_megabytes;
use crate::parquet::milliseconds;
use crate::{Result, Run};
use qstore_parquet::{Durability, MetricsFile, MetricsLog, WriterSettings};
use qstore_schema::record;
use qstore_view::{Axis, Braille, Cache, Envelope, Grid, Raster, Request, Series, YAxis, exact};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

pub(crate) const NAME: &str = "view";
pub(crate) const QUESTION: &str = "how long until an exact picture of a metrics file is there, beside a query for the same numbers";

/// The word that makes a child look at a file and print the most memory that it had.
pub(crate) const CHILD: &str = "look";

/// The width of a picture.
const WIDTH: u32 = 1_200;

/// The columns of a page.
const CHARTS: usize = 12;

/// The rows of a chunk, and of a flush while the file is made.
const CHUNK: usize = 65_536;

/// The rows of a flush while the file is looked at.
const FLUSH: i64 = 1_000;

const SPIKES: usize = 10_000;

record! {
    /// A row: a step, and 19 floats.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Noisy by step {
        step: i64,
        m00: f64, m01: f64, m02: f64, m03: f64, m04: f64, m05: f64, m06: f64, m07: f64, m08: f64, m09: f64,
        m10: f64, m11: f64, m12: f64, m13: f64, m14: f64, m15: f64, m16: f64, m17: f64, m18: f64,
    }
}

impl Noisy {
    fn new(step: i64, random: &mut fastrand::Rng) -> Self {
        let trend = 1.0 / (1.0 + step as f64 / 1e5);
        let mut next = || trend + 0.1 * random.f64();
        let (m00, m01, m02, m03, m04) = (next(), next(), next(), next(), next());
        let (m05, m06, m07, m08, m09) = (next(), next(), next(), next(), next());
        let (m10, m11, m12, m13, m14) = (next(), next(), next(), next(), next());
        let (m15, m16, m17, m18) = (next(), next(), next(), next());
        Self {
            step,
            m00,
            m01,
            m02,
            m03,
            m04,
            m05,
            m06,
            m07,
            m08,
            m09,
            m10,
            m11,
            m12,
            m13,
            m14,
            m15,
            m16,
            m17,
            m18,
        }
    }
}

/// The names of the floats.
fn columns(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("m{number:02}")).collect()
}

/// Asks for the least and the largest value of each pixel column, and where they are; prints the seconds of the second
/// answer. Python's start and the import are left out.
const SCRIPT: &str = r#"
import sys, time
library, path, rows, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if library == "duckdb":
    import duckdb
    connection = duckdb.connect()
    def ask():
        return connection.execute(
            f"SELECT step * {width} // {rows} AS pixel, min(m00), max(m00), arg_min(m00, step), "
            f"arg_max(m00, step), count(*) FROM read_parquet('{path}') GROUP BY pixel ORDER BY pixel"
        ).fetchall()
else:
    import pandas
    def ask():
        table = pandas.read_parquet(path, columns=["step", "m00"])
        values = table["m00"].groupby(table["step"] * width // rows)
        return values.agg(["min", "max", "first", "last", "count"])
assert len(ask()) >= width
started = time.perf_counter()
ask()
print(time.perf_counter() - started)
"#;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let (rows, size, rounds) =
        if run.long { (10_000_000, "1e7", 5) } else { (1_000_000, "1e6", 7) };
    let path = run.scratch.join("view.parquet");
    let log = RefCell::new(write(&path, rows)?);
    let mut found = race(NAME, rounds, contenders(run, &path, &log, (rows, size))?)?;
    found.push(equal_pictures(&path)?);
    found.push(spikes(rows)?);
    let peak = this_program::ask(CHILD, [path.as_os_str()])?.parse()?;
    let note = "the most memory a process of its own had: the file opened, envelopes and exact series of all \
                19 floats, the cache kept; both cores read";
    let measure = Measure::ours(format!("peak_rss_mb_{size}x20"), "MB", &[], note);
    found.push(Row::new(NAME, measure, Summary::once(peak)));
    drop(log);
    crate::parquet::remove(&path)?;
    Ok(found)
}

/// A file of that many rows that is still open.
pub(crate) fn write(path: &Path, rows: usize) -> Result<MetricsLog<Noisy>> {
    let settings = WriterSettings::default().compression("zstd:3".parse()?);
    let mut log = MetricsLog::open(path, settings.durability(Durability::Flush))?;
    let mut random = fastrand::Rng::with_seed(11);
    for start in (0..rows).step_by(CHUNK) {
        let now = Instant::now();
        for step in start..rows.min(start + CHUNK) {
            log.append(&Noisy::new(step as i64, &mut random), now);
        }
        log.flush()?;
    }
    Ok(log)
}

fn contenders<'a>(
    run: &Run<'_>,
    path: &'a Path,
    log: &'a RefCell<MetricsLog<Noisy>>,
    (rows, size): (usize, &str),
) -> Result<Vec<Contender<'a>>> {
    let [one, envelope, first, second, live] = measures(size);
    let narrow = Request::new(columns(1)).width(Braille::new(WIDTH as usize / 2 + 10, 30).width());
    let all = Request::new(columns(19)).width(WIDTH);
    let page = Request::new(columns(CHARTS)).width(WIDTH);
    let mut open = MetricsFile::open(path)?;
    let mut kept = Cache::new();
    let mut next = rows as i64;
    let mut random = fastrand::Rng::with_seed(12);
    let mut contenders = vec![
        Contender::new(one, move || {
            let started = Instant::now();
            let series = exact(&MetricsFile::open(path)?, &narrow, &mut Cache::new())?;
            let text = Braille::new(WIDTH as usize / 2 + 10, 30).draw(&series);
            let took = started.elapsed().as_secs_f64();
            if text.lines().count() != 30 || series[0].total().n < rows as u64 {
                return Err("the picture is not whole".into());
            }
            Ok(took)
        }),
        Contender::new(envelope, move || {
            let started = Instant::now();
            let found = Envelope::of(&MetricsFile::open(path)?, &all, &mut Cache::new())?;
            let took = milliseconds(started);
            if found.iter().any(|envelope| envelope.bands.len() < rows / CHUNK) {
                return Err("an envelope is not whole".into());
            }
            Ok(took)
        }),
        Contender::several([first, second, live], move || {
            open.refresh()?;
            kept.clear();
            let started = Instant::now();
            let one = exact(&open, &page, &mut kept)?;
            let first = started.elapsed().as_secs_f64();
            let started = Instant::now();
            let other = exact(&open, &page, &mut kept)?;
            let second = milliseconds(started);
            if one != other {
                return Err("the second look shows something else".into());
            }
            let mut log = log.borrow_mut();
            for step in next..next + FLUSH {
                log.append(&Noisy::new(step, &mut random), Instant::now());
            }
            log.flush()?;
            next += FLUSH;
            let started = Instant::now();
            open.refresh()?;
            let live = exact(&open, &page, &mut kept)?;
            let took = milliseconds(started);
            if live[0].total().n != open.rows() {
                return Err("the newest rows are not in the picture".into());
            }
            Ok([first, second, took])
        }),
    ];
    contenders.extend(peers(run, path, (rows, size)));
    Ok(contenders)
}

/// What is measured of ours.
fn measures(size: &str) -> [Measure; 5] {
    let (duckdb, pandas) = (format!("duckdb_s_{size}"), format!("pandas_s_{size}"));
    let one = Measure::ours(
        format!("plot_one_s_{size}"),
        "s",
        &[&duckdb, &pandas],
        "the file opened, and one column over the step, 1 200 pixels wide, drawn as text; both cores read, the \
         cache is empty, the file is in the system's",
    );
    let envelope = Measure::ours(
        format!("envelope_ms_{size}x20"),
        "ms",
        &[],
        "the file opened, and the envelopes of all 19 floats over the step; no values are read but of rows that are \
         not sealed",
    );
    let first = Measure::ours(
        format!("exact_12_charts_s_{size}"),
        "s",
        &[],
        "the file open, twelve exact series with an empty cache; both cores read",
    );
    let second = Measure::ours(
        format!("second_look_12_ms_{size}"),
        "ms",
        &[],
        "the same twelve again, the cache kept; nothing is read",
    );
    let live = Measure::ours(
        format!("live_update_12_ms_{size}"),
        "ms",
        &[],
        "1 000 rows were flushed (outside the clock): the newest version opened, and the twelve series again",
    );
    [one, envelope, first, second, live]
}

/// Programs that compute the same numbers.
fn peers<'a>(run: &Run<'_>, path: &Path, (rows, size): (usize, &str)) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    for library in ["duckdb", "pandas"] {
        let needed: &[&str] =
            if library == "pandas" { &["pandas", "pyarrow"] } else { &["duckdb"] };
        let Some(python) = run.peers.python_with(needed) else {
            run.skip(library, "its environment is missing, see --peers");
            continue;
        };
        let note = "the least and the largest value of each of 1 200 pixel columns, of the same file; its default \
                    threads; the second answer of a process, whose start is left out";
        let (python, path): (PathBuf, _) = (python.to_owned(), path.to_owned());
        contenders.push(Contender::new(
            Measure::peer(format!("{library}_s_{size}"), "s", note),
            move || {
                let mut command = Command::new(&python);
                let command = command.args(["-c", SCRIPT, library]).arg(&path);
                let command = command.args([rows.to_string(), WIDTH.to_string()]);
                Ok(this_program::answer_of(command, library)?.parse()?)
            },
        ));
    }
    contenders
}

/// How many exact series of the file are drawn dot for dot as all of its rows are.
fn equal_pictures(path: &Path) -> Result<Row> {
    let file = MetricsFile::open(path)?;
    let mut equal = 0;
    let widths = [200, 317, 1_200, 4_000];
    let names = columns(widths.len());
    for (name, width) in names.iter().zip(widths) {
        let series = exact(&file, &Request::new([name]).width(width), &mut Cache::new())?.remove(0);
        let y = YAxis::covering(series.extremes(), Axis::Linear);
        let (mut reduced, mut all) =
            (Raster::new(width as usize, 400), Raster::new(width as usize, 400));
        reduced.draw(&series, &y);
        let mut failed = None;
        let starts = (0..file.rows()).step_by(CHUNK);
        let rows = starts.flat_map(|start| {
            let rows = start..start + CHUNK as u64;
            let both = file
                .numbers("step", rows.clone())
                .and_then(|xs| Ok((xs, file.numbers(name, rows)?)));
            let (xs, values) = match both {
                Ok((xs, values)) => (xs.values, values.values),
                Err(error) => {
                    failed = Some(error);
                    (Vec::new(), Vec::new())
                }
            };
            xs.into_iter().zip(values.into_iter().map(Some))
        });
        all.draw_rows(rows, &series.grid, &y);
        failed.map_or(Ok(()), Err)?;
        equal += usize::from(reduced == all);
    }
    let note = "of 4 pictures of the file, 200 to 4 000 by 400 dots, those that are dot for dot what drawing every row \
                gives";
    Ok(Row::new(
        NAME,
        Measure::ours("pictures_equal_of_4", "pictures", &[], note),
        Summary::once(equal as f64),
    ))
}

/// How many of many spikes are on the picture.
fn spikes(rows: usize) -> Result<Row> {
    let mut random = fastrand::Rng::with_seed(13);
    let mut values: Vec<f64> = (0..CHUNK).map(|_| random.f64()).collect();
    let y = YAxis::covering([0.0, 1_000.0], Axis::Linear);
    let mut shown = 0;
    for _ in 0..SPIKES {
        let (row, width) = (random.usize(..rows / CHUNK * CHUNK), random.u32(200..=4_000));
        let grid = Grid::covering(0.0, rows as f64 - 1.0, width, Axis::Linear)?;
        let start = row / CHUNK * CHUNK;
        let xs: Vec<f64> = (start..start + CHUNK).map(|row| row as f64).collect();
        let before = std::mem::replace(&mut values[row - start], 1_000.0);
        let series = Series::of_rows(&xs, &values, grid);
        values[row - start] = before;
        let mut raster = Raster::new(width as usize, 100);
        raster.draw(&series, &y);
        let column = grid.column(row as f64).and_then(|column| usize::try_from(column).ok());
        shown += usize::from(column.is_some_and(|column| raster.dot(column, 0)));
    }
    let note = "of 10 000 spikes of one row, each in another place of that many rows and in a picture of another width \
                (200 to 4 000), those whose dot is set; their chunk is drawn, since other chunks only add dots";
    let measure = Measure::ours("spikes_shown_of_10000", "spikes", &[], note);
    Ok(Row::new(NAME, measure, Summary::once(shown as f64)))
}

/// Looks at all columns of a file.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [path] = arguments else { return Err("a path".into()) };
    let (file, mut cache) = (MetricsFile::open(OsStr::new(path))?, Cache::new());
    let request = Request::new(columns(19)).width(WIDTH);
    let envelopes = Envelope::of(&file, &request, &mut cache)?;
    let series = exact(&file, &request, &mut cache)?;
    if envelopes.len() != series.len() {
        return Err("a column is missing".into());
    }
    Ok(peak_megabytes()?.to_string())
}
