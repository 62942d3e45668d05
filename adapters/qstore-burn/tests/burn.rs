//! Trainings of burn: recorded, killed at every part of a checkpoint, and resumed in a new process.

#[path = "../examples/iris/training.rs"]
mod training;

use burn::module::{Module, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn::train::checkpoint::Checkpointer;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::Split;
use qstore_burn::{BurnRun, OnError};
use qstore_checkpoint::LoadError;
use qstore_run::{RunReader, RunSettings};
use qstore_zarr::{CheckpointSettings, Checkpoints};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use training::Hang;

const EPOCHS: usize = 6;
const DIR: &str = "QSTORE_BURN_TEST_DIR";
const WHERE: &str = "QSTORE_BURN_TEST_WHERE";

fn settings() -> RunSettings {
    RunSettings::default()
        .record_environment(false)
        .checkpoints(CheckpointSettings::default().keep_last(3))
}

fn open(dir: &Path) -> BurnRun {
    BurnRun::resume_or_start(dir, settings(), OnError::Stop).unwrap()
}

/// This program again, as one of the tests below.
fn child(test: &str, dir: &Path, place: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(WHERE, place)
        .spawn()
        .unwrap()
}

fn told() -> (PathBuf, String) {
    let told = |name| std::env::var(name).expect("only a test starts this");
    (told(DIR).into(), told(WHERE))
}

/// The weights that a training ends with, as bits.
fn train(run: &BurnRun) -> Vec<u32> {
    let result = training::train(run, EPOCHS, Hang::Never);
    assert!(result.error.is_none(), "{:?}", result.error);
    result.model.weights().into_iter().map(f32::to_bits).collect()
}

#[test]
#[ignore = "started by the test of killed trainings"]
fn a_training_that_hangs() {
    let (dir, place) = told();
    training::train(&open(&dir), EPOCHS, Hang::Before(place.parse().unwrap()));
}

#[test]
fn a_training_that_is_killed_and_resumed_in_a_new_process_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let straight = dir.path().join("straight");
    let run = open(&straight);
    let expected = train(&run);
    let progress = run.progress();
    assert_eq!((progress.epochs_done, progress.is_over), (EPOCHS, true));
    println!("blocked: {:?}", run.blocked());
    assert_eq!(run.blocked().saves, EPOCHS as u64);
    run.finish().unwrap();

    let killed = dir.path().join("killed");
    let mut hangs = child("a_training_that_hangs", &killed, "4");
    while !killed.join("checkpoints/epoch_0003.zarr.zip").exists() {
        assert!(hangs.try_wait().unwrap().is_none(), "it has ended by itself");
        // sleep: another process is given time between two looks at its directory.
        std::thread::sleep(Duration::from_millis(5));
    }
    hangs.kill().unwrap();
    hangs.wait().unwrap();

    let run = open(&killed);
    assert_eq!(run.resumed_epoch(), Some(3));
    // Burn can ask for the metrics of epochs that another process has trained.
    let mut logger = run.metric_logger();
    for split in [Split::Train, Split::Valid] {
        assert_eq!(logger.read_numeric("Loss", 3, &split).unwrap().len(), 1);
        assert!(logger.read_numeric("Loss", 4, &split).unwrap().is_empty());
    }
    drop(logger);
    assert_eq!(train(&run), expected);
    run.finish().unwrap();

    // The rows that count are those of the training that was not killed.
    let (straight, killed) = (rows(&straight), rows(&killed));
    assert_eq!(straight.len(), EPOCHS * (7 + 1));
    assert_eq!(killed, straight);
}

/// Epoch, step and the bits of every metric of the rows that count.
fn rows(dir: &Path) -> Vec<String> {
    let run = RunReader::open(dir).unwrap();
    let file = run.metrics().unwrap().unwrap();
    let names = ["epoch", "step", "train_loss", "val_loss", "accuracy", "val_accuracy"];
    let mut rows = Vec::new();
    for current in run.current_rows().unwrap() {
        let table = file.read(&names, current.rows).unwrap();
        rows.extend(table.iter_rows().map(|row| format!("{row:?}")));
    }
    rows
}

