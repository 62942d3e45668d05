//! Runs that are interrupted and go back: the curve is that of a run that was not.

use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_checkpoint::seal::seal;
use qstore_checkpoint::{Counter, Layout, LoadError, Snapshot};
use qstore_logger::{LoggerSettings, MetricsRow};
use qstore_parquet::{Values, WriterSettings};
use qstore_run::{Run, RunError, RunPlace, RunReader, RunSettings, RunState, ThisMachine};
use qstore_schema::StateDict;
use qstore_storage::testing::{CrashFs, Watched};
use qstore_storage::{FileSystem, MemoryFs, Operation, create_dir_all, read_all};
use qstore_zarr::CheckpointSettings;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run";

fn settings() -> RunSettings {
    RunSettings::default()
        .record_environment(false)
        .logger(LoggerSettings::default().buffer_size(64))
        .writer(WriterSettings::default().row_group_rows_max(16).flush_interval(5))
        .checkpoints(CheckpointSettings::default().keep_last(0).workers(1))
}

fn place(memory: &MemoryFs) -> RunPlace {
    RunPlace::new(Arc::new(memory.clone()), Arc::new(ThisMachine))
}

/// Continues the run, or creates it.
fn resume(memory: &MemoryFs, settings: RunSettings) -> (Run, i64) {
    let (run, resumed) = Run::resume_or_start_in(&place(memory), DIR, settings).unwrap();
    if let Some(resumed) = &resumed {
        assert_eq!(resumed.rows_missing, 0, "a checkpoint appeared before its rows");
        let model = resumed.checkpoint.model().unwrap();
        assert_eq!(model.int("next"), resumed.step.map(|step| step + 1));
    }
    let next = resumed.and_then(|resumed| resumed.checkpoint.model()?.int("next"));
    (run, next.unwrap_or(0))
}

fn log(run: &Run, steps: std::ops::Range<i64>) {
    for step in steps {
        assert!(run.log_step((0, step, loss(step))).unwrap().is_accepted());
    }
}

fn save(run: &Run, number: u64, next: i64) {
    let model = StateDict::from_iter([("next", next)]);
    let ticket = run.save(next - 1, Snapshot::new(number).model(model)).unwrap();
    ticket.wait(LIMIT).unwrap();
}

/// What the training computes at a step; nothing else decides it.
fn loss(step: i64) -> f64 {
    (step as f64 * 0.37).sin()
}

/// The steps and losses of the rows that count.
fn clean(reader: &RunReader) -> Vec<(i64, u64)> {
    let mut rows = Vec::new();
    for current in reader.current_rows().unwrap() {
        let file = reader.metrics().unwrap().unwrap();
        let table = file.read(&["step", "train_loss"], current.rows).unwrap();
        let (Some(Values::Int(steps)), Some(Values::Float(losses))) =
            (table.column("step"), table.column("train_loss"))
        else {
            panic!("{table:?}");
        };
        let losses = losses.iter().map(|loss| loss.unwrap().to_bits());
        rows.extend(steps.iter().map(|step| step.unwrap()).zip(losses));
    }
    rows
}

#[derive(Debug, Clone)]
enum Event {
    /// That many steps.
    Train(u8),
    Save,
    /// A save that is not waited for.
    SaveAndGoOn,
    Flush,
    /// The process is killed; the next one goes on from the newest checkpoint.
    Kill,
    /// The same, and the next one goes back to an older checkpoint.
    KillAndRewind(u8),
    /// The process is killed, and so is the next one, before that change of the disk.
    KillTwice(u8),
    /// The run ends well, and is resumed later.
    Finish,
    /// The power is cut.
    PowerCut,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => (1..25_u8).prop_map(Event::Train),
        3 => Just(Event::Save),
        1 => Just(Event::SaveAndGoOn),
        1 => Just(Event::Flush),
        2 => Just(Event::Kill),
        2 => any::<u8>().prop_map(Event::KillAndRewind),
        1 => any::<u8>().prop_map(Event::KillTwice),
        1 => Just(Event::Finish),
        1 => Just(Event::PowerCut),
    ];
    proptest::collection::vec(event, 1..14)
}

/// What a process leaves that creates or resumes the run and is killed before a change of the disk. If there are
/// fewer changes, it is killed after its end.
fn killed_at(memory: &MemoryFs, change: u8) -> MemoryFs {
    let left = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&left);
    let crash = CrashFs::new(memory, move |moment| {
        if moment.number == usize::from(change) {
            *seen.lock().unwrap() = Some(moment.memory.process_kill());
        }
    });
    let place = RunPlace::new(crash.shared(), Arc::new(ThisMachine));
    drop(Run::resume_or_start_in(&place, DIR, settings()).unwrap());
    let left = left.lock().unwrap().take();
    left.unwrap_or_else(|| memory.process_kill())
}

