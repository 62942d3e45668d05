//! Sends three batches to a provider, and asks for one of them again: it was paid for.
//!
//! `cargo run -p qstore-ledger --features testing --example paid_once`

use qstore_ledger::simulated::{SimulatedProvider, Simulation};
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, LedgerError, read_jobs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("qstore-ledger-example");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("jobs.parquet");
    let _ = std::fs::remove_file(&path);

    let provider = SimulatedProvider::new(Simulation::default());
    let ledger = Ledger::open(&path, Budget::usd(1.0).alarm_at([0.5]))?;
    for angle in [0.0, 0.5, 0.0] {
        let batch = Batch::new("simulator", 1024).circuits(["ry(a) q;"]).parameters(&[angle]);
        if let Some(job) = ledger.finished(&batch.digest()) {
            println!("angle {angle}: paid for by {}", job.key);
            continue;
        }
        let spec = JobSpec::new("simulated", batch);
        let spec = spec.clone().estimate_usd(provider.estimate_usd(&spec));
        let job = ledger.send(&provider, &spec, &())?; // durable, under its identifier
        let job = ledger.observe(&job.key, &provider.wait(&job)?)?;
        println!("angle {angle}: {} as {}", job.state, job.provider_job().unwrap_or_default());
    }
    let batch = Batch::new("simulator", 1024).circuits(["ry(a) q;"]).parameters(&[0.5]);
    let refused = ledger.intend(JobSpec::new("simulated", batch).estimate_usd(0.1));
    assert!(matches!(refused, Err(LedgerError::AlreadyDone { .. })));
    ledger.close()?;

    let paid: f64 = read_jobs(&path)?.iter().filter_map(|job| job.known.cost_usd).sum();
    println!("{paid:.2} USD paid, {:.2} USD billed: {}", provider.bill_usd(), path.display());
    Ok(())
}
