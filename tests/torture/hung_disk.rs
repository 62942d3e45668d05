//! T10: the disk hangs at every operation of a run, and the training loop does not notice.
//!
//! While one storage operation waits at a gate that is opened only afterwards, a loop logs more rows than the ring
//! holds and requests a checkpoint. That the loop finishes proves that neither waits for the disk; no clock is
//! involved. Then the gate is opened, and nothing may be missing.

use crate::trial::Trial;
use qstore::schema::Row;
use qstore::storage::{MemoryFs, read_all};
use qstore::{
    AsyncBuffer, AsyncMetricsWriter, CheckpointManager, CheckpointSettings, Snapshot,
    WriterSettings,
};
use qstore::{StateDict, Tensor};
use qstore_storage::testing::{Failure, Fault, FaultFs, Gate};
use qstore_tests::parquet::integers;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const RING: usize = 64;
/// Rows that make the writer publish.
const FIRST: i64 = 16;
const FILE: &str = "/metrics.parquet";

pub(crate) fn run(trial: &Arc<Trial>) {
    // Opening is done by the caller, which waits for it; everything else happens in the background.
    let (opening, all) = {
        let storage = failing(&MemoryFs::new(), Fault::Never, Failure::Io);
        let (buffer, mut writer) = start(&storage);
        let opening = storage.operations();
        (0..FIRST).for_each(|n| buffer.push(row(n)).expect("there is room"));
        writer.flush(PATIENCE).expect("nothing hangs");
        let all = storage.operations();
        writer.stop(PATIENCE).expect("nothing hangs");
        (opening, all)
    };
    let metrics = (opening..all).map(|at| (true, at));
    let (opening, all) = {
        let storage = failing(&MemoryFs::new(), Fault::Never, Failure::Io);
        let manager = open(&storage);
        let opening = storage.operations();
        let ticket = manager.save(Snapshot::new(1).model(model(1))).expect("it is taken");
        ticket.wait(PATIENCE).expect("nothing hangs");
        (opening, storage.operations())
    };
    let cases: Vec<_> = metrics.chain((opening..all).map(|at| (false, at))).collect();
    trial.plan(cases.len());
    trial.side_by_side(&cases, |(is_metrics, at)| {
        if *is_metrics {
            trial.case(&format!("metrics/{at}"), || metrics_hang(*at));
        } else {
            trial.case(&format!("checkpoints/{at}"), || checkpoints_hang(*at));
        }
    });
}

fn failing(memory: &MemoryFs, fault: Fault, failure: Failure) -> FaultFs {
    FaultFs::failing_any(Arc::new(memory.clone()), fault, failure)
}

fn row(n: i64) -> Row {
    Row::from([("n", n)])
}

fn start(storage: &FaultFs) -> (AsyncBuffer<Row>, AsyncMetricsWriter<Row>) {
    let buffer = AsyncBuffer::new(RING).expect("the size makes sense");
    let settings = WriterSettings::default().flush_interval(FIRST as usize);
    let writer = AsyncMetricsWriter::start_in(storage.shared(), buffer.clone(), FILE, settings);
    (buffer, writer.expect("a new file can be begun"))
}

fn metrics_hang(at: usize) {
    let (memory, gate) = (MemoryFs::new(), Arc::new(Gate::default()));
    let storage = failing(&memory, Fault::Once(at), Failure::Hang(Arc::clone(&gate)));
    let (buffer, mut writer) = start(&storage);
    let mut accepted: Vec<i64> = (0..FIRST).collect();
    for n in &accepted {
        buffer.push(row(*n)).expect("there is room");
    }
    assert!(gate.has_somebody_within(PATIENCE), "the writer never came to operation {at}");
    for n in FIRST..4 * RING as i64 {
        // Full or not, the answer comes at once.
        if buffer.push(row(n)).is_ok() {
            accepted.push(n);
        }
        writer.health().check().expect("a disk that hangs has not failed yet");
    }
    assert!(accepted.len() >= RING, "only {} rows were taken", accepted.len());
    gate.open();
    let summary = writer.stop(PATIENCE).expect("the disk works again");
    let dropped = buffer.stats().dropped;
    assert_eq!(dropped + accepted.len() as u64, 4 * RING as u64, "every row is accounted for");
    assert_eq!(summary.rows_written, accepted.len() as u64);
    let bytes = read_all(&memory, Path::new(FILE)).expect("the file is there");
    assert_eq!(integers(&bytes, "n"), accepted);
}

fn model(seed: i64) -> StateDict {
    StateDict::from_iter([("w", Tensor::scalar(seed))])
}

fn open(storage: &FaultFs) -> CheckpointManager {
    let settings = CheckpointSettings::default().workers(1);
    CheckpointManager::open_in(storage.shared(), Path::new("/c"), settings)
        .expect("a new directory can be made")
}

fn checkpoints_hang(at: usize) {
    let (memory, gate) = (MemoryFs::new(), Arc::new(Gate::default()));
    let storage = failing(&memory, Fault::Once(at), Failure::Hang(Arc::clone(&gate)));
    let mut manager = open(&storage);
    let save = |epoch: u64| {
        let ticket = manager.save(Snapshot::new(epoch).model(model(epoch as i64)));
        ticket.expect("it is taken without waiting")
    };
    let first = save(1);
    assert!(gate.has_somebody_within(PATIENCE), "the save never came to operation {at}");
    let second = save(2);
    assert!(!second.is_done(), "its turn has not come");
    gate.open();
    for ticket in [first, second] {
        ticket.wait(PATIENCE).expect("the disk works again");
    }
    manager.close(PATIENCE).expect("it can be closed");
    assert_eq!(manager.list_checkpoints().expect("it can be listed"), [1, 2]);
    assert_eq!(manager.load(2).expect("it is there").model(), Some(&model(2)));
}
