//! Makes some runs in a directory, writes a report of them, and shows them on a page until Enter is pressed:
//! `cargo run -p qstore-page --example page -- DIRECTORY [PORT]`.

use qstore_checkpoint::Snapshot;
use qstore_checkpoint::retention::Goal;
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
use qstore_logger::MetricsRow;
use qstore_page::{Port, Report, Site, SiteSettings, Source, random_token};
use qstore_run::{Direction, Run, RunPlace, RunSettings};
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{FileSystem, LocalFs, Replacement, create_dir_all};
use qstore_zarr::CheckpointSettings;
use std::env;
use std::error::Error;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const STEPS: i64 = 400;

fn settings(name: &str, lr: f64, ansatz: &str) -> RunSettings {
    let checkpoints =
        CheckpointSettings::default().keep_last(2).keep_best(1, "val_loss", Goal::Lowest);
    RunSettings::default()
        .name(name)
        .param("lr", lr)
        .param("ansatz", ansatz)
        .param("layers", 4)
        .tag("demo")
        .tag(ansatz)
        .goal("val_loss", Direction::Min)
        .checkpoints(checkpoints)
        .system_metrics(Duration::from_millis(200))
}

/// Trains from an epoch on, as far as to another one.
fn train(run: &mut Run, epochs: std::ops::Range<i64>, lr: f64) -> Result<(), Box<dyn Error>> {
    let mut random = fastrand::Rng::with_seed(lr.to_bits());
    for epoch in epochs {
        for step in epoch * STEPS..(epoch + 1) * STEPS {
            let loss = 2.0 / (1.0 + step as f64 * lr) + 0.1 * random.f64();
            let spike = if step == 1_234 { 3.0 } else { 0.0 };
            let accuracy = 1.0 - 1.0 / (1.0 + step as f64 * lr) - 0.05 * random.f64();
            let norm = if step % 500 == 77 { f64::NAN } else { 1e-3 * (1.0 + step as f64).sqrt() };
            let row = MetricsRow::from((epoch, step, loss + spike));
            let row = row.with("accuracy", accuracy).with("grad/norm", norm);
            run.log_step(row.with("grad/max", norm * (2.0 + random.f64())))?;
        }
        let val_loss = 2.0 / (1.0 + (epoch * STEPS) as f64 * lr) + 0.01 * random.f64();
        run.log_epoch(epoch, [("loss", val_loss * 1.1)], [("loss", val_loss)])?;
        let model = StateDict::from([("w", Tensor::from_vec(vec![0.5_f32; 64], [8, 8])?)]);
        let snapshot = Snapshot::new(epoch as u64).model(model).meta("val_loss", val_loss);
        run.save((epoch + 1) * STEPS - 1, snapshot)?.wait(Duration::from_secs(60))?;
    }
    Ok(())
}

fn write_jobs(path: &Path) -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::open(path, Budget::usd(50.0))?;
    for step in 0..12_i64 {
        let batch =
            Batch::new("ibm_torino", 1_024).circuits(["OPENQASM 3.0;"]).parameters(&[step as f64]);
        let intent = ledger.intend(JobSpec::new("ibm", batch).at(0, step).estimate_usd(0.67))?;
        if step == 11 {
            continue;
        }
        let job = intent.submitted(&format!("d1a2b3c{step:x}"))?;
        let seen = match step {
            10 => Seen::queued(17),
            7 => Seen::failed("the device is <b>calibrating</b>"),
            _ => Seen::done().usd(0.65).exec_ms(840.0),
        };
        ledger.observe(&job.key, &seen)?;
    }
    Ok(ledger.close()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let dir = arguments.next().map(PathBuf::from).ok_or("name a directory for the runs")?;
    let port = arguments.next().and_then(|port| port.to_str()?.parse().ok()).unwrap_or(0);
    let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
    create_dir_all(&*files, &dir)?;
    for (name, lr, ansatz) in [("run_001", 0.01, "ring"), ("run_002", 0.003, "ladder")] {
        let mut run = Run::create(&dir, settings(name, lr, ansatz))?;
        train(&mut run, 0..6, lr)?;
        run.finish()?;
    }
    // One that failed and was resumed from an epoch before the last.
    let hostile = "<img src=x onerror=alert(1)>";
    let mut run = Run::create(&dir, settings(hostile, 0.006, "ring"))?;
    train(&mut run, 0..4, 0.006)?;
    write_jobs(&run.path().join("jobs.parquet"))?;
    let path = run.path().to_path_buf();
    run.fail("the device was taken offline")?;
    let (mut resumed, _) = Run::resume(&path, settings(hostile, 0.006, "ring"))?;
    train(&mut resumed, 4..5, 0.006)?;

    let place = RunPlace::default();
    let source = Source::Directory { path: dir.clone(), is_deep: false };
    let html = Report::default().title("Three runs").write(place.clone(), source.clone())?;
    let mut file = Replacement::of(&files, &dir.join("report.html"))?;
    file.append(html.as_bytes())?;
    file.commit()?;
    let port = Port::take(port)?;
    let site =
        Site::new(place, source, port.number(), SiteSettings::default().token(random_token()?));
    let server = port.serve(site)?;
    println!("{}", server.url());
    let mut epoch = 5;
    let mut byte = [0];
    // Each Enter is an epoch more; the end of the input is the end.
    while stdin().read(&mut byte)? > 0 {
        train(&mut resumed, epoch..epoch + 1, 0.006)?;
        epoch += 1;
    }
    server.stop();
    resumed.finish()?;
    Ok(())
}
