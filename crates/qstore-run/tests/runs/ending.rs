//! How a run ends when something could not be written, and what is recorded of that.

use qstore_checkpoint::{SaveError, Snapshot};
use qstore_run::{Run, RunError, RunPlace, RunReader, RunSettings, RunState, ThisMachine};
use qstore_storage::MemoryFs;
use qstore_storage::testing::{Gate, Watched};
use std::io::ErrorKind::StorageFull;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run";

/// A run on a disk that fails on request.
fn start(settings: RunSettings) -> (MemoryFs, Watched, Run) {
    let memory = MemoryFs::new();
    let watched = Watched::new(&memory);
    let place = RunPlace::new(watched.shared(), Arc::new(ThisMachine));
    let run = Run::create_at_in(&place, DIR, settings.record_environment(false)).unwrap();
    (memory, watched, run)
}

/// From now on nothing below this path can be used.
fn fail_below(watched: &Watched, below: &'static str) {
    watched.set(move |_, _, path| {
        let is_below = path.to_string_lossy().contains(below);
        if is_below { Err(StorageFull.into()) } else { Ok(()) }
    });
}

fn mend(watched: &Watched) {
    watched.set(|_, _, _| Ok(()));
}

fn status(memory: &MemoryFs) -> (RunState, String) {
    let place = RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine));
    let status = RunReader::open_in(place, DIR).unwrap().status().unwrap();
    (status.state, status.reason.to_string())
}

/// A disk that was full for a moment.
#[test]
fn a_save_that_failed_and_was_reported_does_not_keep_a_run_from_finishing() {
    let (memory, watched, mut run) = start(RunSettings::default());
    fail_below(&watched, "checkpoints");
    let failed = run.save(0, Snapshot::new(0)).unwrap().wait(LIMIT);
    assert!(matches!(failed, Err(SaveError::Failed { number: 0, .. })), "{failed:?}");
    mend(&watched);
    run.save(1, Snapshot::new(1)).unwrap().wait(LIMIT).unwrap();
    let summary = run.finish().unwrap();
    let error = summary.save_error;
    assert!(matches!(error, Some(SaveError::Failed { number: 0, .. })), "{error:?}");
    assert_eq!(status(&memory).0, RunState::Finished);
}

#[test]
fn a_save_that_failed_unseen_is_returned_by_finish_and_recorded() {
    let (memory, watched, mut run) = start(RunSettings::default());
    fail_below(&watched, "checkpoints");
    drop(run.save(0, Snapshot::new(0)).unwrap());
    let failed = run.finish();
    assert!(matches!(failed, Err(RunError::Save(SaveError::Failed { .. }))), "{failed:?}");
    let (state, reason) = status(&memory);
    assert_eq!(state, RunState::Failed);
    assert!(reason.contains("the save of 0 failed"), "{reason}");
    assert!(matches!(run.finish(), Err(RunError::Ended)));
}

#[test]
fn a_failure_is_recorded_with_its_own_reason_and_the_save_is_in_the_summary() {
    let (memory, watched, mut run) = start(RunSettings::default());
    fail_below(&watched, "checkpoints");
    drop(run.save(0, Snapshot::new(0)).unwrap());
    let summary = run.fail("loss is NaN at https://me:pw@host/data").unwrap();
    assert!(summary.save_error.is_some());
    let expected = (RunState::Failed, "loss is NaN at https://host/data".to_owned());
    assert_eq!(status(&memory), expected);
}

#[test]
fn a_reason_that_could_not_be_recorded_is_recorded_by_the_drop() {
    let (memory, watched, mut run) = start(RunSettings::default());
    fail_below(&watched, "run.json");
    assert!(run.fail("loss is NaN").is_err());
    mend(&watched);
    drop(run);
    assert_eq!(status(&memory), (RunState::Failed, "loss is NaN".to_owned()));

    let (memory, watched, mut run) = start(RunSettings::default());
    fail_below(&watched, "run.json");
    assert!(run.finish().is_err());
    mend(&watched);
    drop(run);
    let (state, reason) = status(&memory);
    assert_eq!(state, RunState::Failed);
    assert!(reason.starts_with("it could not be finished: "), "{reason}");
}

#[test]
fn a_drop_records_a_save_that_failed_unseen() {
    let (memory, watched, run) = start(RunSettings::default());
    fail_below(&watched, "checkpoints");
    drop(run.save(0, Snapshot::new(0)).unwrap());
    drop(run);
    let (_, reason) = status(&memory);
    assert!(reason.starts_with("it ended without `finish`"), "{reason}");
    assert!(reason.contains("; the save of 0 failed"), "{reason}");
}

/// The thread that writes rows has the file open for as long as the disk hangs.
#[test]
fn a_drop_that_times_out_records_what_it_waited_for() {
    let (memory, watched, run) = start(RunSettings::default().finish_timeout(Duration::ZERO));
    let gate = Arc::new(Gate::default());
    let hung = Arc::clone(&gate);
    watched.set(move |_, _, path| {
        if path.to_string_lossy().contains("metrics") {
            hung.pass();
        }
        Ok(())
    });
    run.log_step((0, 0, 0.5)).unwrap();
    drop(run);
    let (state, reason) = status(&memory);
    assert_eq!(state, RunState::Failed);
    let (first, second) = reason.split_once("; ").unwrap();
    assert!(first.starts_with("it ended without `finish`"), "{reason}");
    assert!(second.contains("0ns"), "{reason}");
    gate.open();
}

#[test]
fn times_without_a_limit_do_not_overflow() {
    let runs = tempfile::tempdir().unwrap();
    let mut settings = RunSettings::default()
        .system_metrics(Duration::MAX)
        .git_timeout(Duration::MAX)
        .finish_timeout(Duration::MAX);
    settings.checkpoints = settings.checkpoints.drop_timeout(Duration::MAX);
    let mut run = Run::create(runs.path(), settings.clone()).unwrap();
    run.log_step((0, 0, 0.5)).unwrap();
    assert_eq!(run.finish().unwrap().system_error, None);
    let run = Run::create(runs.path(), settings).unwrap();
    let path = run.path().to_path_buf();
    run.log_step((0, 0, 0.5)).unwrap();
    drop(run);
    let reader = RunReader::open(&path).unwrap();
    assert_eq!(reader.status().unwrap().state, RunState::Failed);
    assert_eq!(reader.metrics().unwrap().unwrap().rows(), 1);
    assert!(Path::new(&path).join("system.parquet").exists());
}