/// Runs a history, and returns what is left and the next step of the training.
fn live(first: Option<u8>, history: &[Event]) -> (MemoryFs, i64) {
    let mut memory = MemoryFs::new();
    create_dir_all(&memory, Path::new("/")).unwrap();
    if let Some(change) = first {
        memory = killed_at(&memory, change);
    }
    let (mut run, mut next) = resume(&memory, settings());
    let mut number = 0;
    for event in history {
        match event {
            Event::Train(steps) => {
                for _ in 0..*steps {
                    // The ring is small, and a dropped row would be a loss that nothing can repair.
                    while !run.log_step((next / 10, next, loss(next))).unwrap().is_accepted() {
                        std::thread::yield_now();
                    }
                    next += 1;
                }
            }
            Event::Save => {
                save(&run, number, next);
                number += 1;
            }
            Event::SaveAndGoOn => {
                let model = StateDict::from_iter([("next", next)]);
                drop(run.save(next - 1, Snapshot::new(number).model(model)).unwrap());
                number += 1;
            }
            Event::Flush => run.logger().flush(LIMIT).unwrap(),
            Event::Finish => {
                run.finish().unwrap();
                drop(run);
                (run, next) = resume(&memory, settings());
            }
            Event::Kill | Event::KillAndRewind(_) | Event::KillTwice(_) | Event::PowerCut => {
                let left = match event {
                    Event::PowerCut => memory.power_cut(),
                    _ => memory.process_kill(),
                };
                // What the dying process writes does not reach what is left.
                drop(run);
                memory = left;
                if let Event::KillTwice(change) = event {
                    memory = killed_at(&memory, *change);
                }
                let mut settings = settings();
                if let Event::KillAndRewind(choice) = event {
                    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
                    let saved = reader.checkpoints().unwrap().map(|all| all.list_checkpoints());
                    let saved = saved.transpose().unwrap().unwrap_or_default();
                    if !saved.is_empty() {
                        settings = settings.resume_from(saved[usize::from(*choice) % saved.len()]);
                    }
                }
                (run, next) = resume(&memory, settings);
            }
        }
    }
    run.finish().unwrap();
    (memory, next)
}

fn check(first: Option<u8>, history: &[Event]) {
    let (memory, next) = live(first, history);
    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
    assert_eq!(reader.status().unwrap().state, RunState::Finished);
    let expected: Vec<_> = (0..next).map(|step| (step, loss(step).to_bits())).collect();
    assert_eq!(clean(&reader), expected, "{first:?} {history:?}");
    // Every row stays in the file, and counts or does not.
    let file = reader.metrics().unwrap().unwrap();
    let count: u64 = reader.superseded().unwrap().iter().map(|rows| rows.end - rows.start).sum();
    assert_eq!(count + next as u64, file.rows());
    assert!(reader.losses().unwrap().refused == 0);
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig {
        cases: 1000,
        max_shrink_iters: 200,
        ..Default::default()
    }))]

    #[test]
    fn the_rows_that_count_are_those_of_an_uninterrupted_run(
        first in proptest::option::of(any::<u8>()),
        history in events(),
    ) {
        check(first, &history);
    }
}

/// Between the metrics file and `run.json` there is a session of attempt 1 of a run that does not exist.
#[test]
fn a_kill_at_any_moment_of_the_creation_supersedes_no_row() {
    let history = [Event::Train(7), Event::Save, Event::Kill, Event::Train(2)];
    for change in 0..60 {
        check(Some(change), &history);
    }
}

#[test]
fn a_checkpoint_records_its_run_its_attempt_and_how_many_rows_it_has_seen() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    for step in 0..7 {
        run.log_step((0, step, loss(step))).unwrap();
    }
    save(&run, 3, 7);
    let info = run.checkpoints().get_checkpoint_info(3).unwrap();
    let meta = info.metadata.dict("qstore").unwrap();
    assert_eq!((meta.text("run"), meta.int("attempt")), (Some(run.id()), Some(1)));
    assert_eq!((meta.int("step"), meta.int("rows_accepted")), (Some(6), Some(7)));
    assert_eq!(info.attempt.unwrap().as_str(), "1");
    run.finish().unwrap();

    drop(run);
    let (mut run, next) = resume(&memory, settings());
    assert_eq!((next, run.attempt()), (7, 2));
    run.finish().unwrap();
    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
    let from = reader.run_json().attempts[1].from.clone().unwrap();
    assert_eq!((from.attempt, from.number, from.step), (Some(1), 3, Some(6)));
    assert_eq!((from.rows_accepted, reader.run_json().attempts[1].cut_row), (Some(7), Some(7)));
}

