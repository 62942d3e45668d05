//! What does a whole run pay for its storage, and what is left of it after `kill -9`?
//!
//! A simulated training loop makes 100, 1 000, 10 000 and 100 000 steps a second, logs 18 values for
//! each and saves its model now and then. Each contender and each rate has a process of its own, twice:
//! one that ends well and one that is killed. Every contender reads the steps and the model from the
//! same files. Between bursts the loop sleeps: it leaves the processor to the threads that work in the
//! background, and finds its caches cold. Peers without checkpoints of their own are given the usual
//! ones of their language, durable ones: safetensors in Rust, `numpy.savez` in Python.

mod contenders;
mod kill;
mod outcome;
mod plan;
mod process;
mod training;

use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::workload::{model, steps};
use crate::{Result, Run};
use contenders::Contender;
use outcome::Outcome;
use plan::{Files, Plan};
use std::fs;
use std::path::Path;

pub(crate) const NAME: &str = "end_to_end";
pub(crate) const QUESTION: &str =
    "what a whole run pays for its storage at four rates, and what is left of it after kill -9";

/// The word that makes a child one run.
pub(crate) const CHILD: &str = "train";

/// Steps a second, and how names call that.
const RATES: [(u32, &str); 4] = [(100, "100"), (1_000, "1k"), (10_000, "10k"), (100_000, "100k")];

/// Steps in the file, used again and again. More than 32 768 bytes lie between a value and its return
/// even where the bytes of a column are split into planes, so that gzip never sees the same step twice.
const KNOWN_STEPS: usize = 40_000;

const CHECKPOINTS: u32 = 5;

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let home = run.scratch.join("end-to-end");
    fs::create_dir(&home)?;
    let files = Files::in_directory(&home);
    let size = if run.long { model::MB_100 } else { model::MB_12 };
    let state = model::bf16_like(size)?;
    model::write(&files.model_bytes, &files.model_index, &model::tensors(&state)?)?;
    drop(state);
    steps::write(&files.workload, &steps::random(KNOWN_STEPS))?;

    let mut rows = Vec::new();
    let mut random = fastrand::Rng::with_seed(11);
    let mut contenders = contenders::all(run);
    for (rate, word) in RATES {
        random.shuffle(&mut contenders);
        contenders.retain(|contender| {
            let dir = home.join(format!("{word}-{}", contender.name));
            match measured(run, contender, &dir, &files, (rate, word), &mut random) {
                Ok(measured) => {
                    rows.extend(measured);
                    true
                }
                Err(error) => {
                    run.skip(&format!("{} in end_to_end", contender.name), error.to_string());
                    false
                }
            }
        });
    }
    fs::remove_dir_all(home)?;
    // In the order of the contenders, not of their turns.
    rows.sort_by_key(|row: &Row| contenders::place(row.point.as_ref().map(|point| &*point.series)));
    Ok(rows)
}

/// Trains as the plan in the file says.
pub(crate) fn child(arguments: &[String]) -> Result<String> {
    let [plan] = arguments else { return Err("a plan".into()) };
    training::train(&Plan::read(Path::new(plan))?)?;
    Ok(String::new())
}

/// The rows of one contender at one rate.
fn measured(
    run: &Run<'_>,
    contender: &Contender<'_>,
    dir: &Path,
    files: &Files,
    rate: (u32, &str),
    random: &mut fastrand::Rng,
) -> Result<Vec<Row>> {
    let (seconds, checkpoints, kills) =
        if run.long { (60.0, CHECKPOINTS, 5) } else { (4.0, CHECKPOINTS, 2) };
    let plan = Plan::new(contender.name, dir, files, rate.0, seconds, checkpoints);
    let outcome = process::run_to_the_end(contender, &plan)?;
    let rows = contender.rows_in(&plan.metrics())?;
    let bytes = process::bytes_in(&plan.metrics())?;
    fs::remove_dir_all(dir)?;
    let mut lost = Vec::new();
    for _ in 0..kills {
        let after = 0.8 + random.f64();
        lost.push(kill::rows_lost(contender, &plan, after)?);
        fs::remove_dir_all(dir)?;
    }
    Ok(rows_of(contender, rate, &outcome, rows, bytes, lost))
}

