//! Save, load, list, info, overwrite, retention, foreign files, settings.

use crate::states::Durable;
use crate::states::{assert_same, model, optimizer, seed_of};
use qstore_schema::{State, StateDict, Tensor};
use qstore_storage::MemoryFs;
use qstore_zarr::{
    CheckpointManager, CheckpointSettings, Compression, Damage, LoadError, OpenError, SaveError,
    Snapshot, StateError,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const LONG: Duration = Duration::from_mins(1);

fn save(manager: &CheckpointManager, epoch: u64, seed: u64) -> qstore_zarr::Saved {
    manager.save(Snapshot::new(epoch).model(model(seed))).unwrap().durable()
}

#[test]
fn a_checkpoint_is_saved_listed_described_and_loaded() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("run_001/checkpoints");
    let mut manager = CheckpointManager::open(&dir, CheckpointSettings::default()).unwrap();
    assert_eq!(manager.list_checkpoints().unwrap(), [0_u64; 0]);
    assert_eq!(manager.latest_checkpoint().unwrap(), None);
    assert!(manager.load_latest().unwrap().is_none());

    let metadata = StateDict::from_iter([("val_loss", State::from(0.25)), ("tag", "best".into())]);
    let ticket = manager
        .save(Snapshot::new(7).model(model(1)).optimizer(optimizer()).metadata(metadata.clone()))
        .unwrap();
    let saved = ticket.durable();
    assert_eq!((saved.number, saved.save_seq, saved.removed), (7, 1, vec![]));
    let file = dir.join("epoch_0007.zarr.zip");
    assert_eq!(fs::metadata(&file).unwrap().len(), saved.stored_bytes);

    assert_eq!(manager.list_checkpoints().unwrap(), [7]);
    let info = manager.get_checkpoint_info(7).unwrap();
    assert_eq!((info.number, info.save_seq, info.stored_bytes), (7, 1, saved.stored_bytes));
    assert_eq!(info.tensor_bytes(), 160 + 8 + 18 + 4 + 48);
    assert_eq!(info.model_bytes(), 186);
    let age = SystemTime::now().duration_since(info.timestamp).unwrap();
    assert!(age < LONG && info.save_duration > Duration::ZERO);
    assert_same(&info.metadata, &metadata);

    let loaded = manager.load(7).unwrap();
    assert_eq!((loaded.number(), seed_of(loaded.model().unwrap())), (7, 1));
    assert_same(loaded.optimizer().unwrap(), &optimizer());
    assert_same(loaded.metadata(), &metadata);
    assert_eq!(loaded.info, info);
    manager.close(LONG).unwrap();
    assert!(manager.load(7).is_ok(), "a closed manager still loads");
    assert!(matches!(
        manager.save(Snapshot::new(8).model(model(1))),
        Err(SaveError::Closed { .. })
    ));
    let left: BTreeSet<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".qstore.json", "epoch_0007.zarr.zip"].map(OsString::from).into());
}

#[test]
fn the_error_for_a_missing_epoch_lists_the_existing_ones() {
    let manager = open_in_memory(CheckpointSettings::default());
    save(&manager, 1, 1);
    save(&manager, 12, 2);
    let error = manager.load(7).unwrap_err();
    assert_eq!(error.to_string(), "/c has no checkpoint 7; it has [1, 12]");
    assert!(matches!(manager.get_checkpoint_info(7), Err(LoadError::NotFound { number: 7, .. })));
    assert!(matches!(manager.verify(7), Err(LoadError::NotFound { .. })));
}

fn open_in_memory(settings: CheckpointSettings) -> CheckpointManager {
    CheckpointManager::open_in(Arc::new(MemoryFs::new()), Path::new("/c"), settings).unwrap()
}

#[test]
fn an_epoch_saved_again_is_replaced() {
    let manager = open_in_memory(CheckpointSettings::default());
    save(&manager, 3, 1);
    let again = save(&manager, 3, 2);
    assert_eq!((again.save_seq, again.removed.len()), (2, 0));
    assert_eq!(manager.list_checkpoints().unwrap(), [3]);
    assert_eq!(seed_of(manager.load(3).unwrap().model().unwrap()), 2);
}