#[derive(Module, Debug)]
struct Numbered {
    number: Param<Tensor<1>>,
}

fn record(epoch: usize) -> ModuleRecord {
    let device = Device::flex();
    let number = Tensor::from_data([epoch as f32; 4096], &device);
    Numbered { number: Param::from_tensor(number) }.into_record()
}

fn save(run: &BurnRun, part: usize, epoch: usize) {
    let (model, optimizer, scheduler) = run.checkpointers();
    [model, optimizer, scheduler][part].save(epoch, record(epoch)).unwrap();
}

/// Saves epochs until the place at which it kills itself: before part 0, 1 or 2 of an epoch, or at once after it.
#[test]
#[ignore = "started by the test of killed saves"]
fn a_program_that_kills_itself_between_parts() {
    let (dir, place) = told();
    let run = open(&dir);
    let first = run.resumed_epoch().unwrap_or(0) + 1;
    let place: usize = place.parse().unwrap();
    for at in 0.. {
        if at == place {
            // Every other time what was saved before is on the disk.
            while place % 2 == 1 && run.with(|run| run.checkpoints().pending()) > 0 {
                std::thread::yield_now();
            }
            let me = std::process::id().to_string();
            Command::new("kill").args(["-9", &me]).status().unwrap();
            std::thread::park();
        }
        save(&run, at % 3, first + at / 3);
    }
}

#[test]
fn killed_between_the_parts_a_checkpoint_is_always_a_whole_triple() {
    let kills = std::env::var("QSTORE_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("run");
    let mut saved = 0;
    for kill in 0..kills {
        // Each number of parts from none to three epochs.
        let place = kill % 10;
        let status = child("a_program_that_kills_itself_between_parts", &dir, &place.to_string());
        assert!(!{ status }.wait().unwrap().success());
        let checkpoints = match Checkpoints::open(dir.join("checkpoints")) {
            Ok(checkpoints) => checkpoints,
            Err(_) if kill == 0 => continue,
            Err(error) => panic!("{error}"),
        };
        for number in checkpoints.list_checkpoints().unwrap() {
            let checkpoint = match checkpoints.load(number) {
                Ok(checkpoint) => checkpoint,
                Err(LoadError::NotFound { .. }) => continue,
                Err(error) => panic!("kill {kill}: {error}"),
            };
            for part in ["model", "optimizer", "scheduler"] {
                let tensors = checkpoint.part(part).unwrap().dict("tensors").unwrap();
                let number_in_it = tensors.tensor("number").unwrap().as_slice::<f32>().unwrap()[0];
                assert_eq!(
                    number_in_it.to_bits(),
                    (number as f32).to_bits(),
                    "kill {kill}: {part}"
                );
            }
            saved = saved.max(number);
        }
    }
    assert!(saved >= kills as u64 / 5, "{saved} epochs after {kills} kills");
    println!("{kills} kills, up to epoch {saved}");
}

/// A disk that fails must end the training by burn's own way, and never by a panic.
#[test]
fn a_save_that_fails_ends_the_training_or_is_reported_at_the_end_and_nothing_panics() {
    for on_error in [OnError::Stop, OnError::Warn] {
        let dir = tempfile::tempdir().unwrap();
        let run = BurnRun::resume_or_start(dir.path().join("run"), settings(), on_error).unwrap();
        // From now on no file can be created there.
        let checkpoints = dir.path().join("run/checkpoints");
        std::fs::remove_dir_all(&checkpoints).unwrap();
        std::fs::write(&checkpoints, "in the way").unwrap();
        let result = training::train(&run, EPOCHS, Hang::Never);
        match on_error {
            OnError::Stop => assert!(result.error.is_some()),
            OnError::Warn => {
                assert!(result.error.is_none(), "{:?}", result.error);
                assert!(run.unreported().is_some());
            }
        }
        let _ = run.finish();
    }
}
