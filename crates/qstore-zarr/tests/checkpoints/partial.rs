//! Loading some tensors of a checkpoint, directories replaced while they are read, pins, the best.

use crate::states::Durable;
use crate::states::{assert_same, model, optimizer, seed_of};
use crate::watched::Watched;
use qstore_schema::{State, StateDict, Tensor};
use qstore_storage::{FileSystem, MemoryFs, Operation};
use qstore_zarr::retention::{Goal, Reason};
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Checkpoints, Layout, LoadError, Select, Snapshot,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);
const LAYOUTS: [Layout; 2] = [Layout::SingleFile, Layout::Directory];

fn open(storage: Arc<dyn FileSystem>, settings: CheckpointSettings) -> CheckpointManager {
    CheckpointManager::open_in(storage, Path::new("/c"), settings).unwrap()
}

#[test]
fn only_the_requested_tensors_are_read() {
    for layout in LAYOUTS {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default().layout(layout).chunk_bytes(64);
        let manager = open(Arc::new(memory.clone()), settings);
        let tensor = |byte: u8| Tensor::from_vec(vec![byte; 5_000], [5_000]).unwrap();
        let block = StateDict::from_iter([("w", tensor(1)), ("b", tensor(2))]);
        let mut state = StateDict::from_iter([("other", tensor(3))]);
        state.insert("block", block);
        manager.save(Snapshot::new(1).model(state).optimizer(optimizer())).unwrap().durable();

        let watched = Watched::new(&memory);
        let checkpoints = Checkpoints::open_in(watched.shared(), "/c").unwrap();
        let reader = checkpoints.reader(1).unwrap();
        let paths: Vec<String> =
            reader.tensors().unwrap().into_iter().map(|tensor| tensor.path).collect();
        assert_eq!(
            paths,
            [
                "model/other",
                "model/block/w",
                "model/block/b",
                "optimizer/state/0/step",
                "optimizer/state/0/exp_avg"
            ]
        );
        watched.set(|_, _, _| Ok(()));
        assert_eq!(reader.tensor("model/block/b").unwrap(), tensor(2));
        // A tensor of 79 chunks and its metadata; the three of 5 000 bytes have 237.
        assert!(watched.count() < 79 * 5, "{} operations", watched.count());

        let load = |select: Select| -> Vec<String> {
            let found = checkpoints.load_tensors(1, &select).unwrap();
            found.into_iter().map(|(path, _)| path).collect()
        };
        assert_eq!(load(Select::Group("model/block".into())), &paths[1..3]);
        assert_eq!(load(Select::Glob("**/*p*".into())), &paths[3..]);
        assert_eq!(load(Select::All), paths);
        let error = reader.tensor("model/none").unwrap_err();
        assert!(
            error.to_string().contains("no tensor `model/none`; it has model/other"),
            "{error}"
        );
        let error = checkpoints.load_tensors(1, &Select::Group("x".into())).unwrap_err();
        assert!(matches!(error, LoadError::TensorNotFound { .. }));
    }
}

#[test]
fn reading_needs_no_write_permission_and_creates_no_directory() {
    let watched = Watched::new(&MemoryFs::new());
    assert!(Checkpoints::open_in(watched.shared(), "/c").is_err());
    let manager = open(watched.shared(), CheckpointSettings::default().layout(LAYOUTS[1]));
    manager.save(Snapshot::new(1).model(model(1))).unwrap().durable();
    watched.set(|_, operation, path| match operation {
        Operation::Open | Operation::Read | Operation::List | Operation::Inspect => Ok(()),
        _ => panic!("{operation} {}", path.display()),
    });
    let checkpoints = Checkpoints::open_in(watched.shared(), "/c").unwrap();
    assert_eq!(checkpoints.list_checkpoints().unwrap(), [1]);
    assert_eq!(seed_of(checkpoints.load_latest().unwrap().unwrap().checkpoint.model().unwrap()), 1);
    checkpoints.verify(1).unwrap();
    assert!(checkpoints.load_tensors(1, &Select::All).is_ok());
    watched.set(|_, _, _| Ok(()));
}

