//! Trains a small network on two half circles. Kill it, start it again: it goes on.

#[path = "moons/training.rs"]
mod training;

use qstore_run::{Run, RunSettings};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "target/moons".into());
    let (mut run, resumed) = Run::resume_or_start(&dir, RunSettings::default().param("lr", 0.05))?;
    if let Some(resumed) = &resumed {
        println!("resuming after epoch {}", resumed.checkpoint.number());
    }
    training::train(&mut run, resumed.as_ref(), 200, |epoch| println!("epoch {epoch} is durable"))?;
    let summary = run.finish()?;
    println!("{} rows in {dir}/metrics.parquet", summary.metrics.writer.rows_written);
    Ok(())
}
