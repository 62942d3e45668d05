//! A training of candle that is killed and resumed in a new process, and what other programs make of its weights.

#[path = "../examples/moons/training.rs"]
mod training;

use candle_core::Device;
use candle_nn::VarMap;
use qstore_candle::{load_into, state_of};
use qstore_run::{Resumed, Run, RunReader, RunSettings};
use qstore_zarr::{export_safetensors, import_safetensors_flat};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const EPOCHS: u64 = 60;
const DIR: &str = "QSTORE_CANDLE_TEST_DIR";
const DURABLE: &str = "durable: ";

fn open(dir: &Path) -> (Run, Option<Resumed>) {
    Run::resume_or_start(dir, RunSettings::default().record_environment(false)).unwrap()
}

fn bits(vars: &VarMap) -> Vec<(String, Vec<u8>)> {
    let state = state_of(vars).unwrap();
    state.tensors().map(|(name, tensor)| (name, tensor.data().to_vec())).collect()
}

/// The weights that a training ends with.
fn train(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut run, resumed) = open(dir);
    let network = training::train(&mut run, resumed.as_ref(), EPOCHS, |_| {}).unwrap();
    run.finish().unwrap();
    bits(&network.vars)
}

/// Epoch, step and metrics of the rows that count.
fn rows(dir: &Path) -> Vec<String> {
    let run = RunReader::open(dir).unwrap();
    let file = run.metrics().unwrap().unwrap();
    let names = ["epoch", "step", "train_loss", "accuracy"];
    let mut rows = Vec::new();
    for current in run.current_rows().unwrap() {
        let table = file.read(&names, current.rows).unwrap();
        rows.extend(table.iter_rows().map(|row| format!("{row:?}")));
    }
    rows
}

#[test]
#[ignore = "started by the test of a killed training"]
fn a_training_that_waits_to_be_killed() {
    let dir = std::env::var_os(DIR).expect("only a test starts this");
    let (mut run, resumed) = open(Path::new(&dir));
    let wait = |epoch| {
        println!("{DURABLE}{epoch}");
        if epoch == 29 {
            std::thread::park();
        }
    };
    training::train(&mut run, resumed.as_ref(), EPOCHS, wait).unwrap();
}

#[test]
fn a_training_that_is_killed_and_resumed_in_a_new_process_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let (straight, killed) = (dir.path().join("straight"), dir.path().join("killed"));
    let expected = train(&straight);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_training_that_waits_to_be_killed", "--ignored", "--nocapture"])
        .env(DIR, &killed)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_last = |line: &String| line.ends_with(&format!("{DURABLE}29"));
    lines.map_while(Result::ok).find(is_last).expect("it says so before it waits");
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(train(&killed), expected);
    assert_eq!(rows(&killed), rows(&straight));
    assert_eq!(rows(&straight).len(), EPOCHS as usize);
    let last = rows(&straight).pop().unwrap();
    assert!(last.contains("(\"accuracy\", Float(0.9"), "{last}");
}

#[test]
fn weights_come_from_and_go_to_the_files_of_candle() {
    let dir = tempfile::tempdir().unwrap();
    let (mut run, _) = open(&dir.path().join("run"));
    let network = training::train(&mut run, None, 20, |_| {}).unwrap();
    run.finish().unwrap();
    let expected = bits(&network.vars);

    // Written by candle, loaded as a state.
    let theirs = dir.path().join("theirs.safetensors");
    network.vars.save(&theirs).unwrap();
    let state = import_safetensors_flat(&theirs).unwrap();
    for var in network.vars.all_vars() {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    load_into(&network.vars, &state).unwrap();
    assert_eq!(bits(&network.vars), expected);

    // Written by us, read by candle.
    let ours = dir.path().join("ours.safetensors");
    export_safetensors(&ours, &state).unwrap();
    let read = candle_core::safetensors::load(&ours, &Device::Cpu).unwrap();
    assert_eq!(read.len(), expected.len());
    for (name, bytes) in expected {
        let tensor = qstore_candle::from_candle(&read[&name]).unwrap();
        assert_eq!(tensor.data().to_vec(), bytes, "{name}");
    }
}