/// A neighbor saves the epoch again, or removes it, between any two operations of a load: the load returns
/// the old state or the new one, or reports that there is none; never a mixture, never "damaged".
#[test]
fn a_directory_replaced_while_it_is_read_is_read_again() {
    for removes in [false, true] {
        for number in 0.. {
            let memory = MemoryFs::new();
            let settings = CheckpointSettings::default().layout(LAYOUTS[1]).keep_last(1).workers(1);
            let writer = open(Arc::new(memory.clone()), settings);
            writer.save(Snapshot::new(1).model(model(1))).unwrap().durable();
            let watched = Watched::new(&memory);
            let checkpoints = Checkpoints::open_in(watched.shared(), "/c").unwrap().workers(1);
            let reader = checkpoints.reader(1).unwrap();
            let calls = AtomicUsize::new(0);
            watched.set(move |_, _, _| {
                if calls.fetch_add(1, SeqCst) == number {
                    let epoch = if removes { 2 } else { 1 };
                    writer.save(Snapshot::new(epoch).model(model(2))).unwrap().durable();
                }
                Ok(())
            });
            match checkpoints.load(1) {
                Ok(loaded) => assert!((1..=2).contains(&seed_of(loaded.model().unwrap()))),
                Err(LoadError::NotFound { .. }) if removes => {}
                Err(error) => panic!("operation {number}: {error}"),
            }
            let has_struck = watched.count() > number;
            watched.set(|_, _, _| Ok(()));
            if has_struck {
                let error = reader.tensor("model/w").unwrap_err();
                assert!(matches!(error, LoadError::Replaced { number: 1, .. }), "{error}");
            } else {
                assert!(reader.tensor("model/w").is_ok());
                break;
            }
        }
    }
}

#[test]
fn the_best_the_pinned_and_every_tenth_stay() {
    for layout in LAYOUTS {
        let memory = MemoryFs::new();
        let settings = CheckpointSettings::default()
            .layout(layout)
            .keep_last(1)
            .keep_best(1, "val_loss", Goal::Lowest)
            .keep_every(10);
        let manager = open(Arc::new(memory.clone()), settings.clone());
        let save = |epoch: u64, loss: f64| {
            let metadata = StateDict::from_iter([("val_loss", State::from(loss))]);
            let ticket =
                manager.save(Snapshot::new(epoch).model(model(epoch)).metadata(metadata)).unwrap();
            ticket.durable()
        };
        manager.pin(4).unwrap();
        for (epoch, loss) in [(3, 0.5), (4, 0.9), (5, 0.1), (6, f64::NAN), (10, 0.7), (11, 0.2)] {
            save(epoch, loss);
        }
        assert_eq!(manager.list_checkpoints().unwrap(), [4, 5, 10, 11]);
        let plan = open(Arc::new(memory.clone()), settings).explain().unwrap();
        let reasons: Vec<_> = plan.into_iter().map(|d| (d.number, d.keep, d.reason)).collect();
        let metric = "val_loss".to_owned();
        assert_eq!(
            reasons,
            [
                (11, true, Reason::Newest),
                (10, true, Reason::Every(10)),
                (5, true, Reason::Best { rank: 1, metric }),
                (4, true, Reason::Pinned),
            ]
        );
        manager.unpin(4).unwrap();
        manager.unpin(4).unwrap();
        assert_eq!(save(12, 0.05).removed, [4, 5, 11]);
        assert_eq!(manager.list_checkpoints().unwrap(), [10, 12]);
        assert!(memory.power_cut().metadata(Path::new("/c/epoch_0004.pin")).unwrap().is_none());
    }
}

/// A directory with the name of a checkpoint, but not written by Q-Store, is not replaced by one.
#[test]
fn a_foreign_directory_is_never_replaced() {
    let memory = MemoryFs::new();
    let manager = open(Arc::new(memory.clone()), CheckpointSettings::default().layout(LAYOUTS[1]));
    memory.create_dir(Path::new("/c/epoch_0001")).unwrap();
    memory.create_new(Path::new("/c/epoch_0001/zarr.json")).unwrap();
    memory.create_new(Path::new("/c/epoch_0002")).unwrap();
    for epoch in [1, 2] {
        let error =
            manager.save(Snapshot::new(epoch).model(model(1))).unwrap().wait(LONG).unwrap_err();
        assert!(error.to_string().contains("was not written by Q-Store"), "{error}");
    }
    assert!(memory.metadata(Path::new("/c/epoch_0001/zarr.json")).unwrap().is_some());
    manager.save(Snapshot::new(3).model(model(3))).unwrap().durable();
    assert_eq!(manager.list_checkpoints().unwrap(), [3]);
}

#[test]
fn a_symbolic_link_in_a_directory_is_not_followed() {
    let tmp = tempfile::tempdir().unwrap();
    let settings = CheckpointSettings::default().layout(LAYOUTS[1]);
    let manager = CheckpointManager::open(tmp.path(), settings).unwrap();
    manager.save(Snapshot::new(1).model(model(1))).unwrap().durable();
    let root = std::fs::canonicalize(tmp.path()).unwrap();
    let tensor = root.join("epoch_0001/model/w");
    for target in [tensor.clone(), tensor.join("zarr.json"), root.join("epoch_0001/manifest.json")]
    {
        let outside = root.join("outside");
        std::fs::rename(&target, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &target).unwrap();
        let error = manager.load(1).unwrap_err();
        assert!(error.damage().is_some(), "{error}");
        std::fs::remove_file(&target).unwrap();
        std::fs::rename(&outside, &target).unwrap();
    }
    let loaded = manager.load(1).unwrap();
    assert_same(loaded.model().unwrap(), &model(1));
    assert!(root.join("zarr.json").exists(), "the directory is a Zarr group");
}
