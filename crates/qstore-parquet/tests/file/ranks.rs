//! A directory of ranks: parts follow each other, and every row is in one of them.

use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Sink};
use qstore_parquet::{
    Appended, DatasetSettings, MetricsFile, OpenError, RankLog, Values, validate,
};
use qstore_schema::{DataType, Field, FieldVisitor, Record, Row, ValueRef};
use qstore_storage::{FileSystem, MemoryFs};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The directory of the rank in these tests.
pub(crate) const RANK: &str = "/run/rank=0";

pub(crate) fn row(n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    row.set("loss", (n as f64).sin());
    row
}

pub(crate) fn open(
    storage: Arc<dyn FileSystem>,
    settings: &DatasetSettings,
) -> Result<RankLog<Row>, OpenError> {
    RankLog::open_in(storage, "/run", 0, settings.clone())
}

/// The names in the directory of the rank, sorted.
pub(crate) fn names(files: &dyn FileSystem) -> Vec<String> {
    let entries = files.list(Path::new(RANK)).unwrap();
    let mut names: Vec<_> =
        entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The numbers in column `n` of one part.
pub(crate) fn numbers(files: &Arc<dyn FileSystem>, path: &Path) -> Vec<i64> {
    let file = MetricsFile::open_in(Arc::clone(files), path).unwrap();
    assert!(file.validate().unwrap().is_whole());
    if file.rows() == 0 {
        return Vec::new();
    }
    match file.read(&["n"], 0..u64::MAX).unwrap().column("n") {
        Some(Values::Float(all)) => all.iter().flatten().map(|value| *value as i64).collect(),
        other => panic!("{other:?}"),
    }
}

/// What an engine finds that lists the directory: the rows of all parts, open ones too, in order.
pub(crate) fn rows(files: &Arc<dyn FileSystem>) -> Vec<i64> {
    let mut parts = BTreeMap::new();
    for name in names(&**files).iter().filter(|name| name.ends_with(".parquet")) {
        let number = name.trim_start_matches('_').to_owned();
        let path = Path::new(RANK).join(name);
        assert!(parts.insert(number, numbers(files, &path)).is_none(), "{name} is there twice");
    }
    parts.into_values().flatten().collect()
}

#[test]
fn parts_follow_each_other_and_every_row_is_in_one() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let settings = DatasetSettings::default().part_bytes_max(6_000);
    let mut next = 0_i64;
    for session in 0..3 {
        let mut log = open(Arc::clone(&files), &settings).unwrap();
        for _ in 0..40 {
            for _ in 0..20 {
                assert_eq!(log.append(&row(next), Instant::now()), Appended::Whole);
                next += 1;
            }
            log.flush().unwrap();
            assert_eq!(rows(&files), (0..next).collect::<Vec<_>>());
        }
        log.close().unwrap();
        assert_eq!(log.stats().rows_written, 800, "session {session}");
        drop(log);
        let left = names(&memory);
        assert!(left.iter().all(|name| name.starts_with("part-")), "{left:?}");
    }
    assert!(names(&memory).len() > 6, "{:?}", names(&memory));
    assert_eq!(rows(&files), (0..next).collect::<Vec<_>>());
}

#[test]
fn a_rank_has_one_writer_and_ranks_are_independent() {
    let storage: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let open = |rank| {
        RankLog::<Row>::open_in(Arc::clone(&storage), "/run", rank, DatasetSettings::default())
    };
    let first = open(0).unwrap();
    let other = open(1).unwrap();
    assert!(matches!(open(0), Err(OpenError::AlreadyOpen { .. })));
    drop((first, other));
    open(0).unwrap();
}

