//! Makes the fixture, once: `QSTORE_CLI_FIXTURE=make cargo test -p qstore-cli --test command maker`.
//!
//! Its bytes are committed, because checkpoints note when they were saved and how long that took. A later version
//! of the library has to read them as they are.

use super::kit::{BOOT_ID, HOST, package};
use qstore_checkpoint::Snapshot;
use qstore_checkpoint::retention::Goal;
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::{Row, StateDict, Tensor, Value};
use qstore_zarr::{CheckpointManager, CheckpointSettings};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const EPOCHS: i64 = 4;
const STEPS: i64 = 20;
/// 2026-11-30T08:00:00Z.
const STARTED: f64 = 1_796_025_600.0;

fn loss(step: i64, seed: i64) -> f64 {
    // Exactly representable, so that no platform rounds it differently.
    let noise = ((step * 37 + seed * 11) % 16) as f64 / 256.0;
    2.0 / (1.0 + (step / 8) as f64) + noise
}

fn row(epoch: i64, step: i64, seed: i64) -> Row {
    let mut row = Row::from([("epoch", Value::from(epoch)), ("step", Value::from(step))]);
    row.set("timestamp", STARTED + (epoch * STEPS + step.max(0)) as f64 * 0.5);
    row.set("train_loss", loss(epoch * STEPS + step.max(0), seed));
    row
}

fn write_metrics(path: &Path, run_id: &str, seed: i64, is_closed: bool) {
    let settings = WriterSettings::default().run_id(run_id);
    let mut log = MetricsLog::<Row>::open(path, settings).unwrap();
    for epoch in 0..EPOCHS {
        for step in 0..STEPS {
            let mut row = row(epoch, epoch * STEPS + step, seed);
            if epoch == 2 && step == 3 {
                row.set("train_loss", f64::NAN);
            }
            log.append(&row, Instant::now());
        }
        let mut summary = row(epoch, -1, seed);
        summary.set("val_loss", loss(epoch * STEPS, seed) / 2.0);
        summary.set("note", if epoch == 0 { "warm-up" } else { "" });
        log.append(&summary, Instant::now());
    }
    if is_closed {
        log.close().unwrap();
    } else {
        log.flush().unwrap();
    }
}

fn save_checkpoints(dir: &Path) {
    let settings =
        CheckpointSettings::default().keep_last(0).keep_best(1, "val_loss", Goal::Lowest);
    let mut manager = CheckpointManager::open(dir, settings).unwrap();
    for epoch in 0..EPOCHS {
        let weights: Vec<f32> = (0..16).map(|index| (index + epoch) as f32).collect();
        let mut model = StateDict::from([("w", Tensor::from_vec(weights, [4, 4]).unwrap())]);
        model.insert("b", Tensor::from_vec(vec![0.5_f32, f32::NAN], [2]).unwrap());
        if epoch == EPOCHS - 1 {
            model.insert("extra", Tensor::scalar(1_i64));
        }
        let snapshot = Snapshot::new(epoch as u64)
            .model(model)
            .meta("val_loss", loss(epoch * STEPS, 3) / 2.0)
            .meta("note", "a text");
        manager.save(snapshot).unwrap().wait(Duration::from_secs(60)).unwrap();
    }
    manager.close(Duration::from_secs(60)).unwrap();
}

/// Four jobs: paid, in the queue, failed, and one whose answer was lost.
fn write_jobs(path: &Path) {
    let ledger = Ledger::open(path, Budget::usd(10.0)).unwrap();
    let intend = |step: i64| {
        let circuits = ["OPENQASM 3.0; qubit q; ry(a) q;"];
        let batch = Batch::new("ibm_torino", 1_024).circuits(circuits).parameters(&[step as f64]);
        ledger.intend(JobSpec::new("ibm", batch).at(0, step).estimate_usd(0.67)).unwrap()
    };
    let paid = intend(0).submitted("d1a2b3c4").unwrap();
    let result = Seen::done().usd(0.65).exec_ms(840.0).result("results/0000.json", 7);
    ledger.observe(&paid.key, &result).unwrap();
    let queued = intend(1).submitted("d1a2b3c5").unwrap();
    ledger.observe(&queued.key, &Seen::queued(17)).unwrap();
    let failed = intend(2).submitted("d1a2b3c6").unwrap();
    ledger.observe(&failed.key, &Seen::failed("the device is \u{1b}[31mcalibrating")).unwrap();
    drop(intend(3));
    ledger.close().unwrap();
}