/// Attempt 2 went back behind it and was killed at once. Going on from it would undo the choice.
#[test]
fn a_checkpoint_that_was_given_up_is_passed_over() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    for (number, step) in (0..20).step_by(5).enumerate() {
        log(&run, step..step + 5);
        save(&run, number as u64, step + 5);
    }
    run.finish().unwrap();
    drop(run);
    let (run, next) = resume(&memory, settings().resume_from(1));
    assert_eq!(next, 10);
    drop(run);
    let (mut run, next) = resume(&memory, settings());
    assert_eq!(next, 10, "checkpoints 2 and 3 are of what was given up");
    run.log_step((0, 10, loss(10))).unwrap();
    run.finish().unwrap();
    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
    assert_eq!(clean(&reader).len(), 11);
    assert_eq!(reader.superseded().unwrap(), one(10..20));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_reported_and_all_of_them_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (mut run, _) = Run::resume_or_start(&path, settings()).unwrap();
    for number in 0..2 {
        run.log_step((0, number as i64, 0.5)).unwrap();
        save(&run, number, number as i64 + 1);
    }
    run.finish().unwrap();
    drop(run);
    let damage = |number: u64| {
        let file = path.join(format!("checkpoints/epoch_{number:04}.zarr.zip"));
        let mut bytes = std::fs::read(&file).unwrap();
        // The root's document, which every load reads.
        let at = bytes.windows(9).position(|text| text == b"\"metadata").unwrap();
        bytes[at + 1] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    let file = |number: u64| path.join(format!("checkpoints/epoch_{number:04}.zarr.zip"));
    damage(1);
    let (mut run, resumed) = Run::resume(&path, settings()).unwrap();
    let resumed = resumed.unwrap();
    assert_eq!((resumed.checkpoint.number(), resumed.skipped.len()), (0, 1));
    assert_eq!(resumed.skipped[0].0, 1);
    run.finish().unwrap();
    drop(run);
    let before = std::fs::read(path.join("run.json")).unwrap();
    damage(0);
    let error = Run::resume(&path, settings()).unwrap_err();
    assert!(matches!(error, RunError::NoneValid { .. }), "{error}");
    assert_eq!(std::fs::read(path.join("run.json")).unwrap(), before, "nothing was recorded");
    // Truncated, so that they do not even have a manifest.
    for number in 0..2 {
        truncate(&file(number));
    }
    let error = Run::resume(&path, settings()).unwrap_err();
    assert!(matches!(error, RunError::NoneValid { count: 2, .. }), "{error}");
    assert!(error.to_string().ends_with("or move `checkpoints` away to begin again"), "{error}");
    assert_eq!(std::fs::read(path.join("run.json")).unwrap(), before, "nothing was recorded");
}

fn truncate(file: &Path) {
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
}

/// It has no manifest, so no list of checkpoints has it.
#[test]
fn a_newest_checkpoint_that_is_truncated_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (mut run, _) = Run::resume_or_start(&path, settings()).unwrap();
    for number in 0..3 {
        log(&run, number..number + 1);
        save(&run, number as u64, number + 1);
    }
    run.finish().unwrap();
    drop(run);
    truncate(&path.join("checkpoints/epoch_0002.zarr.zip"));
    let (_run, resumed) = Run::resume(&path, settings()).unwrap();
    let resumed = resumed.unwrap();
    let skipped: Vec<_> = resumed.skipped.iter().map(|(number, _)| *number).collect();
    assert_eq!((resumed.checkpoint.number(), skipped), (1, vec![2]));
}

