//! Runs that are interrupted and go back: the curve is that of a run that was not.

use proptest::prelude::*;
use qstore_checkpoint::Snapshot;
use qstore_logger::LoggerSettings;
use qstore_parquet::{Values, WriterSettings};
use qstore_run::{Run, RunError, RunPlace, RunReader, RunSettings, RunState, ThisMachine};
use qstore_schema::StateDict;
use qstore_storage::{MemoryFs, create_dir_all};
use qstore_zarr::CheckpointSettings;
use std::path::Path;
use std::sync::Arc;
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
        1 => Just(Event::Finish),
        1 => Just(Event::PowerCut),
    ];
    proptest::collection::vec(event, 1..14)
}

/// Runs a history, and returns what is left and the next step of the training.
fn live(history: &[Event]) -> (MemoryFs, i64) {
    let mut memory = MemoryFs::new();
    create_dir_all(&memory, Path::new("/")).unwrap();
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
            Event::Kill | Event::KillAndRewind(_) | Event::PowerCut => {
                let left = match event {
                    Event::PowerCut => memory.power_cut(),
                    _ => memory.process_kill(),
                };
                // What the dying process writes does not reach what is left.
                drop(run);
                memory = left;
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

fn check(history: &[Event]) {
    let (memory, next) = live(history);
    let reader = RunReader::open_in(place(&memory), DIR).unwrap();
    assert_eq!(reader.status().unwrap().state, RunState::Finished);
    let expected: Vec<_> = (0..next).map(|step| (step, loss(step).to_bits())).collect();
    assert_eq!(clean(&reader), expected, "{history:?}");
    // Every row stays in the file, and counts or does not.
    let file = reader.metrics().unwrap().unwrap();
    let count: u64 = reader.superseded().unwrap().iter().map(|rows| rows.end - rows.start).sum();
    assert_eq!(count + next as u64, file.rows());
    assert!(reader.losses().unwrap().refused == 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn the_rows_that_count_are_those_of_an_uninterrupted_run(history in events()) {
        check(&history);
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

/// A list of one range, not of the numbers in it.
fn one(range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
    std::iter::once(range).collect()
}
