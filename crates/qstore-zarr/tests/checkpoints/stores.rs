//! The conformance kit of `CheckpointStore`, run on every store; and a poll never blocks.

use crate::watched::{Gate, Watched};
use qstore_checkpoint::store::conformance;
use qstore_schema::{StateDict, Tensor};
use qstore_storage::{MemoryFs, Operation};
use qstore_zarr::retention::{Goal, Policy};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, CheckpointStore, Layout, MemoryStore, Snapshot,
};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn every_store_conforms() {
    let tmp = tempfile::tempdir().unwrap();
    let mut stores: Vec<Box<dyn CheckpointStore>> = vec![Box::new(MemoryStore::new())];
    for (name, layout) in [("file", Layout::SingleFile), ("directory", Layout::Directory)] {
        let settings = CheckpointSettings::default().layout(layout);
        let local = CheckpointManager::open(tmp.path().join(name), settings.clone()).unwrap();
        let memory = Arc::new(MemoryFs::new());
        let memory = CheckpointManager::open_in(memory, Path::new("/c"), settings).unwrap();
        stores.extend([Box::new(local) as Box<dyn CheckpointStore>, Box::new(memory)]);
    }
    for store in stores {
        block_on(conformance::check(&*store));
    }
}

#[test]
fn a_memory_store_follows_its_retention_policy() {
    let store = MemoryStore::with_retention(Policy::keep_last(1).best(1, "loss", Goal::Lowest));
    let save = |epoch: u64, loss: f64| {
        let metadata = StateDict::from_iter([("loss", loss)]);
        let saved = block_on(store.save(Snapshot::new(epoch).metadata(metadata))).unwrap();
        saved.saved().unwrap().removed
    };
    assert_eq!((save(1, 0.1), save(2, 0.5), save(3, 0.4)), (vec![], vec![], vec![2]));
    assert_eq!(block_on(store.list_checkpoints()).unwrap(), [1, 3]);
}

/// A third save under `Busy::Wait` waits for its turn; the thread that polls it does not.
#[test]
fn a_poll_never_waits() {
    let watched = Watched::new(&MemoryFs::new());
    let settings = CheckpointSettings::default();
    let manager = CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap();
    let gate = Arc::new(Gate::default());
    let at = Arc::clone(&gate);
    watched.set(move |_, operation, _| {
        if operation == Operation::Create {
            at.pass();
        }
        Ok(())
    });
    let store: &dyn CheckpointStore = &manager;
    let model = || StateDict::from_iter([("w", Tensor::scalar(1_u8))]);
    let mut saves: Vec<_> =
        (1..=4).map(|epoch| store.save(Snapshot::new(epoch).model(model()))).collect();
    let waker = Waker::noop();
    for save in &mut saves {
        // If one of these waited, nothing would ever open the gate.
        assert!(save.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    gate.open();
    for save in saves {
        block_on(save).unwrap();
    }
    assert_eq!(block_on(store.list_checkpoints()).unwrap(), [1, 2, 3, 4]);
}