// The original removes by number: saving epoch 3 after 12 deletes the new epoch 3.
#[test]
fn the_newest_save_is_kept_whatever_its_number() {
    let manager = open_in_memory(CheckpointSettings::default().keep_last(2));
    save(&manager, 11, 1);
    save(&manager, 12, 2);
    let saved = save(&manager, 3, 3);
    assert_eq!(saved.removed, [11]);
    assert_eq!(manager.list_checkpoints().unwrap(), [3, 12]);
    assert_eq!(manager.latest_checkpoint().unwrap(), Some(3));
    assert_eq!(manager.load_latest().unwrap().unwrap().checkpoint.number(), 3);
}

#[test]
fn keep_last_0_keeps_everything() {
    let manager = open_in_memory(CheckpointSettings::default().keep_last(0));
    for epoch in 0..9 {
        save(&manager, epoch, epoch);
    }
    assert_eq!(manager.list_checkpoints().unwrap(), (0..9).collect::<Vec<_>>());
}

// The original raises in `list_checkpoints` if there is a directory `epoch_best`.
#[test]
fn foreign_files_are_not_listed_and_never_touched() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    fs::create_dir(dir.join("epoch_best")).unwrap();
    fs::create_dir_all(dir.join("epoch_0001.zarr.zip/inside")).unwrap();
    fs::write(dir.join("epoch_0002.zarr.zip"), "not a checkpoint").unwrap();
    fs::write(dir.join("epoch_3.zarr.zip"), "x").unwrap();
    fs::write(dir.join("notes.txt"), "x").unwrap();
    symlink("epoch_0010.zarr.zip", dir.join("epoch_0004.zarr.zip")).unwrap();
    symlink("nowhere", dir.join("epoch_0005.zarr.zip")).unwrap();
    fs::create_dir(dir.join(".staging")).unwrap();
    fs::write(dir.join(".staging/mine.tmp"), "x").unwrap();

    let manager = CheckpointManager::open(dir, CheckpointSettings::default().keep_last(1)).unwrap();
    save(&manager, 9, 9);
    save(&manager, 10, 10);
    assert_eq!(manager.list_checkpoints().unwrap(), [10]);
    for foreign in [
        "epoch_best",
        "epoch_0001.zarr.zip/inside",
        "epoch_0002.zarr.zip",
        "epoch_3.zarr.zip",
        "notes.txt",
        ".staging/mine.tmp",
    ] {
        assert!(dir.join(foreign).exists(), "{foreign} was touched");
    }
    assert!(fs::symlink_metadata(dir.join("epoch_0005.zarr.zip")).is_ok());
    assert!(matches!(manager.load(4), Err(LoadError::NotFound { .. })), "links are not followed");
    assert!(matches!(manager.load(1), Err(LoadError::NotFound { .. })));
    let damaged = manager.load(2).unwrap_err();
    assert!(matches!(damaged.damage(), Some(Damage::Archive { .. })), "{damaged}");
}

#[test]
fn the_latest_loadable_checkpoint_is_loaded_and_the_skipped_ones_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    let manager = CheckpointManager::open(tmp.path(), CheckpointSettings::default()).unwrap();
    for epoch in [1, 2, 3] {
        save(&manager, epoch, epoch);
    }
    let file = |epoch: u64| tmp.path().join(format!("epoch_{epoch:04}.zarr.zip"));
    // Epoch 3 is truncated; epoch 2 has a flipped bit in its first chunk.
    let three = fs::read(file(3)).unwrap();
    fs::write(file(3), &three[..three.len() - 10]).unwrap();
    let mut two = fs::read(file(2)).unwrap();
    two[70] ^= 1;
    fs::write(file(2), two).unwrap();

    assert_eq!(manager.list_checkpoints().unwrap(), [1, 2], "epoch 3 has no valid manifest");
    let latest = manager.load_latest().unwrap().unwrap();
    assert_eq!(seed_of(latest.checkpoint.model().unwrap()), 1);
    let skipped: Vec<u64> = latest.skipped.iter().map(|(epoch, _)| *epoch).collect();
    assert_eq!(skipped, [2, 3]);
    assert_eq!(latest.skipped[0].1.damage().unwrap().tensor(), Some("model/w"));

    let mut one = fs::read(file(1)).unwrap();
    one[70] ^= 1;
    fs::write(file(1), one).unwrap();
    let error = manager.load_latest().unwrap_err();
    assert!(matches!(&error, LoadError::NoneValid { skipped, .. } if skipped.len() == 3));
    assert!(error.to_string().contains("tensor `model/w` does not match its checksum"), "{error}");
    assert_eq!(save(&manager, 3, 4).number, 3, "a damaged epoch can be saved again");
    assert_eq!(seed_of(manager.load_latest().unwrap().unwrap().checkpoint.model().unwrap()), 4);
}

