//! What `run.json` records, and how it is changed.

use qstore_logger::LoggerSettings;
use qstore_run::{
    AttemptOutcome, Direction, JsonValue, Run, RunDirectory, RunError, RunReader, RunSettings,
    edit_run_json, edit_run_json_in,
};
use qstore_storage::testing::{CrashFs, cuts};
use qstore_storage::{FileSystem, LocalFs, Locking, MemoryFs, create_dir_all, read_all};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

#[test]
fn a_run_records_what_it_is() {
    let runs = tempfile::tempdir().unwrap();
    let settings = RunSettings::default()
        .group("g")
        .tag("a")
        .notes("why")
        .param("lr", 0.1)
        .param("password", "x")
        .seed(7)
        .goal("loss", Direction::Min);
    let mut run = Run::create(runs.path(), settings).unwrap();
    assert_eq!(run.path(), runs.path().join("run_001"));
    run.finish().unwrap();
    let reader = RunReader::open(run.path()).unwrap();
    let file = reader.run_json();
    assert_eq!((file.name.as_str(), file.id.as_str()), ("run_001", run.id()));
    assert_eq!((file.group.as_deref(), file.tags.as_slice()), (Some("g"), &["a".to_owned()][..]));
    assert_eq!((file.notes.as_str(), file.seed), ("why", Some(7)));
    assert_eq!(file.params["lr"], 0.1);
    assert_eq!(file.params["password"], "***");
    assert_eq!(file.goal.as_ref().unwrap().metric, "loss");
    let attempt = file.last_attempt().unwrap();
    assert_eq!((attempt.number, attempt.pid), (1, std::process::id()));
    assert_eq!(attempt.outcome, Some(AttemptOutcome::Finished));
    assert!(attempt.ended >= Some(attempt.started) && !attempt.argv.is_empty());
    assert_eq!(reader.name(), "run_001");
    let metrics = reader.metrics().unwrap().unwrap();
    let segment = &metrics.audit().unwrap().segments[0];
    assert_eq!((segment.run_id.as_str(), segment.attempt), (run.id(), Some(1)));
}

#[test]
fn an_environment_that_is_not_wanted_is_not_recorded() {
    let runs = tempfile::tempdir().unwrap();
    let settings = RunSettings::default().record_environment(false);
    Run::create(runs.path(), settings).unwrap().finish().unwrap();
    let reader = RunReader::open(runs.path().join("run_001")).unwrap();
    let attempt = reader.run_json().last_attempt().unwrap().clone();
    assert!(attempt.argv.is_empty() && attempt.git.is_none() && attempt.env.is_empty());
}

#[test]
fn a_later_attempt_adds_and_replaces_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let settings = RunSettings::default().tag("a").param("lr", 0.1).param("n", 3).seed(1);
    let mut run = Run::create(runs.path(), settings).unwrap();
    run.finish().unwrap();
    let dir = run.path().to_path_buf();
    drop(run);
    let settings = RunSettings::default().tag("a").tag("b").param("lr", 0.2).param("n", 3).seed(2);
    let (mut run, _) = Run::resume(&dir, settings).unwrap();
    run.finish().unwrap();
    let reader = RunReader::open(&dir).unwrap();
    let file = reader.run_json();
    assert_eq!((file.tags.join(" "), file.seed), ("a b".to_owned(), Some(1)));
    assert_eq!(file.params["lr"], 0.1);
    let changed = &file.last_attempt().unwrap().params;
    assert_eq!((changed.len(), &changed["lr"]), (1, &JsonValue::from(0.2)));
}

#[test]
fn a_live_run_and_other_programs_lose_nothing_of_each_other() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let dir = run.path().to_path_buf();
    thread::scope(|scope| {
        for thread in 0..4 {
            let dir = &dir;
            scope.spawn(move || {
                for number in 0..20 {
                    let tag = format!("{thread}-{number}");
                    edit_run_json(dir, |file| file.tags.push(tag)).unwrap();
                }
            });
        }
        run.finish().unwrap();
    });
    let reader = RunReader::open(&dir).unwrap();
    let mut tags = reader.run_json().tags.clone();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 80);
    assert_eq!(reader.run_json().attempts[0].outcome, Some(AttemptOutcome::Finished));
}

/// A later version of this library has added something everywhere.
#[test]
fn unknown_fields_are_kept() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let path = run.path().join("run.json");
    let mut file: JsonValue = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file["later"] = serde_json::json!({"float": 0.1, "list": [u64::MAX, -1, null]});
    file["attempts"][0]["gpus"] = serde_json::json!(["x"]);
    file["attempts"][0]["git"] = serde_json::json!({"commit": "c", "tag": {"name": "v1"}});
    std::fs::write(&path, file.to_string()).unwrap();
    run.finish().unwrap();
    edit_run_json(run.path(), |file| file.notes = "text".into()).unwrap();
    let found: JsonValue = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(found["later"], file["later"]);
    for field in ["gpus", "git"] {
        assert_eq!(found["attempts"][0][field], file["attempts"][0][field]);
    }
    assert_eq!(
        (&found["notes"], &found["attempts"][0]["outcome"]),
        (&"text".into(), &"finished".into())
    );
}

