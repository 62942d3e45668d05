//! Many parts become one: anyone who lists the directory finds each row once, or an error.

use crate::ranks::{RANK, names, numbers, open, row, rows};
use qstore_parquet::{CompactError, DatasetSettings, MetricsFile, Values, compact_rank_in};
use qstore_schema::DataType;
use qstore_storage::testing::{CrashFs, Failure, Fault, FaultFs, cuts};
use qstore_storage::{FileSystem, MemoryFs, read_all};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A part for each row, and every part is sealed at once.
fn settings() -> DatasetSettings {
    DatasetSettings::default()
        .part_bytes_max(1)
        .writer(|writer| writer.reuse_after(Duration::ZERO).run_id("compacted"))
}

/// A rank with that many parts of a row each; a column is in the later half of them only.
fn rank(parts: i64) -> MemoryFs {
    let memory = MemoryFs::new();
    let mut log = open(Arc::new(memory.clone()), &settings()).unwrap();
    for n in 0..parts {
        let mut row = row(n);
        row.set("nan", f64::from_bits(0x7ff8_0000_dead_0000 + n as u64));
        if n >= parts / 2 {
            row.set("late", n).set("phase", "end").set("seed", i64::MAX - n);
        }
        log.append(&row, Instant::now());
        log.flush().unwrap();
    }
    log.close().unwrap();
    memory
}

fn compact(files: &Arc<dyn FileSystem>) -> Result<qstore_parquet::Compacted, CompactError> {
    compact_rank_in(Arc::clone(files), "/run", 0, 1 << 30, Duration::ZERO)
}

fn shared(memory: &MemoryFs) -> Arc<dyn FileSystem> {
    Arc::new(memory.clone())
}