#[test]
fn a_checkpoint_under_the_name_of_another_epoch_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let manager = CheckpointManager::open(tmp.path(), CheckpointSettings::default()).unwrap();
    save(&manager, 1, 1);
    fs::copy(tmp.path().join("epoch_0001.zarr.zip"), tmp.path().join("epoch_0002.zarr.zip"))
        .unwrap();
    assert_eq!(manager.list_checkpoints().unwrap(), [1]);
    assert!(manager.load(2).unwrap_err().to_string().contains("it belongs to checkpoint 1"));
}

#[test]
fn a_path_that_is_a_file_or_cannot_be_created_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    fs::write(&file, "x").unwrap();
    let open = |path: &Path| CheckpointManager::open(path, CheckpointSettings::default());
    assert!(
        matches!(open(&file), Err(OpenError::NotADirectory { location }) if location == file.display().to_string())
    );
    let error = open(&file.join("below")).unwrap_err();
    assert!(matches!(error, OpenError::Repository(_)), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"x");

    let real = tmp.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, tmp.path().join("link")).unwrap();
    let manager = open(&tmp.path().join("link")).unwrap();
    save(&manager, 1, 1);
    assert!(real.join("epoch_0001.zarr.zip").exists(), "a link to a directory is followed");

    let settings = CheckpointSettings::default().compression(Compression::ZSTD.level(0));
    let error = CheckpointManager::open(tmp.path().join("new"), settings).unwrap_err();
    assert!(matches!(error, OpenError::Setting(error) if error.setting == "compression"));
    assert!(!tmp.path().join("new").exists(), "an invalid setting creates nothing");
}

#[test]
fn a_state_that_cannot_be_saved_is_refused_immediately() {
    let manager = open_in_memory(CheckpointSettings::default());
    let unnamed = StateDict::from_iter([("", Tensor::scalar(1_u8))]);
    assert!(matches!(
        manager.save(Snapshot::new(1).model(unnamed.clone())),
        Err(SaveError::State(StateError::EmptyName { .. }))
    ));
    let optimizer = StateDict::from_iter([("state", unnamed)]);
    let error = manager.save(Snapshot::new(1).model(model(1)).optimizer(optimizer)).unwrap_err();
    assert!(
        matches!(error, SaveError::State(StateError::EmptyName { at }) if at == "optimizer.state")
    );
    let metadata = StateDict::from_iter([("w", Tensor::scalar(1_u8))]);
    let error = manager.save(Snapshot::new(1).model(model(1)).metadata(metadata)).unwrap_err();
    assert!(
        matches!(error, SaveError::State(StateError::TensorInMetadata { at }) if at == "metadata.w")
    );
    assert_eq!(manager.pending(), 0);
    assert_eq!(manager.list_checkpoints().unwrap(), [0_u64; 0]);
    save(&manager, 1, 1);
}

/// Regression: a relative path follows the process into another working directory. A link shows the same.
#[test]
fn the_directory_is_resolved_once_when_it_is_opened() {
    let tmp = tempfile::tempdir().unwrap();
    let (link, first, second) =
        (tmp.path().join("link"), tmp.path().join("a"), tmp.path().join("b"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    symlink(&first, &link).unwrap();
    let manager = CheckpointManager::open(&link, CheckpointSettings::default()).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&second, &link).unwrap();
    save(&manager, 1, 1);
    assert!(first.join("epoch_0001.zarr.zip").exists());
    assert_eq!(fs::read_dir(&second).unwrap().count(), 0);
}
