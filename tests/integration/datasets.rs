//! Datasets of ranks as engines see them: by the lines of docs/datasets.md, by Spark of two versions, and by readers
//! that know the oldest encodings only.

use qstore::parquet::{DatasetSettings, RankLog, WriterSettings, compact_rank};
use qstore::schema::{DataType, Timestamp};
use qstore::{AsyncMetricsLogger, LoggerSettings, MetricsRow, Row};
use qstore_tests::readers;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The versions of Spark that datasets are held up to.
const SPARK: [&str; 2] = ["3.5", "4"];
const OTHERS: &str = "DuckDB,polars,DataFusion,pyarrow,pandas";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/datasets.md")
}

/// A dataset and what engines must find in it.
struct Dataset {
    /// Which table of the page has the lines.
    table: &'static str,
    dir: PathBuf,
    expected: Value,
}

/// Reads the datasets with these engines, one after the other.
fn check(python: Option<&Path>, engines: &str, datasets: &[Dataset]) {
    let mut arguments = vec![docs(), engines.into()];
    for Dataset { table, dir, expected } in datasets {
        let expected = readers::expect(dir.parent().unwrap(), expected);
        arguments.extend([table.into(), dir.clone(), expected]);
    }
    let arguments: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let child = match python {
        Some(python) => readers::spawn_with(python, "engines.py", &arguments),
        None => readers::spawn("engines.py", &arguments),
    };
    readers::finish("engines.py", child);
}

fn append(log: &mut RankLog<Row>, row: &Row) {
    assert_eq!(log.append(row, Instant::now()), qstore::parquet::Appended::Whole);
}

/// A metric that is an integer in one rank, a float in another, a text and a flag in others; one that is spelled in
/// two ways; one that comes late and in one rank only; parts that are sealed, compacted and open.
fn mixed(tmp: &Path) -> (Dataset, Vec<RankLog<Row>>) {
    let dir = tmp.join("metrics");
    let mut open = Vec::new();
    for rank in 0..4_u32 {
        let settings = DatasetSettings::default()
            .part_bytes_max(1)
            .column("tokens", DataType::Int64)
            .writer(|writer| writer.reuse_after(Duration::ZERO));
        let mut log = RankLog::<Row>::open(&dir, rank, settings).unwrap();
        for n in 0..8_i64 {
            let mut row = Row::from([("n", n)]);
            row.set("tokens", i64::MAX / 64 + n);
            match rank {
                0 => row.set("mixed", n),
                1 => row.set("mixed", n as f64 + 0.5),
                2 => row.set("mixed", "warmup"),
                _ => row.set("mixed", n % 2 == 0),
            };
            if rank == 1 && n >= 4 {
                row.set("late", 1.0);
            }
            append(&mut log, &row);
            log.flush().unwrap();
        }
        log.close().unwrap();
        drop(log);
        if rank == 3 {
            assert_eq!(compact_rank(&dir, rank, 1 << 30).unwrap().parts_replaced, 8);
        }
        // An open part.
        let mut log = RankLog::<Row>::open(&dir, rank, DatasetSettings::default()).unwrap();
        append(&mut log, &Row::from([("n", 100)]));
        log.flush().unwrap();
        open.push(log);
    }
    let tokens: i64 = (0..8).map(|n| 4 * (i64::MAX / 64 + n)).sum();
    let sealed = json!({
        "ROWS": 32, "n": 4 * 28, "tokens": tokens, "rank": 8 * (1 + 2 + 3), "late": 4,
        // Rank 1 has 0.5, 1.5, …, of which the script adds the integer parts.
        "mixed": 28 + 28, "mixed__text": 8, "mixed__flag": 8,
    });
    let mut all = sealed.clone();
    all["ROWS"] = 36.into();
    all["n"] = (4 * 28 + 400).into();
    all["rank"] = (9 * 6).into();
    let expected = json!({ "sealed": sealed, "open": all });
    (Dataset { table: "line", dir, expected }, open)
}

#[test]
fn every_engine_shows_every_column_of_every_part_by_the_line_in_the_docs() {
    let tmp = tempfile::tempdir().unwrap();
    let (dataset, _open) = mixed(tmp.path());
    check(None, OTHERS, &[dataset]);
}