#[test]
fn parts_become_one_with_every_row_bit_for_bit_and_every_account() {
    let memory = rank(9);
    let files = shared(&memory);
    let compacted = compact(&files).unwrap();
    assert_eq!((compacted.parts_replaced, compacted.parts_written, compacted.rows), (9, 1, 9));
    assert_eq!(names(&memory), ["part-00000-00008.parquet"]);
    assert_eq!(rows(&files), (0..9).collect::<Vec<_>>());
    let path = Path::new(RANK).join("part-00000-00008.parquet");
    let file = MetricsFile::open_in(Arc::clone(&files), &path).unwrap();
    let table = file.read(&["nan", "late", "phase__text", "seed__integer"], 0..9).unwrap();
    let Some(Values::Float(nans)) = table.column("nan") else { panic!("{table:?}") };
    for (n, nan) in nans.iter().enumerate() {
        assert_eq!(nan.unwrap().to_bits(), 0x7ff8_0000_dead_0000 + n as u64);
    }
    let seeds: Vec<_> = (0..9).map(|n| (n >= 4).then_some(i64::MAX - n)).collect();
    assert_eq!(table.column("seed__integer"), Some(&Values::Int(seeds)));
    let audit = file.audit().unwrap();
    assert!(audit.closed);
    let written: Vec<_> = audit.segments.iter().map(|one| (one.first_row, one.written)).collect();
    assert_eq!(written, (0..9).map(|n| (n, 1)).collect::<Vec<_>>());
    assert!(audit.segments.iter().all(|one| one.run_id == "compacted"));
    // Nothing is left to do, and what is compacted is compacted again with what comes later.
    assert_eq!(compact(&files).unwrap().parts_written, 0);
    let mut log = open(Arc::clone(&files), &settings()).unwrap();
    log.append(&row(9), Instant::now());
    log.close().unwrap();
    drop(log);
    assert_eq!(compact(&files).unwrap().parts_replaced, 2);
    assert_eq!(names(&memory), ["part-00000-00009.parquet"]);
    assert_eq!(rows(&files), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_rank_is_compacted_beside_its_writer_and_its_open_parts_stay() {
    let memory = rank(4);
    let files = shared(&memory);
    let resting = settings().part_bytes_max(1 << 20);
    let mut log = open(Arc::clone(&files), &resting).unwrap();
    log.append(&row(4), Instant::now());
    log.flush().unwrap();
    compact(&files).unwrap();
    assert_eq!(rows(&files), (0..5).collect::<Vec<_>>());
    let visible = names(&memory);
    assert!(visible.contains(&"_part-00004.parquet".into()), "{visible:?}");
    log.append(&row(5), Instant::now());
    log.close().unwrap();
    drop(log);
    assert_eq!(names(&memory), ["part-00000-00003.parquet", "part-00004.parquet"]);
    assert_eq!(rows(&files), (0..6).collect::<Vec<_>>());
}

#[test]
fn what_does_not_belong_together_stays_apart() {
    // A file of another program, and parts that are large enough.
    let memory = rank(6);
    let files = shared(&memory);
    let foreign = Path::new(RANK).join("part-00006.parquet");
    memory.create_new(&foreign).unwrap().write_at(0, b"not ours").unwrap();
    assert!(matches!(compact(&files), Err(CompactError::Read(_))), "it is named, and stays");
    assert_eq!(read_all(&memory, &foreign).unwrap(), b"not ours");
    memory.remove_file(&foreign).unwrap();
    let joined = compact_rank_in(Arc::clone(&files), "/run", 0, 1, Duration::ZERO).unwrap();
    assert_eq!((joined.parts_written, names(&memory).len()), (0, 6));
    assert_eq!(rows(&files), (0..6).collect::<Vec<_>>());
    let error = compact_rank_in(files, "/run", 0, 0, Duration::ZERO).unwrap_err().to_string();
    assert!(error.starts_with("part_bytes_max is 0"), "{error}");
}

/// What any engine finds that lists the directory now: the rows, or an error that names the plan.
fn listed(files: &Arc<dyn FileSystem>) -> Option<Vec<i64>> {
    let mut found = Vec::new();
    for name in names(&**files) {
        if name.starts_with('.') || !name.ends_with(".parquet") {
            continue;
        }
        let path = Path::new(RANK).join(&name);
        if MetricsFile::open_in(Arc::clone(files), &path).is_err() {
            assert!(name.contains(".compacting."), "{name} cannot be read");
            return None;
        }
        found.extend(numbers(files, &path));
    }
    Some(found)
}

/// Before and after everything that changes, and whatever a kill or a power cut leaves.
#[test]
fn at_no_moment_is_a_row_found_twice_or_not_at_all() {
    let memory = rank(5);
    let all: Vec<i64> = (0..5).collect();
    let expected = all.clone();
    let storage = CrashFs::new(&memory, move |moment| {
        let what = moment.to_string();
        let check = |left: MemoryFs, is_opened: bool, what: &str| {
            let files = shared(&left);
            if let Some(found) = listed(&files) {
                assert_eq!(found, expected, "{what}");
            }
            // The next session does what is left to do, and so does the next call.
            if is_opened {
                let log = open(Arc::clone(&files), &settings());
                drop(log.unwrap_or_else(|error| panic!("{what}: {error}")));
                assert_eq!(listed(&files).as_ref(), Some(&expected), "{what}");
            }
            compact(&files).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(names(&left), ["part-00000-00004.parquet"], "{what}");
            assert_eq!(listed(&files).as_ref(), Some(&expected), "{what}");
        };
        let files = shared(moment.memory);
        if let Some(found) = listed(&files) {
            assert_eq!(found, expected, "{what}");
        }
        // A session waits a second until nobody can be listing the directory.
        check(moment.memory.process_kill(), moment.number % 6 == 0, &what);
        for cut in cuts(7, moment.number, 2) {
            check(moment.memory.power_cut_by(cut), false, &format!("{what}, {cut}"));
        }
    });
    compact(&storage.shared()).unwrap();
    println!("{} cases", storage.changes() * 14);
    assert_eq!(rows(&shared(&memory)), all);
}

#[test]
fn a_failure_at_any_operation_is_made_up_for_by_the_next_call() {
    let operations = {
        let storage = FaultFs::failing_any(Arc::new(rank(4)), Fault::Never, Failure::Io);
        compact(&storage.shared()).unwrap();
        storage.asked()
    };
    for (at, operation) in operations.into_iter().enumerate() {
        let memory = rank(4);
        let files = Arc::new(memory.clone());
        let failure = Failure::ERRORS[at % Failure::ERRORS.len()].clone();
        let what = format!("{failure} at {at}, {operation}");
        let storage = FaultFs::failing_any(files, Fault::Once(at), failure);
        let _ = compact(&storage.shared());
        if let Some(found) = listed(&shared(&memory)) {
            assert_eq!(found, [0, 1, 2, 3], "{what}");
        }
        compact(&shared(&memory)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(names(&memory), ["part-00000-00003.parquet"], "{what}");
        assert_eq!(rows(&shared(&memory)), [0, 1, 2, 3], "{what}");
    }
}

/// A reader that listed the old parts finds them or nothing, however late it opens them.
#[test]
fn no_name_of_an_old_part_ever_leads_to_the_new_one() {
    let memory = rank(4);
    let listed: Vec<PathBuf> =
        names(&memory).iter().map(|name| Path::new(RANK).join(name)).collect();
    compact(&shared(&memory)).unwrap();
    for path in &listed {
        assert!(memory.open(path).unwrap_err().is_not_found());
    }
}

#[test]
fn a_plan_that_is_not_ours_is_neither_believed_nor_removed() {
    for text in [
        &b"notes"[..],
        br#"{"hidden": "../x", "public": "p", "replaces": ["part-00000.parquet"]}"#,
        br#"{"hidden": "h", "public": "p", "replaces": ["/etc/passwd"]}"#,
    ] {
        let memory = rank(2);
        let plan = Path::new(RANK).join("part-00000-00001.compacting.parquet");
        memory.create_new(&plan).unwrap().write_at(0, text).unwrap();
        let error = compact(&shared(&memory)).unwrap_err().to_string();
        assert!(error.contains("is not the plan of a compaction; move it away"), "{error}");
        assert_eq!(read_all(&memory, &plan).unwrap(), text);
        memory.remove_file(&plan).unwrap();
        assert_eq!(rows(&shared(&memory)), [0, 1]);
    }
}

#[test]
fn columns_of_one_name_and_two_types_are_not_joined() {
    let memory = MemoryFs::new();
    for data_type in [DataType::Utf8, DataType::Float64] {
        let settings = settings().column("x", data_type);
        let mut log = open(Arc::new(memory.clone()), &settings).unwrap();
        log.append(&row(0), Instant::now());
        log.close().unwrap();
    }
    assert_eq!(compact(&shared(&memory)).unwrap().parts_written, 0);
    assert_eq!(names(&memory).len(), 2);
}
