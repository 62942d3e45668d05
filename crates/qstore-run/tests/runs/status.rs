//! What has become of a run, with real locks and processes.

use qstore_os::testing::{Fork, in_child};
use qstore_run::{Reason, Run, RunError, RunReader, RunSettings, RunState};
use std::path::Path;

fn state(dir: &Path) -> RunState {
    RunReader::open(dir).unwrap().status().unwrap().state
}

/// What a run that has ended leaves open is closed when the test ends.
fn leak(run: Run) {
    std::mem::forget(run);
}

#[test]
fn a_run_is_running_until_it_has_ended_and_the_end_says_how() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let dir = run.path().to_path_buf();
    let status = RunReader::open(&dir).unwrap().status().unwrap();
    assert_eq!((status.state, status.reason), (RunState::Running, Reason::Held));
    run.finish().unwrap();
    assert_eq!(state(&dir), RunState::Finished);
    assert!(matches!(run.finish(), Err(RunError::Ended)));
    drop(run);
    assert_eq!(state(&dir), RunState::Finished);

    let (mut run, _) = Run::resume(&dir, RunSettings::default()).unwrap();
    assert_eq!(state(&dir), RunState::Running);
    run.fail("loss is NaN").unwrap();
    let status = RunReader::open(&dir).unwrap().status().unwrap();
    assert_eq!(status.state, RunState::Failed);
    assert_eq!(status.reason.to_string(), "loss is NaN");
}

#[test]
fn a_run_that_is_dropped_has_failed_and_its_rows_are_there() {
    let runs = tempfile::tempdir().unwrap();
    for is_panic in [false, true] {
        let run = Run::create(runs.path(), RunSettings::default()).unwrap();
        let dir = run.path().to_path_buf();
        let thread = std::thread::spawn(move || {
            run.log_step((0, 0, 0.5)).unwrap();
            // Not by `panic!`, whose hook would print.
            assert!(!is_panic || std::panic::resume_unwind(Box::new("on purpose")));
        });
        assert_eq!(thread.join().is_err(), is_panic);
        let reader = RunReader::open(&dir).unwrap();
        let status = reader.status().unwrap();
        assert_eq!(status.state, RunState::Failed);
        let expected = if is_panic { "it panicked" } else { "it ended without `finish`" };
        assert!(status.reason.to_string().starts_with(expected), "{}", status.reason);
        assert_eq!(reader.progress().unwrap().rows, 1);
    }
}

/// The process of this test lives on; only what it holds is lost, as by `kill -9`.
#[test]
fn a_child_that_is_killed_has_crashed() {
    let runs = tempfile::tempdir().unwrap();
    let dir = runs.path().join("run");
    in_child(Fork::Library, || {
        // Ends without running destructors.
        leak(Run::create_at(&dir, RunSettings::default()).unwrap());
    })
    .unwrap();
    let status = RunReader::open(&dir).unwrap().status().unwrap();
    assert_eq!((status.state, status.reason), (RunState::Crashed, Reason::Released));
}

#[test]
fn a_second_writer_is_refused_and_told_of_the_first() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let refused = Run::resume(run.path(), RunSettings::default()).unwrap_err();
    assert!(matches!(refused, RunError::Running { .. }));
    let message = refused.to_string();
    let pid = message.split("by process ").nth(1).and_then(|rest| rest.split(';').next());
    assert_eq!(pid.and_then(|pid| pid.parse().ok()), Some(std::process::id()), "{message}");
    let exists = Run::create_at(run.path(), RunSettings::default()).unwrap_err();
    assert!(matches!(exists, RunError::Running { .. }), "{exists}");
    run.finish().unwrap();
    drop(run);
    let exists = Run::create_at(runs.path().join("run_001"), RunSettings::default()).unwrap_err();
    assert!(matches!(exists, RunError::Exists { .. }), "{exists}");
}

#[test]
fn a_forked_child_neither_ends_the_run_nor_writes_into_it() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Some(Run::create(runs.path(), RunSettings::default()).unwrap());
    let dir = run.as_ref().unwrap().path().to_path_buf();
    for fork in Fork::ALL {
        in_child(fork, || {
            let mut run = run.take().unwrap();
            assert!(run.log_step((0, 0, 0.5)).is_err());
            assert!(matches!(run.finish(), Err(RunError::Forked)));
            drop(run);
        })
        .unwrap();
        assert_eq!(state(&dir), RunState::Running, "{fork:?}");
    }
    run.unwrap().finish().unwrap();
    assert_eq!(state(&dir), RunState::Finished);
}

/// `cp -r` of a run that goes on.
#[test]
fn a_copy_of_a_running_run_is_not_reported_as_crashed_and_can_be_resumed() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let copy = runs.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["run.json", "metrics.parquet", ".run.lock"] {
        std::fs::copy(run.path().join(name), copy.join(name)).unwrap();
    }
    let status = RunReader::open(&copy).unwrap().status().unwrap();
    assert_eq!((status.state, status.reason), (RunState::Unknown, Reason::Copied));
    let (mut resumed, _) = Run::resume(&copy, RunSettings::default()).unwrap();
    assert_eq!((state(&copy), resumed.attempt()), (RunState::Running, 2));
    resumed.finish().unwrap();
    assert_eq!((state(&copy), state(run.path())), (RunState::Finished, RunState::Running));
    run.finish().unwrap();
}

#[test]
fn a_run_that_is_renamed_goes_on() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let moved = runs.path().join("moved");
    std::fs::rename(run.path(), &moved).unwrap();
    assert_eq!(state(&moved), RunState::Running);
    run.log_step((0, 0, 0.5)).unwrap();
    run.finish().unwrap();
    assert_eq!(state(&moved), RunState::Finished);
    assert_eq!(RunReader::open(&moved).unwrap().progress().unwrap().rows, 1);
    assert!(!runs.path().join("run_001").exists());
}

#[test]
fn what_is_not_a_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(RunReader::open(dir.path()), Err(RunError::NotARun { .. })));
    assert!(matches!(RunReader::open(dir.path().join("no")), Err(RunError::NotARun { .. })));
    let resumed = Run::resume(dir.path(), RunSettings::default());
    assert!(matches!(resumed, Err(RunError::NotARun { .. })));
    for (text, expected) in [
        ("{", "is malformed"),
        ("{\"format\":\"other\",\"version\":1}", "its format is `other`"),
        ("{\"format\":\"qstore-run\",\"version\":2}", "has version 2"),
        ("{\"format\":\"qstore-run\",\"version\":1}", "missing field"),
    ] {
        std::fs::write(dir.path().join("run.json"), text).unwrap();
        let error = RunReader::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(Run::resume(dir.path(), RunSettings::default()).is_err());
        assert_eq!(std::fs::read_to_string(dir.path().join("run.json")).unwrap(), text);
    }
}
