//! T13: a long run. Memory and open files stay level, nothing is lost, and the file stays small.
//!
//! Rows are logged at a steady rate while checkpoints are saved and removed. Memory is what the system
//! says the process has resident; its slope is that of a straight line through the second half, when all
//! buffers have their size. It is reported, and held against a limit that only a real leak exceeds.

use crate::trial::Trial;
use qstore::parquet::MetricsFile;
use qstore::{AsyncMetricsLogger, CheckpointManager, CheckpointSettings, LoggerSettings};
use qstore::{Layout, MetricsRow, StateDict, Tensor, WriterSettings};
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const TURN: Duration = Duration::from_millis(250);
const ROWS_A_TURN: i64 = 500;
/// What a leak would exceed; rows of a group that is not sealed yet are kept, so it is not nothing.
const SLOPE_MAX: f64 = 200_000.0;

pub(crate) fn run(trial: &Arc<Trial>) {
    let seconds = if trial.full { 600 } else { 30 };
    let turns = Duration::from_secs(seconds).as_millis() / TURN.as_millis();
    trial.plan(turns as usize);
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let file = dir.path().join("metrics.parquet");
    // Small groups, so that many are sealed in a short run.
    let writer = WriterSettings::default().row_group_rows_max(5_000);
    let logger = LoggerSettings::default().buffer_size(2_000);
    let mut logger =
        AsyncMetricsLogger::open_with(&file, &logger, writer).expect("a file can be begun");
    let settings = CheckpointSettings::default().keep_last(3).layout(Layout::Directory);
    let mut manager = CheckpointManager::open(dir.path().join("checkpoints"), settings)
        .expect("a directory can be made");
    let mut looks = Vec::new();
    let started = Instant::now();
    let mut step = 0;
    for turn in 0..turns as u64 {
        trial.case(&format!("turn-{turn}"), || {
            for _ in 0..ROWS_A_TURN {
                let row = MetricsRow::step(turn as i64, step, 1.0 / (step + 1) as f64);
                logger.log_step(row).expect("there is room in the ring");
                step += 1;
            }
            if turn % 4 == 0 {
                let values = vec![turn as f32; 50_000];
                let values = Tensor::from_vec(values, [50_000]).expect("the shape fits");
                let model = StateDict::from_iter([("w", values)]);
                manager.save(turn, model, None, None).map(drop).expect("the last save is done");
            }
        });
        looks.push((started.elapsed().as_secs_f64(), resident(), open_files()));
        // sleep: the pace of the run; nothing depends on how long it is
        thread::sleep(TURN);
    }
    let summary = logger.stop(PATIENCE).expect("it stops");
    manager.close(PATIENCE).expect("it closes");
    trial.case("end", || {
        assert_eq!((summary.writer.rows_written, summary.buffer.dropped), (step as u64, 0));
        let file = MetricsFile::open(&file).expect("it can be read");
        assert!(file.validate().expect("it can be read").is_whole());
        assert_eq!(manager.list_checkpoints().expect("it can be listed").len(), 3);
    });
    if open_files() == 0 {
        trial.skip("memory and open files", "this system has no /proc to look at");
        return;
    }
    let half = &looks[looks.len() / 2..];
    let slope = slope(&half.iter().map(|(time, memory, _)| (*time, *memory)).collect::<Vec<_>>());
    let files = half.iter().map(|(.., files)| *files);
    let (fewest, most) = (files.clone().min().unwrap_or(0), files.max().unwrap_or(0));
    let first = half.first().map_or(0.0, |(_, memory, _)| *memory);
    let last = half.last().map_or(0.0, |(_, memory, _)| *memory);
    trial.note(&format!(
        "{step} rows and {} saves in {seconds} s; in the second half memory went from {:.1} to \
         {:.1} MB, {slope:+.0} bytes a second, and {fewest} to {most} files were open",
        turns.div_ceil(4),
        first / 1e6,
        last / 1e6,
    ));
    trial.case("level", || {
        assert!(slope < SLOPE_MAX, "memory grows by {slope:.0} bytes a second");
        // A flush and a save open some for a moment.
        assert!(most - fewest < 40, "{fewest} to {most} files are open");
    });
}

/// Bytes of memory this process has, as Linux tells.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The slope of the straight line that lies closest to the points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    above / below
}