/// All checkpoints are of a version that this program does not know.
#[test]
fn checkpoints_of_a_later_version_do_not_count_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let layout = CheckpointSettings::default().layout(Layout::Directory);
    let (mut run, _) = Run::resume_or_start(&path, settings().checkpoints(layout.clone())).unwrap();
    log(&run, 0..3);
    save(&run, 0, 3);
    run.finish().unwrap();
    drop(run);
    let manifest = path.join("checkpoints/epoch_0000/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["version"] = 99.into();
    json.as_object_mut().unwrap().remove("crc32c").unwrap();
    std::fs::write(&manifest, seal(json.to_string().into_bytes())).unwrap();
    let error = Run::resume(&path, settings().checkpoints(layout)).unwrap_err();
    let RunError::NoneValid { count: 1, newest, .. } = error else { panic!("{error}") };
    assert!(matches!(newest, LoadError::UnsupportedVersion { found: 99, .. }), "{newest}");
}

/// It may be the newest, and whole.
#[test]
fn a_checkpoint_that_cannot_be_read_now_is_not_passed_over() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    for number in 0..2 {
        log(&run, number..number + 1);
        save(&run, number as u64, number + 1);
    }
    run.finish().unwrap();
    drop(run);
    for error in [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::OutOfMemory] {
        let watched = Watched::new(&memory);
        watched.set(move |_, operation, path| match operation {
            Operation::Open if path.ends_with("epoch_0001.zarr.zip") => Err(error.into()),
            _ => Ok(()),
        });
        let place = RunPlace::new(watched.shared(), Arc::new(ThisMachine));
        let refused = Run::resume_in(&place, DIR, settings()).unwrap_err();
        assert!(matches!(refused, RunError::Load(LoadError::Repository(_))), "{refused}");
    }
}

/// Nothing was logged between the saves, so all of them have seen the same rows.
#[test]
fn a_rewind_is_not_undone_where_there_are_no_rows() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    log(&run, 0..5);
    for number in 0..3 {
        save(&run, number, 5);
    }
    run.finish().unwrap();
    drop(run);
    let from = |settings| {
        let (run, resumed) = Run::resume_in(&place(&memory), DIR, settings).unwrap();
        drop(run);
        resumed.unwrap().checkpoint.number()
    };
    assert_eq!(from(settings().resume_from(1)), 1);
    assert_eq!(from(settings()), 1, "checkpoint 2 was given up");
}

/// Before there were runs, or by a manager of its own.
#[test]
fn a_checkpoint_without_a_run_is_placed_by_the_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let mut logger = qstore_logger::AsyncMetricsLogger::open(&path).unwrap();
    let checkpoints = dir.path().join("checkpoints");
    let mut manager =
        qstore_zarr::CheckpointManager::open(&checkpoints, CheckpointSettings::default()).unwrap();
    for epoch in 0..3_i64 {
        for step in 0..5 {
            logger.log_step((epoch, epoch * 5 + step, 0.5)).unwrap();
        }
        logger.log_epoch(epoch, [("loss", 0.5)], [("loss", 0.5)]).unwrap();
        if epoch == 1 {
            drop(manager.save(Snapshot::new(1)).unwrap());
        }
    }
    logger.stop(LIMIT).unwrap();
    manager.close(LIMIT).unwrap();
    let (mut run, resumed) = Run::resume(dir.path(), settings()).unwrap();
    assert_eq!(resumed.unwrap().checkpoint.number(), 1);
    run.finish().unwrap();
    let reader = RunReader::open(dir.path()).unwrap();
    assert_eq!(reader.superseded().unwrap(), one(12..18));
}

/// The number of a checkpoint is a step then, which no epoch reaches.
#[test]
fn a_checkpoint_without_a_run_is_placed_by_its_step_where_steps_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.parquet");
    let mut logger = qstore_logger::AsyncMetricsLogger::open(&path).unwrap();
    let counted = CheckpointSettings::default().counter(Counter::Step);
    let checkpoints = dir.path().join("checkpoints");
    let mut manager = qstore_zarr::CheckpointManager::open(&checkpoints, counted.clone()).unwrap();
    for epoch in 0..3_i64 {
        for step in epoch * 5..(epoch + 1) * 5 {
            logger.log_step((epoch, step, 0.5)).unwrap();
        }
        logger.log_epoch(epoch, [("loss", 0.5)], [("loss", 0.5)]).unwrap();
        if epoch == 1 {
            drop(manager.save(Snapshot::new(9)).unwrap());
        }
    }
    logger.stop(LIMIT).unwrap();
    manager.close(LIMIT).unwrap();
    let (mut run, resumed) = Run::resume(dir.path(), settings().checkpoints(counted)).unwrap();
    assert_eq!(resumed.unwrap().checkpoint.number(), 9);
    run.finish().unwrap();
    let reader = RunReader::open(dir.path()).unwrap();
    assert_eq!(reader.superseded().unwrap(), one(12..18));
}