/// Histograms and times, in some rows and in one rank only; empty lists, times before 1970.
fn nested(tmp: &Path) -> Dataset {
    let dir = tmp.join("metrics");
    for rank in 0..2_u32 {
        let settings = DatasetSettings::default().part_bytes_max(1);
        let mut log = RankLog::<Row>::open(&dir, rank, settings).unwrap();
        for n in 0..6_i64 {
            let mut row = Row::from([("n", n)]);
            if n % 3 != 2 {
                row.set("hist", (0..n).map(|bin| (bin * n) as f64).collect::<Vec<_>>());
            }
            row.set("when", Timestamp::micros(1_700_000_000_000_000 + n));
            if rank == 1 {
                row.set("wall", Timestamp::micros(-1_000_000 * n).local());
            }
            append(&mut log, &row);
            log.flush().unwrap();
        }
        log.close().unwrap();
    }
    // The sums of 0 to n - 1, times n, in rows 0, 1, 3 and 4.
    let all = json!({
        "ROWS": 12, "n": 30, "rank": 6, "hist__list": 2 * (3 * 3 + 4 * 6), "when__time": 12, "wall__local_time": 6,
    });
    Dataset { table: "line", dir, expected: json!({ "sealed": all, "open": all }) }
}

#[test]
fn every_engine_shows_the_lists_and_times_of_a_dataset() {
    let tmp = tempfile::tempdir().unwrap();
    check(None, OTHERS, &[nested(tmp.path())]);
}

/// With announced columns the short lines do, from the first row on.
fn announced(tmp: &Path) -> Dataset {
    let dir = tmp.join("metrics");
    for rank in 0..2_u32 {
        let settings = DatasetSettings::default().part_bytes_max(1).columns(["n", "late"]);
        let mut log = RankLog::<Row>::open(&dir, rank, settings).unwrap();
        for n in 0..6_i64 {
            let mut row = Row::from([("n", n)]);
            if rank == 1 && n >= 3 {
                row.set("late", 2);
            }
            append(&mut log, &row);
            log.flush().unwrap();
        }
        log.close().unwrap();
    }
    let all = json!({ "ROWS": 12, "n": 30, "late": 6, "rank": 6 });
    Dataset { table: "short line", dir, expected: json!({ "sealed": all, "open": all }) }
}

#[test]
fn every_engine_shows_announced_columns_by_the_short_line_in_the_docs() {
    let tmp = tempfile::tempdir().unwrap();
    check(None, OTHERS, &[announced(tmp.path())]);
}

/// The declared columns of the logger, by default settings: required ones, integers, texts, and what was not
/// measured.
fn default(tmp: &Path) -> Dataset {
    let dir = tmp.join("metrics");
    for rank in 0..2 {
        let log = RankLog::open(&dir, rank, DatasetSettings::default()).unwrap();
        let settings = LoggerSettings::default().buffer_size(100_000);
        let mut logger = AsyncMetricsLogger::with_sink(log, settings).unwrap();
        for step in 0..5_000 {
            let row = MetricsRow::step(0, step, 2.0).with("backend", "simulator");
            logger.log_step(row.with("accuracy", 1)).unwrap();
        }
        logger.stop(Duration::from_secs(60)).unwrap();
    }
    let mut all = json!({
        "ROWS": 10_000, "rank": 5_000, "epoch": 0, "step": 2 * (4_999 * 5_000 / 2), "train_loss": 20_000,
        "accuracy": 10_000, "backend": 10_000,
    });
    let unset = [
        "val_loss",
        "grad_norm",
        "grad_max",
        "grad_min",
        "circuit_execution_time_ms",
        "circuits_executed",
        "qubits_used",
        "shots_per_circuit",
        "queue_time_ms",
        "cost_usd",
        "credits_used",
        "batch_time_ms",
        "throughput_samples_per_sec",
    ];
    for name in unset {
        all[name] = 0.into();
    }
    // The time of the call.
    all["timestamp"] = Value::Null;
    Dataset { table: "short line", dir, expected: json!({ "sealed": all, "open": all }) }
}

#[test]
fn fastparquet_reads_a_default_dataset_of_the_logger() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = default(tmp.path());
    for rank in 0..2 {
        let part = dataset.dir.join(format!("rank={rank}/part-00000.parquet"));
        readers::run("fast.py", &[&part]);
    }
    check(None, "polars", &[dataset]);
    assert!(
        !WriterSettings::default().plain_encoding,
        "a default file is smaller, and needs a newer reader"
    );
}

/// Spark before 4.3 cannot read a default file, but a default dataset. One session of each version reads all.
#[test]
fn spark_of_two_versions_reads_every_dataset_by_the_lines_in_the_docs() {
    let dirs = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let (mixed, _open) = mixed(dirs[0].path());
    let datasets =
        [mixed, announced(dirs[1].path()), default(dirs[2].path()), nested(dirs[3].path())];
    for version in SPARK {
        if let Some(python) = readers::spark(version) {
            check(Some(&python), "Spark", &datasets);
        }
    }
}