/// Killed, or without power, before every storage operation of a change.
#[test]
fn run_json_is_the_old_one_or_the_new_one_and_never_torn() {
    let scratch = tempfile::tempdir().unwrap();
    let mut run = Run::create(scratch.path(), RunSettings::default()).unwrap();
    run.finish().unwrap();
    let mut file: JsonValue =
        serde_json::from_slice(&std::fs::read(run.path().join("run.json")).unwrap()).unwrap();
    file["later"] = "kept".into();
    // Longer than a block of the disk, so that it can be torn.
    let notes = ["old ".repeat(3000), "new ".repeat(4000)];
    file["notes"] = notes[0].clone().into();

    let memory = MemoryFs::new();
    create_dir_all(&memory, Path::new("/run")).unwrap();
    let json = memory.create_new(Path::new("/run/run.json")).unwrap();
    json.write_at(0, file.to_string().as_bytes()).unwrap();
    json.sync().unwrap();
    memory.sync_dir(Path::new("/run")).unwrap();

    let looks = Arc::new(AtomicUsize::new(0));
    let has_new = Arc::new(AtomicBool::new(false));
    let (count, is_new) = (Arc::clone(&looks), Arc::clone(&has_new));
    let crash = CrashFs::new(&memory, move |moment| {
        let mut left = vec![moment.memory.process_kill()];
        left.extend(
            cuts(3, moment.number, 4).into_iter().map(|cut| moment.memory.power_cut_by(cut)),
        );
        for files in left {
            let bytes = read_all(&files, Path::new("/run/run.json")).unwrap();
            let found: JsonValue = serde_json::from_slice(&bytes).unwrap();
            assert!(notes.iter().any(|text| found["notes"] == text.as_str()), "{moment}");
            assert_eq!(found["later"], "kept", "{moment}");
            is_new.fetch_or(found["notes"] == notes[1].as_str(), SeqCst);
            count.fetch_add(1, SeqCst);
            // The next program is not in the way of what was left behind.
            let files: Arc<dyn FileSystem> = Arc::new(files);
            edit_run_json_in(&files, "/run", Locking::Required, |file| file.tags.push("x".into()))
                .unwrap();
        }
    });
    let files: Arc<dyn FileSystem> = crash.shared();
    let new = "new ".repeat(4000);
    edit_run_json_in(&files, "/run", Locking::Required, |file| file.notes.clone_from(&new))
        .unwrap();
    let cut = memory.power_cut();
    let bytes = read_all(&cut, Path::new("/run/run.json")).unwrap();
    let found: JsonValue = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(found["notes"], new.as_str(), "what was acknowledged is durable");
    assert!(looks.load(SeqCst) > 50 && has_new.load(SeqCst), "{looks:?}");
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    run.finish().unwrap();
    let path = run.path().join("run.json");
    let before = LocalFs.stamp(&path).unwrap();
    edit_run_json(run.path(), |_| {}).unwrap();
    assert_eq!(LocalFs.stamp(&path).unwrap(), before);
}

#[test]
fn what_cannot_be_changed_says_which_file_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let edit = || edit_run_json(path, |file| file.tags.push("x".into())).unwrap_err();
    assert!(matches!(edit(), RunError::NotARun { .. }));
    std::fs::write(path.join("metrics.parquet"), "").unwrap();
    let error = edit();
    assert!(matches!(error, RunError::NoRunJson { .. }), "{error}");
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    std::fs::write(path.join("run.json"), "{").unwrap();
    let (error, file) = (edit(), path.join("run.json"));
    assert!(matches!(&error, RunError::Malformed { path, .. } if *path == file), "{error}");
}

/// What is written can be read again.
#[test]
fn a_record_that_would_be_too_long_is_refused() {
    let runs = tempfile::tempdir().unwrap();
    let long = "x".repeat(64 << 20);
    let refused = Run::create(runs.path(), RunSettings::default().notes(&long));
    assert!(matches!(refused, Err(RunError::TooLong { .. })), "{refused:?}");
    assert!(!runs.path().join("run_001/run.json").exists());
    let mut run = Run::create(runs.path(), RunSettings::default()).unwrap();
    let refused = edit_run_json(run.path(), |file| file.notes.clone_from(&long));
    assert!(matches!(refused, Err(RunError::TooLong { .. })));
    run.finish().unwrap();
    assert_eq!(RunReader::open(run.path()).unwrap().run_json().notes, "");
}

/// Settings of the parts, too.
#[test]
fn settings_that_cannot_be_used_create_nothing() {
    let runs = tempfile::tempdir().unwrap();
    let settings = RunSettings::default().logger(LoggerSettings::default().buffer_size(0));
    assert!(matches!(Run::create(runs.path(), settings), Err(RunError::Setting(_))));
    assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);
}

#[test]
fn the_latest_run_is_the_one_with_the_largest_number() {
    let runs = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        Run::create(runs.path(), RunSettings::default()).unwrap().finish().unwrap();
    }
    let directory = RunDirectory::new(runs.path());
    assert_eq!(directory.latest().unwrap(), Some(runs.path().join("run_003")));
    let readers = directory.readers().unwrap();
    assert!(readers.len() == 3 && readers.iter().all(|(_, reader)| reader.is_ok()));
    let named = Run::create(runs.path(), RunSettings::default().name("mine")).unwrap();
    assert_eq!(named.path(), runs.path().join("mine"));
    drop(named);
    assert!(Run::create(runs.path(), RunSettings::default().name("mine")).is_err());
}
