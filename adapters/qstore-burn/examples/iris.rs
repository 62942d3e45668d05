//! A small network learns to tell Iris species apart. Kill it at any moment and start it again: it goes on, and ends with
//! the same weights.
//!
//! `cargo run --manifest-path adapters/Cargo.toml -p qstore-burn --example iris [DIRECTORY]`

#[path = "iris/training.rs"]
mod training;

use qstore_burn::{BurnRun, OnError};
use qstore_run::RunSettings;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "target/iris-burn".to_owned());
    let settings = RunSettings::default().param("hidden", 16).tag("burn");
    let run = BurnRun::resume_or_start(&dir, settings, OnError::Stop)?;
    match run.resumed_epoch() {
        Some(epoch) => println!("going on after epoch {epoch}"),
        None => println!("starting"),
    }
    let result = training::train(&run, 40, training::Hang::Never);
    let blocked = run.blocked();
    println!(
        "{} saves, the training waited {:?} at most for each, copies included",
        blocked.saves, blocked.longest
    );
    match result.error {
        Some(error) => drop(run.fail(error)?),
        None => drop(run.finish()?),
    }
    println!("look at it: qstore show {dir}, qstore plot {dir}");
    Ok(())
}
