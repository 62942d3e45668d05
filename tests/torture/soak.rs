//! T13: a long run. Memory and open files stay level, nothing is lost, and the file stays valid.
//!
//! Rows are logged at a steady rate while checkpoints are saved and removed. Memory is the resident size that
//! the system reports; its slope is that of a straight line through the second half, when all buffers have
//! reached their final size. It is reported, and compared with a limit that only a real leak exceeds.
//!
//! The slope with gzip is reported but not judged: its library requests aligned memory from the C library, and
//! glibc before 2.38 rarely reuses such memory (its bug 14581), so the heap grows although nothing is kept.

use crate::trial::Trial;
use qstore::parquet::{Compression, MetricsFile};
use qstore::{AsyncMetricsLogger, CheckpointManager, CheckpointSettings, LoggerSettings, Snapshot};
use qstore::{Layout, MetricsRow, StateDict, Tensor, WriterSettings};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two samples.
const TURN: Duration = Duration::from_millis(250);
const ROWS_A_TURN: i64 = 500;
/// In bytes a second; a leak would exceed it. The groups that a footer lists are kept, so the slope is not zero.
const SLOPE_MAX: f64 = 100_000.0;
/// A flush and a save open some files for a moment.
const FILES_MAX: usize = 40;

/// One sample: seconds, bytes of memory, number of open files.
type Sample = (f64, f64, usize);

pub(crate) fn run(trial: &Arc<Trial>) {
    let (long, short) = if trial.full { (600, 60) } else { (30, 10) };
    let turns = |seconds: u64| (1_000 * seconds) / TURN.as_millis() as u64;
    trial.plan((turns(long) + turns(short)) as usize + 3);
    let samples = soak(trial, "zstd", Compression::ZSTD, turns(long));
    let others = soak(trial, "gzip", Compression::GZIP, turns(short));
    if open_files() == 0 {
        trial.skip("memory and open files", "this system has no /proc");
        return;
    }
    let level = Level::of(&samples);
    trial.note(&format!("zstd, {long} s: {level}"));
    trial.note(&format!("gzip, {short} s, not judged: {}", Level::of(&others)));
    trial.case("soak/level", || {
        assert!(level.slope < SLOPE_MAX, "memory grows: {level}");
        assert!(level.most - level.fewest < FILES_MAX, "files are left open: {level}");
    });
}

/// Logs and saves for that number of turns.
fn soak(trial: &Trial, name: &str, compression: Compression, turns: u64) -> Vec<Sample> {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let file = dir.path().join("metrics.parquet");
    // Small groups, so that many are sealed in a short run.
    let writer = WriterSettings::default().compression(compression).row_group_rows_max(5_000);
    let logger = LoggerSettings::default().buffer_size(2_000);
    let mut logger =
        AsyncMetricsLogger::open_with(&file, logger, writer).expect("a file can be created");
    let settings = CheckpointSettings::default().keep_last(3).layout(Layout::Directory);
    let mut manager = CheckpointManager::open(dir.path().join("checkpoints"), settings)
        .expect("a directory can be created");
    let mut samples = Vec::new();
    let (started, mut step) = (Instant::now(), 0);
    for turn in 0..turns {
        trial.case(&format!("{name}/{turn}"), || {
            for _ in 0..ROWS_A_TURN {
                let row = MetricsRow::step(turn as i64, step, 1.0 / (step + 1) as f64);
                logger.log_step(row).expect("there is room in the ring");
                step += 1;
            }
            if turn % 4 == 0 {
                let values = Tensor::from_vec(vec![turn as f32; 50_000], [50_000]);
                let values = values.expect("the shape fits");
                let model = StateDict::from_iter([("w", values)]);
                manager
                    .save(Snapshot::new(turn).model(model))
                    .map(drop)
                    .expect("earlier saves are done");
            }
        });
        samples.push((started.elapsed().as_secs_f64(), resident(), open_files()));
        // sleep: the pace of the run; nothing depends on its duration
        thread::sleep(TURN);
    }
    trial.case(&format!("{name}/end"), || {
        let summary = logger.stop(PATIENCE).expect("it stops");
        manager.close(PATIENCE).expect("it closes");
        assert_eq!((summary.writer.rows_written, summary.buffer.dropped), (step as u64, 0));
        let file = MetricsFile::open(&file).expect("it can be read");
        assert!(file.validate().expect("it can be read").is_whole());
        assert_eq!(manager.list_checkpoints().expect("it can be listed").len(), 3);
    });
    samples
}

/// How memory and open files changed in the second half of a run.
struct Level {
    from: f64,
    to: f64,
    /// In bytes a second.
    slope: f64,
    fewest: usize,
    most: usize,
}

impl Level {
    fn of(samples: &[Sample]) -> Self {
        let half = &samples[samples.len() / 2..];
        let memory = |sample: Option<&Sample>| sample.map_or(0.0, |sample| sample.1);
        let files = || half.iter().map(|sample| sample.2);
        Self {
            from: memory(half.first()),
            to: memory(half.last()),
            slope: slope(half),
            fewest: files().min().unwrap_or(0),
            most: files().max().unwrap_or(0),
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, slope, fewest, most } = self;
        write!(
            f,
            "in the second half memory went from {:.1} to {:.1} MB, {slope:+.0} bytes a second, and \
             {fewest} to {most} files were open",
            from / 1e6,
            to / 1e6
        )
    }
}

/// The resident memory of this process in bytes, as Linux reports it.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The slope of the straight line that fits the samples best (least squares).
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let above: f64 = samples.iter().map(|sample| (sample.0 - x) * (sample.1 - y)).sum();
    let below: f64 = samples.iter().map(|sample| (sample.0 - x).powi(2)).sum();
    above / below
}
