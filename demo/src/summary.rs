//! The closing table: what was recorded, and what it cost the training thread.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::training::Evaluation;

/// What the recorder has to tell at the end.
#[derive(Debug)]
pub struct Summary {
    /// Rows the ring took.
    pub rows_accepted: u64,
    /// Rows that are in the file now.
    pub rows_written: u64,
    /// Rows that found the ring full.
    pub rows_dropped: u64,
    /// All rows of the file, those of earlier sessions included.
    pub rows_in_file: u64,
    /// Epochs whose checkpoints were kept.
    pub checkpoints: Vec<u64>,
    /// Time the training thread spent in calls of the storage.
    pub in_storage_calls: Duration,
}

/// The whole table.
pub struct Table<'a> {
    /// What was recorded.
    pub summary: &'a Summary,
    /// Optimization steps of this session.
    pub steps: u64,
    /// The last evaluation on the flowers that were held back.
    pub test: Evaluation,
    /// Wall time of the training loop.
    pub training: Duration,
    /// The run's directory.
    pub out: &'a Path,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, steps, test, training, out } = self;
        let kept: Vec<_> = summary.checkpoints.iter().map(u64::to_string).collect();
        let share = summary.in_storage_calls.as_secs_f64() / training.as_secs_f64();
        let (accepted, written) = (summary.rows_accepted, summary.rows_written);
        writeln!(f, "steps              {steps}")?;
        writeln!(f, "test loss          {:.4}", test.loss)?;
        writeln!(f, "test accuracy      {:.1} %", test.accuracy * 100.0)?;
        writeln!(
            f,
            "rows               {accepted} accepted, {written} written, {} dropped",
            summary.rows_dropped
        )?;
        writeln!(f, "rows in the file   {}", summary.rows_in_file)?;
        writeln!(f, "checkpoints kept   epochs {}", kept.join(", "))?;
        writeln!(f, "training           {:.2} s", training.as_secs_f64())?;
        writeln!(
            f,
            "in storage calls   {:.3} ms, {:.4} % of it",
            summary.in_storage_calls.as_secs_f64() * 1e3,
            share * 100.0
        )?;
        let metrics = out.join("metrics.parquet");
        writeln!(f, "\nOpen the results from Python:")?;
        writeln!(f, "  pandas.read_parquet(\"{}\")", metrics.display())?;
        if let Some(last) = summary.checkpoints.last() {
            let name = format!("epoch_{last:04}.zarr.zip");
            let path = out.join("checkpoints").join(name);
            writeln!(
                f,
                "  zarr.open_group(zarr.storage.ZipStore(\"{}\"), mode=\"r\").tree()",
                path.display()
            )?;
        }
        writeln!(f, "\nLook at it with the command (cargo install --path crates/qstore-cli):")?;
        if let Some(runs) = out.parent().filter(|runs| !runs.as_os_str().is_empty()) {
            writeln!(f, "  qstore ls {}", runs.display())?;
        }
        writeln!(f, "  qstore plot {}", out.display())?;
        Ok(())
    }
}
