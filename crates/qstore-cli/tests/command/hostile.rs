//! Names that are meant for the terminal are shown instead: in tables, in errors, and in JSON.

use super::kit::{call, call_on};
use qstore_checkpoint::Snapshot;
use qstore_cli::Exit;
use qstore_cli::console::Screen;
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::{Row, StateDict, Tensor, Value};
use qstore_zarr::{CheckpointManager, CheckpointSettings};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Clears the screen, sets a title, turns the text around, starts a line of its own.
const NAME: &str = "los\x1b[2Js\x1b]0;owned\x07\u{202e}\u{9b}31m\r\nroot#";

fn is_harmless(text: &str) -> bool {
    let is_meant =
        |char: char| (char.is_control() && char != '\n') || matches!(char, '\u{202a}'..='\u{202e}');
    !text.contains(is_meant)
}

fn write_run(run: &Path) {
    fs::create_dir_all(run).unwrap();
    let settings = WriterSettings::default().run_id(NAME);
    let mut log = MetricsLog::<Row>::open(run.join("metrics.parquet"), settings).unwrap();
    for step in 0..2 {
        let mut row = Row::from([("step", Value::from(step)), ("text", Value::from(NAME))]);
        row.set(NAME, 0.5).set("bad", 0.5);
        log.append(&row, Instant::now());
    }
    log.close().unwrap();
    let json = json!({
        "format": "qstore-run", "version": 1, "id": NAME, "name": NAME, "created": "2026-11-30T08:00:00Z",
        "tags": [NAME], "notes": NAME, "group": NAME, "params": {NAME: NAME, "lr": 0.1},
        "goal": {"metric": "bad", "direction": "min"},
        "attempts": [{
            "number": 1, "started": "2026-11-30T08:00:00Z", "pid": 1, "host": NAME, "outcome": "failed",
            "error": NAME, "argv": [NAME], "git": {"commit": NAME, "branch": NAME, "is_dirty": true},
        }],
    });
    fs::write(run.join("run.json"), json.to_string()).unwrap();
    let settings = CheckpointSettings::default().keep_last(0);
    let mut manager = CheckpointManager::open(run.join("checkpoints"), settings).unwrap();
    for epoch in 0..2 {
        let model = StateDict::from([(NAME, Tensor::scalar(epoch as f32))]);
        let _ticket = manager
            .save(Snapshot::new(epoch).model(model).meta(NAME, format!("{NAME}{epoch}")))
            .unwrap();
    }
    manager.close(Duration::from_secs(60)).unwrap();
    let ledger = Ledger::open(run.join("jobs.parquet"), Budget::usd(10.0)).unwrap();
    let job = || {
        let batch = Batch::new(NAME, 1).circuits([NAME]).parameters(&[0.5]);
        ledger.intend(JobSpec::new(NAME, batch).at(0, 0).estimate_usd(0.5)).unwrap()
    };
    let failed = job().submitted(NAME).unwrap();
    ledger.observe(&failed.key, &Seen::failed(NAME)).unwrap();
    drop(job());
    ledger.close().unwrap();
}

#[test]
fn nothing_that_a_name_says_reaches_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(NAME.replace('/', "_"));
    write_run(&run);
    let run = run.to_str().unwrap();
    let metrics = format!("{run}/metrics.parquet");
    let first = format!("{run}/checkpoints/epoch_0000.zarr.zip");
    let second = format!("{run}/checkpoints/epoch_0001.zarr.zip");
    let best = format!("1:{NAME}:min");
    let (runs, goal) = (dir.path().display().to_string(), format!("{NAME}:min"));
    let out = |name: &str| dir.path().join(format!("out/{name}")).display().to_string();
    let calls: &[&[&str]] = &[
        &["show", &metrics],
        &["show", &first, "--stats"],
        &["show", run],
        &["show", &format!("{run}/checkpoints")],
        &["show", &format!("{run}/nothing")],
        &["tail", run],
        &["tail", run, "-c", NAME],
        &["tail", run, "-c", "nothing\x1b[2J"],
        &["verify", run],
        &["diff", &first, &second],
        &["explain", run, "--keep-best", &best],
        &["prune", run, "--keep-best", &best, "--apply"],
        &["explain", &metrics],
        &["pin", run, "9"],
        &["pin", run, "1"],
        &["unpin", run, "1"],
        &["ls", &runs],
        &["ls", &runs, "-m", &goal],
        &["ls", &runs, "--tag", NAME],
        &["compare", run, run, "--all"],
        &["compare", run, run, "--all", "--md"],
        &["compare", run, run, "--all", "--csv"],
        &["compare", run, "--fail-if", &format!("{NAME}>1")],
        &["plot", run, "-y", NAME],
        &["plot", run, "-y", "bad"],
        &["plot", run, run, "-y", &format!("bad,{NAME}")],
        &["plot", run, "-y", &format!("bad,nothing{NAME}")],
        &["plot", run, "-y", NAME, "-x", "epoch"],
        &["plot", run, "-y", NAME, "--svg", &out("x.svg")],
        &["jobs", run],
        &["jobs", run, "--open"],
        &["jobs", run, "--in-doubt"],
        &["export", run, "-o", "-", "--to", "jsonl"],
        &["export", run, "-o", &out("x.csv")],
        &["export", run, "-o", &out("x.csv")],
        &["export", run, "-o", &out(NAME)],
        &["export", run, "-o", &out("y.csv"), "-c", NAME],
        &["import", &out(NAME), &out("z")],
        &["tag", run, NAME],
        &["note", run, NAME],
        &["note", run],
        &["recover", &metrics],
        &["recover", &first],
        &["\x1b[2J"],
        &["tail", "--\x1b[2J"],
    ];
    for arguments in calls {
        let called = call(arguments);
        assert!(is_harmless(&called.out), "{arguments:?} prints {:?}", called.out);
        assert!(is_harmless(&called.err), "{arguments:?} says {:?}", called.err);
        let mut with_json = arguments.to_vec();
        with_json.insert(1, "--json");
        assert!(is_harmless(&call(&with_json).out), "{arguments:?}");
    }
    let screen = Screen { width: Some(60), is_colored: false, is_talkative: true };
    let csv = ["export", run, "-o", "-", "--to", "csv"];
    let called = call_on(screen, &csv, &mut || false);
    assert_eq!((called.exit, &*called.out), (Exit::Usage, ""));
    assert!(called.err.contains("--to jsonl"), "{}", called.err);
    assert!(call(&csv).out.contains(NAME), "a pipe gets it as it is");
    // Programs get names as they are.
    let document = call(&["plot", "--json", run, run, "-y", NAME]).out;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["series"][0]["column"], NAME);
    assert!(document["series"][0]["run"].as_str().is_some_and(|run| run.contains('\x1b')));
    let called = call_on(screen, &["show", &metrics], &mut || false);
    assert!(is_harmless(&called.out) && is_harmless(&called.err), "{:?}", called.err);
}