#[test]
fn a_setting_that_cannot_be_used_is_reported_by_name() {
    let default = DatasetSettings::default;
    for (settings, says) in [
        (default().part_bytes_max(0), "part_bytes_max is 0; choose 1 or more"),
        (default().part_age_max(Duration::ZERO), "part_age_max is 0; choose a time"),
        (default().columns(["rank"]), "columns is rank; choose another name"),
        (default().columns(["Rank"]), "columns is Rank; choose another name"),
        (default().columns(["a", "A"]), "columns is A; choose names that differ in more"),
        (default().columns([""]), "columns is ; choose a name"),
        (default().columns(["a__text"]), "columns is a__text; choose another name"),
        (default().writer(|writer| writer.flush_interval(0)), "flush_interval is 0"),
    ] {
        let error = open(Arc::new(MemoryFs::new()), &settings).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

/// A record with that column.
macro_rules! record {
    ($type:ident, $name:literal) => {
        struct $type;
        impl Record for $type {
            const DECLARED: &'static [Field] = &[
                Field::nullable("loss", DataType::Float64),
                Field::nullable($name, DataType::Float64),
            ];
            fn visit(&self, visitor: &mut impl FieldVisitor) {
                visitor.declared(1, &Self::DECLARED[1], ValueRef::Float(1.0));
            }
        }
    };
}
record!(WithRank, "rank");
record!(WithSpelling, "Loss");

#[test]
fn declared_columns_that_engines_cannot_tell_apart_are_refused_when_the_rank_is_opened() {
    fn error<R: Record + Send + 'static>() -> String {
        let files = Arc::new(MemoryFs::new());
        let opened = RankLog::<R>::open_in(files, "/run", 0, DatasetSettings::default());
        opened.unwrap_err().to_string()
    }
    assert!(error::<WithRank>().contains("column `rank` is what readers make"));
    assert!(error::<WithSpelling>().contains("column `Loss` has the same name"));
}

/// Every part has all columns from its beginning, those that were announced and those that were ever seen.
#[test]
fn a_part_repeats_all_known_columns_and_their_types() {
    let memory = MemoryFs::new();
    let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let settings = DatasetSettings::default()
        .part_bytes_max(1)
        .columns(["late"])
        .column("phase", DataType::Utf8);
    let mut log = open(Arc::clone(&files), &settings).unwrap();
    for n in 0..4 {
        let mut row = row(n);
        if n == 1 {
            row.set("seen", 1).set("flag", true).set("phase", "warmup").set("seed", i64::MAX);
        }
        log.append(&row, Instant::now());
        log.flush().unwrap();
    }
    log.close().unwrap();
    let fields = |part: usize| {
        let path = format!("{RANK}/part-{part:05}.parquet");
        MetricsFile::open_in(Arc::clone(&files), path).unwrap().fields().to_vec()
    };
    let named = |part: usize| -> Vec<(String, DataType)> {
        fields(part).iter().map(|field| (field.name.to_string(), field.data_type)).collect()
    };
    let announced = [("late", DataType::Float64), ("phase", DataType::Utf8)];
    let first = [("n", DataType::Float64), ("loss", DataType::Float64)];
    let later = [
        ("seen", DataType::Float64),
        ("flag__flag", DataType::Bool),
        ("seed__integer", DataType::Int64),
    ];
    let owned = |all: &[(&str, DataType)]| -> Vec<_> {
        all.iter().map(|(name, data_type)| ((*name).to_owned(), *data_type)).collect()
    };
    assert_eq!(named(0), owned(&[&announced[..], &first].concat()));
    for part in 1..4 {
        assert_eq!(named(part), owned(&[&announced[..], &first, &later].concat()), "part {part}");
    }
}

/// A part is sealed by its age although no row arrives, by the drain's timer alone.
#[test]
fn a_rank_behind_a_drain_seals_by_age_without_new_rows_and_says_what_it_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let settings = DatasetSettings::default()
        .part_age_max(Duration::from_millis(1))
        .writer(|writer| writer.reuse_after(Duration::ZERO).publish_pause_min(Duration::ZERO));
    let log = RankLog::<Row>::open(dir.path(), 4, settings).unwrap();
    let buffer = AsyncBuffer::new(100).unwrap();
    let mut drain = Drain::spawn(buffer.clone(), log, DrainSettings::default()).unwrap();
    let mut row = row(1);
    row.set("Loss", 2.0).set("rank", 5);
    buffer.push(row).unwrap();
    let sealed = dir.path().join("rank=4/part-00000.parquet");
    while !sealed.exists() {
        std::thread::yield_now();
    }
    let health = drain.health();
    assert_eq!(health.losses.iter().count(), 1, "{health:?}");
    let summary = drain.stop(Duration::from_secs(60)).unwrap();
    assert_eq!((summary.sink.rows_written, summary.sink.omitted_values), (1, 2));
    let reason = summary.sink.last_rejection.unwrap();
    assert!(reason.contains("`rank`") || reason.contains("`Loss`"), "{reason}");
    assert!(validate(&sealed).unwrap().is_whole());
    let left: Vec<_> = std::fs::read_dir(dir.path().join("rank=4")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