fn rows_of(
    contender: &Contender<'_>,
    (rate, word): (u32, &str),
    outcome: &Outcome,
    rows: u64,
    bytes: u64,
    lost: Vec<f64>,
) -> Vec<Row> {
    let steps = outcome.steps;
    let name = |what: &str| format!("e2e_{what}_{word}_{}", contender.name);
    let row = |what: &str, unit, note: &str, summary| {
        let note = format!("{rate} steps/s wanted; {note}; {}", contender.note);
        let measure = if contender.is_ours {
            Measure::ours(name(what), unit, &[], note)
        } else if contender.is_limit {
            Measure::limit(name(what), unit, note)
        } else {
            Measure::peer(name(what), unit, note)
        };
        let measure = measure.on_curve(&format!("e2e_{what}"), contender.name, f64::from(rate));
        Row::new(NAME, measure, summary)
    };
    let calls = steps as usize;
    let [p50, p99, p999, max] = outcome.log_us.map(|us| Summary::counted(us, calls));
    let log = "one log call, its two readings of the clock included";
    let saves =
        format!("{} saves of the model, until the call returns: the worst", outcome.checkpoints);
    let mut rows_of = vec![
        row("steps_per_s", "steps/s", "steps made", Summary::once(steps as f64 / outcome.seconds)),
        row("log_us_p50", "us", log, p50),
        row("log_us_p99", "us", log, p99),
        row("log_us_p999", "us", log, p999),
        row("log_us_max", "us", log, max),
        row("checkpoint_ms", "ms", &saves, Summary::once(outcome.checkpoint_ms[1])),
        row(
            "storage_share",
            "%",
            "time in log calls and saves, of the loop's",
            Summary::once(100.0 * outcome.storage_seconds / outcome.seconds),
        ),
        row(
            "background_cores",
            "cores",
            "processor time of all other threads and processes until all was stored, by the loop's time",
            Summary::once(outcome.background_seconds / outcome.seconds),
        ),
        row("finish_ms", "ms", "until all was stored", Summary::once(outcome.finish_seconds * 1e3)),
    ];
    if !contender.is_limit {
        let mb = bytes as f64 / 1e6 * 1e5 / (rows.max(1) as f64);
        let of = format!("of {steps} steps, rows that are not in the file after a good end");
        rows_of.extend([
            row("rows_lost", "rows", &of, Summary::once(steps.saturating_sub(rows) as f64)),
            row("mb_per_100k_rows", "MB", "the metrics' files at the end", Summary::once(mb)),
        ]);
        if let Some(summary) = Summary::of(lost) {
            let killed = "rows logged but not readable after kill -9 at a random moment";
            rows_of.push(row("killed_rows_lost", "rows", killed, summary));
        }
    }
    rows_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::{StateDict, Tensor};

    /// Everybody's rows are all in the files at the end, and were counted by reading those.
    #[test]
    fn a_run_that_ends_well_has_all_its_rows() {
        let home = tempfile::tempdir().unwrap();
        let files = Files::in_directory(home.path());
        let tensor = Tensor::from_vec(vec![0.5_f32; 1_000], [10, 100]).unwrap();
        let model = StateDict::from_iter([("weights", tensor)]);
        let tensors = model::tensors(&model).unwrap();
        model::write(&files.model_bytes, &files.model_index, &tensors).unwrap();
        steps::write(&files.workload, &steps::random(7)).unwrap();
        let run = Run {
            scratch: home.path(),
            long: false,
            peers: crate::peers::Peers::default(),
            torch: crate::peers::Peers::default(),
            absent: std::cell::RefCell::default(),
        };
        for contender in contenders::all(&run) {
            let dir = home.path().join(contender.name);
            let plan = Plan::new(contender.name, &dir, &files, 10_000, 0.2, 2);
            child(&[plan.write().unwrap().display().to_string()]).unwrap();
            let text = fs::read_to_string(&plan.outcome).unwrap();
            let outcome: Outcome = serde_json::from_str(&text).unwrap();
            let rows = contender.rows_in(&plan.metrics()).unwrap();
            let expected = if contender.is_limit { 0 } else { outcome.steps };
            assert!(outcome.steps > 0, "{}: {outcome:?}", contender.name);
            assert_eq!(rows, expected, "{}", contender.name);
            // How often it saves depends on the machine, as the loop keeps to the time.
            let is_saved = fs::read_dir(plan.checkpoints_dir()).unwrap().next().is_some();
            let is_to_be = outcome.checkpoints > 0 && !contender.is_limit;
            assert!(is_saved || !is_to_be, "{}", contender.name);
            let rows = rows_of(&contender, (10_000, "10k"), &outcome, rows, 1_000, vec![3.0]);
            assert!(rows.iter().all(|row| row.point.is_some()));
        }
    }
}
