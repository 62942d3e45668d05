//! What does a call of the Python package cost the training thread, beside what Python programs call instead?
//!
//! `benches/python/package.py` measures: all contenders in turns, in one process. Here are the names of what it
//! measures, and what each is to be seen beside.

mod saves;

use crate::harness::row::{Measure, Row};
use crate::harness::statistics::Summary;
use crate::harness::this_program;
use crate::{Result, Run};
use serde::Deserialize;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const NAME: &str = "python";
pub(crate) const QUESTION: &str =
    "what a call of the Python package costs the training thread, beside what people call instead";

/// Where the package is, and a Python that can load it, as `cargo xtask bench` says.
const PACKAGE: &str = "QSTORE_PACKAGE";
const INTERPRETER: &str = "QSTORE_PACKAGE_PYTHON";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/package.py");

/// How long rows are logged at 10 000 a second.
const LONG_SECONDS: &str = "60";

/// A line of what the script prints.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Measured { row: String, samples: Vec<f64> },
    Absent { absent: String, why: String },
}

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let [package, interpreter] =
        [PACKAGE, INTERPRETER].map(|name| env::var_os(name).map(PathBuf::from));
    let Some((package, interpreter)) = package.zip(interpreter) else {
        run.skip(
            "the Python package",
            "`cargo xtask bench python` builds it, and this program was started alone",
        );
        return Ok(Vec::new());
    };
    // The peers' interpreter, if there is one: it has the original.
    let peers = run.peers.python_with(&["q-store"]).map_or(interpreter, PathBuf::from);
    let mut rows = Vec::new();
    let seconds = if run.long { LONG_SECONDS } else { "0" };
    measured(run, &peers, &package, seconds, &mut rows)?;
    if let Some(torch) = run.torch.python_with(&["torch"]) {
        measured(run, torch, &package, "torch", &mut rows)?;
    }
    rows.extend(saves::of_the_library(run.scratch)?);
    Ok(rows)
}

/// Adds what the script measures with this interpreter.
fn measured(
    run: &Run<'_>,
    interpreter: &Path,
    package: &Path,
    what: &str,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut python = Command::new(interpreter);
    python.arg(SCRIPT).arg(run.scratch).arg(what);
    let said = this_program::answer_of(python.env("PYTHONPATH", package), "package.py")?;
    for line in said.lines() {
        match serde_json::from_str(line)? {
            Line::Absent { absent, why } => run.skip(&absent, why),
            Line::Measured { row, samples } => {
                let measure = measure(&row).ok_or_else(|| format!("no row is called `{row}`"))?;
                let summary = Summary::of(samples).ok_or("a row without samples")?;
                rows.push(Row::new(NAME, measure, summary));
            }
        }
    }
    Ok(())
}

fn measure(row: &str) -> Option<Measure> {
    const STEPS: &[&str] =
        &["py_csv_flush_step", "py_original_log_step", "py_expman_log_vector", "py_empty_call"];
    const STEPS_P99: &[&str] = &[
        "py_csv_flush_step_p99",
        "py_original_log_step_p99",
        "py_expman_log_vector_p99",
        "py_empty_call_p99",
    ];
    let (name, is_tail) = row.strip_suffix("_p99").map_or((row, false), |name| (name, true));
    let steps = if is_tail { STEPS_P99 } else { STEPS };
    let ours = |rivals, note| Measure::ours(row, "us", rivals, note);
    let peer = |note| Measure::peer(row, "us", note);
    Some(match name {
        "py_log_step_17" => ours(
            steps,
            "all columns but the timestamp; default settings; back to back, the clock included",
        ),
        "py_log_step_17_four_by_position" => ours(
            steps,
            "the same, with epoch, step, train_loss and grad_norm by position: Python builds no dict",
        ),
        "py_nothing_17" => Measure::limit(
            row,
            "us",
            "a Python function that does nothing, called with 17 names: Python builds a dict",
        ),
        "py_log_step_4" => ours(&[], "epoch, step, train_loss, grad_norm"),
        "py_log_step_3_plus_10_names" => ours(
            &[],
            "epoch, step, train_loss, and ten names that are not columns of `TrainingMetrics`",
        ),
        "py_empty_call" => Measure::limit(row, "us", "the clock alone, read twice"),
        "py_csv_flush_step" => {
            peer("csv.writer and a flush for each step, 18 values: a kill loses nothing")
        }
        "py_original_log_step" => {
            peer("`await log_step` of q-store 4.1.1, its default buffer; what does not fit is lost")
        }
        "py_expman_log_vector" => peer("expman-rs, `log_vector` of a dictionary of 18 values"),
        "py_push" => {
            let rival: &[&str] =
                if is_tail { &["py_simple_queue_put_p99"] } else { &["py_simple_queue_put"] };
            ours(rival, "an integer into a buffer with room, the clock included")
        }
        "py_simple_queue_put" => peer("queue.SimpleQueue, which has no bound"),
        "py_import_ms" => Measure::ours(
            row,
            "ms",
            &[],
            "`import qstore` in a new interpreter; no numpy, torch, pandas or jax",
        ),
        "py_rows_kept" => Measure::ours(
            row,
            "%",
            &[],
            "10 000 rows a second for a minute, a busy process for each processor, default settings",
        ),
        _ => return saves::measure(row),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_understood() {
        let lines = [
            r#"{"row": "py_push", "samples": [0.1, 0.2]}"#,
            r#"{"absent": "expman-rs", "why": "No module named 'expman'"}"#,
        ];
        assert!(matches!(serde_json::from_str(lines[0]).unwrap(), Line::Measured { .. }));
        assert!(matches!(serde_json::from_str(lines[1]).unwrap(), Line::Absent { .. }));
    }

    #[test]
    fn every_row_of_the_script_has_a_measure() {
        let script = std::fs::read_to_string(SCRIPT).unwrap();
        let names = script.split('"').filter(|word| word.starts_with("py_"));
        let mut count = 0;
        for name in names {
            // `py_torch_{}` is a save and a load of each size.
            let each: Vec<String> = match name.strip_suffix("{}") {
                Some(who) => (["save_durable", "load"].iter())
                    .flat_map(|verb| saves::SIZES.map(|(size, ..)| format!("{who}{verb}_s_{size}")))
                    .collect(),
                None => vec![name.to_owned()],
            };
            for name in each {
                assert!(measure(&name).is_some(), "{name}");
                count += 1;
            }
        }
        assert!(count > 8, "{count} names");
        assert!(measure("py_log_step_17_p99").is_some() && measure("py_log").is_none());
    }
}
