//! A variational quantum classifier learns to tell Iris species apart, and Q-Store records it.
//!
//! This is the driver: it reads the options, runs the epochs, and hands every figure to the
//! recorder. What is trained and how lies in the other modules; all of the storage is `recorder.rs`.
//!
//! Run it with `cargo xtask demo`, or `cargo run --release -p qstore-demo`.

#![forbid(unsafe_code)]
// In a program, `pub` means: for its other files.
#![allow(unreachable_pub)]

mod adam;
mod circuit;
mod classifier;
mod data;
mod device;
mod gate;
mod journal;
mod measurement;
mod options;
mod provider;
mod random;
mod recorder;
mod remote;
mod settings;
mod simulator;
mod snapshot;
mod summary;
mod training;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use options::{Options, Place};
use qstore::ledger::Budget;
use qstore::{RunReader, StopSignal};
use recorder::{Recorder, Restored};
use remote::Remote;
use settings::Settings;
use summary::Table;
use training::Trainer;

/// Epochs between two checkpoints; the last epoch gets one, too.
const CHECKPOINT_EVERY: u64 = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::parse()? else { return Ok(()) };
    let settings = settings(&options)?;
    let journal = options.journal.as_deref();
    let budget = options.provider.as_ref().map(|_| Budget::unlimited());
    let (mut recorder, restored) =
        Recorder::open(&options.place, options.resume, &settings, journal, budget)?;
    let mut remote = Remote::open(&options, &recorder, settings)?;
    let (first_epoch, mut trainer) = begin(settings, restored)?;

    let data = data::split(settings.seed, settings.test_per_species);
    let steps_per_epoch = data.train.len().div_ceil(settings.batch_size) as u64;
    let progress = progress_bar(first_epoch * steps_per_epoch, settings.epochs * steps_per_epoch)?;
    let mut test = trainer.evaluate(&data.test, first_epoch);
    let (mut steps, mut is_complete) = (0, true);
    let started = Instant::now();
    let stop = StopSignal::install()?;
    'training: for epoch in first_epoch..settings.epochs {
        if stop.is_set() {
            progress.suspend(|| println!("asked to stop; --resume goes on from here"));
            is_complete = false;
            break;
        }
        let order = data::epoch_order(data.train.len(), settings.seed, epoch);
        for (batch, number) in order.chunks(settings.batch_size).zip(0..) {
            let metrics = match &mut remote {
                None => trainer.step(&data.train, batch, epoch, number),
                Some(remote) => {
                    let Some(metrics) = remote.step(&mut trainer, batch, epoch, number, &stop)?
                    else {
                        progress.suspend(|| println!("stopped while a job waits; see --resume"));
                        is_complete = false;
                        break 'training;
                    };
                    metrics
                }
            };
            recorder.step(epoch, epoch * steps_per_epoch + number, &metrics)?;
            steps += 1;
            progress.inc(1);
        }
        let train = trainer.evaluate(&data.train, epoch);
        test = trainer.evaluate(&data.test, epoch);
        recorder.epoch(epoch, &train, &test)?;
        progress.set_message(format!(
            "loss {:.3}, test {:.0} %",
            train.loss,
            test.accuracy * 100.0
        ));
        if (epoch + 1) % CHECKPOINT_EVERY == 0 || epoch + 1 == settings.epochs {
            let (state, seed) = (trainer.state(), settings.seed);
            recorder.checkpoint(epoch, state, settings.learning_rate, seed, test.accuracy)?;
        }
    }
    let training = started.elapsed();
    progress.finish_and_clear();

    let out = recorder.path().to_path_buf();
    let summary = recorder.finish(is_complete)?;
    print!("{}", Table { summary: &summary, steps, test, training, out: &out });
    if let Some(remote) = &remote {
        print!("{remote}");
    }
    Ok(())
}

/// What the run is trained with. One that goes on keeps its seed.
fn settings(options: &Options) -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings { epochs: options.epochs, ..Settings::default() };
    settings.seed = options.seed.unwrap_or(settings.seed);
    let run = match &options.place {
        Place::At(out) if options.resume => RunReader::open(out).ok(),
        Place::At(_) | Place::NewIn(_) => None,
    };
    if let Some(seed) = run.and_then(|run| run.run_json().seed) {
        if options.seed.is_some_and(|given| given != seed) {
            return Err(format!("the run has seed {seed}; leave --seed out").into());
        }
        settings.seed = seed;
    }
    Ok(settings)
}

/// A new training, or the one of a checkpoint.
fn begin(
    mut settings: Settings,
    restored: Option<Restored>,
) -> Result<(u64, Trainer), Box<dyn Error>> {
    let Some(restored) = restored else {
        // Also after a kill that came before the first checkpoint: the run starts over.
        return Ok((0, Trainer::new(settings)));
    };
    settings.seed = restored.seed;
    println!("resuming after epoch {}", restored.next_epoch - 1);
    Ok((restored.next_epoch, Trainer::resume(settings, restored.state)?))
}

fn progress_bar(done: u64, all: u64) -> Result<ProgressBar, Box<dyn Error>> {
    let style = "training {bar:40} {pos}/{len} steps, {eta} left  {msg}";
    let bar = ProgressBar::new(all).with_style(ProgressStyle::with_template(style)?);
    bar.set_position(done);
    Ok(bar)
}
