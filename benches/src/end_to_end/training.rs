//! The simulated training loop. `python/end_to_end.py` is the same in Python.

use super::contenders;
use super::outcome::Outcome;
use super::plan::Plan;
use crate::Result;
use crate::harness::processor;
use crate::harness::statistics::percentile;
use crate::workload::{model, steps};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

/// Bursts after which a loop that is late stops making up for it.
const LATE: u32 = 50;

/// Does what the plan says and writes the outcome.
pub(super) fn train(plan: &Plan) -> Result {
    let steps = steps::read(&plan.workload)?;
    let model = model::read(&plan.model_bytes, &plan.model_index)?;
    fs::create_dir_all(plan.metrics())?;
    fs::create_dir_all(plan.checkpoints_dir())?;
    let mut storage = contenders::open(plan, &model)?;
    let progress = File::create(&plan.progress)?;

    let burst = (plan.rate / 1_000).max(1);
    let every = Duration::from_secs(1) * burst / plan.rate;
    let time = Duration::from_secs_f64(plan.seconds);
    let between_saves = time / (plan.checkpoints + 1);
    let mut calls = Vec::with_capacity((f64::from(plan.rate) * plan.seconds) as usize + 1);
    let mut saves = Vec::new();
    let mut number = 0_usize;
    let background = || processor::of_process() - processor::of_this_thread();
    let before = background();
    let started = Instant::now();
    let mut due = started;
    loop {
        let now = Instant::now();
        if now - started >= time {
            break;
        }
        thread::sleep(due.saturating_duration_since(now));
        due = due.max(now.checked_sub(LATE * every).unwrap_or(due)) + every;
        for _ in 0..burst {
            let step = &steps[number % steps.len()];
            let called = Instant::now();
            storage.log(step, number as i64)?;
            calls.push(nanoseconds(called));
            number += 1;
        }
        progress.write_all_at(&(number as u64).to_le_bytes(), 0)?;
        let save = saves.len() as u32 + 1;
        if save <= plan.checkpoints && now - started >= between_saves * save {
            let called = Instant::now();
            storage.save(u64::from(save), &model)?;
            saves.push(nanoseconds(called));
        }
    }
    let took = started.elapsed();
    let ended = Instant::now();
    storage.finish()?;
    let finish = ended.elapsed();
    // Two clocks are read one after the other, so that nothing can look like less than nothing.
    let background_seconds = (background() - before).max(0.0);
    let total: u64 = calls.iter().chain(&saves).sum();
    calls.sort_unstable();
    saves.sort_unstable();
    let log_us = |share| percentile(&calls, share).unwrap_or_default() as f64 / 1e3;
    let save_ms = |share| percentile(&saves, share).unwrap_or_default() as f64 / 1e6;
    let outcome = Outcome {
        steps: number as u64,
        seconds: took.as_secs_f64(),
        log_us: [log_us(0.5), log_us(0.99), log_us(0.999), log_us(1.0)],
        checkpoints: saves.len(),
        checkpoint_ms: [save_ms(0.5), save_ms(1.0)],
        storage_seconds: total as f64 / 1e9,
        background_seconds,
        finish_seconds: finish.as_secs_f64(),
    };
    Ok(fs::write(&plan.outcome, serde_json::to_string(&outcome)?)?)
}

fn nanoseconds(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}