/// What the runs are: one that is unknown, one that the kit lets crash, a finished one and a failed one.
fn descriptions() -> [(&'static str, serde_json::Value); 4] {
    let run = |name: &str, lr: f64, ansatz: &str| {
        json!({
            "format": "qstore-run", "version": 1, "id": format!("0193-{name}"), "name": name,
            "created": "2026-11-30T08:00:00Z",
            "params": {"lr": lr, "ansatz": ansatz, "layers": 2, "device.shots": 1024},
            "goal": {"metric": "val_loss", "direction": "min"},
        })
    };
    let attempt = |host: &str| {
        json!({
            "number": 1, "started": "2026-11-30T08:00:00Z", "host": host, "boot_id": BOOT_ID, "pid": 4711,
            "argv": ["train", "--lr", "0.01"], "lock": [0, 0],
            "git": {"commit": "3f1c2aa8a7c5", "branch": "main", "is_dirty": false},
        })
    };
    let mut unknown = run("run_001", 0.1, "ring");
    unknown["attempts"] = json!([attempt("gpu-7")]);
    let mut crashed = run("run_002", 0.1, "ring");
    crashed["attempts"] = json!([attempt(HOST)]);
    let mut finished = run("run_003", 0.01, "ring");
    let mut last = attempt(HOST);
    last["ended"] = "2026-11-30T10:00:00Z".into();
    last["outcome"] = "finished".into();
    finished["attempts"] = json!([last.clone()]);
    finished["tags"] = json!(["baseline", "paper"]);
    finished["notes"] = "the first run\nthat went well".into();
    let mut failed = run("run_004", 0.003, "ladder");
    last["outcome"] = "failed".into();
    last["error"] = "the device was taken offline".into();
    last["git"] = json!({"commit": "9be0d41c11", "is_dirty": true});
    failed["attempts"] = json!([last]);
    [("run_001", unknown), ("run_002", crashed), ("run_003", finished), ("run_004", failed)]
}

fn make(fixture: &Path) {
    let tmp = tempfile::tempdir().unwrap();
    let work = tmp.path();
    for (name, seed, is_closed) in [("run_003", 3, true), ("run_004", 4, false)] {
        let run = work.join(name);
        fs::create_dir(&run).unwrap();
        write_metrics(&run.join("metrics.parquet"), name, seed, is_closed);
        let target = fixture.join("runs").join(name);
        fs::create_dir_all(target.join("checkpoints")).unwrap();
        fs::copy(run.join("metrics.parquet"), target.join("metrics.parquet")).unwrap();
        if name == "run_003" {
            save_checkpoints(&run.join("checkpoints"));
            for entry in fs::read_dir(run.join("checkpoints")).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if name.starts_with("epoch_") || name == ".qstore.json" {
                    fs::copy(entry.path(), target.join("checkpoints").join(name)).unwrap();
                }
            }
        } else {
            fs::remove_dir(target.join("checkpoints")).unwrap();
        }
    }
    fs::create_dir_all(fixture.join("jobs")).unwrap();
    write_jobs(&fixture.join("jobs/jobs.parquet"));
    for (name, file) in descriptions() {
        let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
        let dir = fixture.join("runs").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("run.json"), text).unwrap();
    }
    let first = fixture.join("runs/run_001/metrics.parquet");
    fs::copy(fixture.join("runs/run_004/metrics.parquet"), first).unwrap();
    // The same, with one bit flipped, and with something behind its end.
    let damaged = fixture.join("damaged");
    fs::create_dir_all(&damaged).unwrap();
    let mut bytes = fs::read(fixture.join("runs/run_003/metrics.parquet")).unwrap();
    bytes[200] ^= 1;
    fs::write(damaged.join("metrics.parquet"), &bytes).unwrap();
    let mut bytes = fs::read(fixture.join("runs/run_003/checkpoints/epoch_0003.zarr.zip")).unwrap();
    bytes[100] ^= 1;
    fs::write(damaged.join("epoch_0003.zarr.zip"), &bytes).unwrap();
    let mut bytes = fs::read(fixture.join("runs/run_003/metrics.parquet")).unwrap();
    bytes.extend(b"appended by mistake");
    fs::write(damaged.join("longer.parquet"), &bytes).unwrap();
}

#[test]
fn the_fixture_is_made_when_asked_for() {
    if std::env::var_os("QSTORE_CLI_FIXTURE").is_some_and(|what| what == "make") {
        let fixture = package().join("tests/fixture");
        if fixture.exists() {
            fs::remove_dir_all(&fixture).unwrap();
        }
        make(&fixture);
    }
    // Without the variable this makes a second one, so that the maker does not rot.
    let tmp = tempfile::tempdir().unwrap();
    make(tmp.path());
    assert!(tmp.path().join("runs/run_003/checkpoints/epoch_0003.zarr.zip").is_file());
}