/// Counting does not find the place then, but it tells how many rows there are.
#[test]
fn rows_that_are_missing_are_counted_also_if_others_were_rejected() {
    let memory = MemoryFs::new();
    let (run, _) = resume(&memory, settings());
    log(&run, 0..5);
    // A column of numbers takes no text.
    run.log_step(MetricsRow::step(0, 5, 0.5).with("train_loss", "text")).unwrap();
    log(&run, 6..9);
    let watched = memory.clone();
    run.logger().flush(LIMIT).unwrap();
    let before = watched.process_kill();
    log(&run, 9..11);
    save(&run, 0, 11);
    drop(run);
    // The metrics file is the one of before the last two rows, as after a power cut under `Durability::Flush`.
    let metrics = Path::new("/run/metrics.parquet");
    let bytes = read_all(&before, metrics).unwrap();
    let left = memory.process_kill();
    left.remove_file(metrics).unwrap();
    left.create_new(metrics).unwrap().write_at(0, &bytes).unwrap();
    let (_run, resumed) = Run::resume_in(&place(&left), DIR, settings()).unwrap();
    assert_eq!(resumed.unwrap().rows_missing, 2);
}

/// The new attempt has no row in the file yet.
#[test]
fn a_reader_knows_of_a_cut_before_the_first_row() {
    let memory = MemoryFs::new();
    let (run, _) = resume(&memory, settings());
    log(&run, 0..5);
    save(&run, 0, 5);
    log(&run, 5..9);
    run.logger().flush(LIMIT).unwrap();
    let left = memory.process_kill();
    drop(run);
    let (run, _) = resume(&left, settings());
    let reader = RunReader::open_in(place(&left), DIR).unwrap();
    assert_eq!((reader.progress().unwrap().rows, reader.superseded().unwrap()), (5, one(5..9)));
    drop(run);
}

/// `run.json` was read before attempt 3 began, and the metrics file when it had logged.
#[test]
fn a_cut_is_not_applied_to_the_rows_of_a_later_attempt() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    log(&run, 0..5);
    save(&run, 0, 5);
    log(&run, 5..9);
    run.finish().unwrap();
    drop(run);
    let (run, _) = resume(&memory, settings());
    // Attempt 2 has written no row.
    let left = memory.process_kill();
    drop(run);
    let (mut run, next) = resume(&left, settings());
    log(&run, next..8);
    run.finish().unwrap();
    let json = Path::new("/run/run.json");
    let mut file: serde_json::Value =
        serde_json::from_slice(&read_all(&left, json).unwrap()).unwrap();
    file["attempts"].as_array_mut().unwrap().truncate(2);
    left.remove_file(json).unwrap();
    left.create_new(json).unwrap().write_at(0, file.to_string().as_bytes()).unwrap();
    let reader = RunReader::open_in(place(&left), DIR).unwrap();
    assert_eq!((reader.superseded().unwrap(), clean(&reader).len()), (one(5..9), 8));
}

/// Killed before its first row, or saved without a run.
#[test]
fn a_directory_with_checkpoints_alone_is_resumed_and_not_started_over() {
    let memory = MemoryFs::new();
    let (mut run, _) = resume(&memory, settings());
    log(&run, 0..5);
    save(&run, 0, 5);
    run.finish().unwrap();
    drop(run);
    for name in ["run.json", "metrics.parquet"] {
        memory.remove_file(&Path::new(DIR).join(name)).unwrap();
    }
    let place = place(&memory);
    assert!(!RunReader::open_in(place.clone(), DIR).unwrap().has_run_json());
    assert!(matches!(Run::create_at_in(&place, DIR, settings()), Err(RunError::Exists { .. })));
    let (_run, resumed) = Run::resume_or_start_in(&place, DIR, settings()).unwrap();
    assert_eq!(resumed.unwrap().checkpoint.number(), 0);
    // What cannot be seen is not taken for missing.
    let watched = Watched::new(&MemoryFs::new());
    watched.set(|_, operation, _| match operation {
        Operation::Inspect => Err(std::io::ErrorKind::PermissionDenied.into()),
        _ => Ok(()),
    });
    let place = RunPlace::new(watched.shared(), Arc::new(ThisMachine));
    let refused = Run::resume_or_start_in(&place, DIR, settings());
    assert!(matches!(refused, Err(RunError::Storage(_))), "{refused:?}");
}

/// A list of one range, not of the numbers in it.
fn one(range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
    std::iter::once(range).collect()
}
