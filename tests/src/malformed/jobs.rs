//! Untrusted ledgers of jobs: read, and continued.

use qstore::storage::{FileSystem, MemoryFs, read_all};
use qstore_ledger::{Batch, Budget, JobSpec, Ledger, Seen};
use std::path::Path;
use std::sync::Arc;

const PATH: &str = "/jobs.parquet";

fn spec(n: i64) -> JobSpec {
    JobSpec::new("p", Batch::new("d", 8).circuits(["c"]).parameters(&[n as f64])).estimate_usd(0.5)
}

pub(super) fn read_jobs(bytes: &[u8]) {
    let memory = MemoryFs::new();
    let file = memory.create_new(Path::new(PATH)).expect("the memory is empty");
    file.write_at(0, bytes).expect("the memory has room");
    let open = || {
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        Ledger::open_in(storage, PATH, Budget::usd(1e9))
    };
    let Ok(ledger) = open() else { return };
    let known = ledger.jobs();
    for job in &known {
        // An answer is recorded or refused, whatever the file claims of the job.
        let _ = ledger.observe(&job.key, &Seen::done().usd(0.25).id("q"));
    }
    let Ok(intent) = ledger.intend(spec(-1).repeated()) else { return };
    let Ok(job) = intent.submitted("an identifier of its own") else { return };
    drop(ledger);
    let again = open().expect("what was written can be opened").jobs();
    assert_eq!(again.len(), known.len() + 1);
    assert_eq!(again.last(), Some(&job));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let ledger = Ledger::open_in(storage, PATH, Budget::usd(10.0)).expect("the memory is empty");
    let intend = |n| ledger.intend(spec(n)).expect("the memory has room");
    let job = intend(0).submitted("a").expect("the memory has room");
    ledger.observe(&job.key, &Seen::done().usd(0.5)).expect("the memory has room");
    drop(intend(1));
    let open = read_all(&memory, Path::new(PATH)).expect("it was written");
    ledger.close().expect("the memory has room");
    vec![open, read_all(&memory, Path::new(PATH)).expect("it was written")]
}
