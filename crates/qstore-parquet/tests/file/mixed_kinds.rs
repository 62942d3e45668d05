//! Metrics whose values change their kind, and values that cannot be stored.

use super::*;
use qstore_buffer::Sink as _;
use qstore_parquet::{Appended, MetricsFile, Values};
use qstore_schema::SmolStr;

/// Regression: a metric kept the type of its first value for good, across sessions, and rejected every row
/// with a value of another kind.
#[test]
fn a_metric_of_mixed_kinds_keeps_every_value_across_groups_and_sessions() {
    let settings = WriterSettings::default().row_group_rows_max(2);
    let memory = MemoryFs::new();
    let large = (1_i64 << 53) + 1;
    let values: [Value; 8] = [
        large.into(),
        0.5.into(),
        "warmup".into(),
        true.into(),
        7_i64.into(),
        f64::NAN.into(),
        i64::MIN.into(),
        "cosine".into(),
    ];
    for (n, value) in values.iter().enumerate() {
        let mut log = open(&memory, settings.clone());
        let row = Row::from([("step", Value::Int(n as i64)), ("lr", value.clone())]);
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
        log.flush().unwrap();
        if n % 3 == 0 {
            log.close().unwrap();
        }
    }
    let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    let names: Vec<_> = file.fields().iter().map(|field| field.name.to_string()).collect();
    assert_eq!(names, ["step", "lr", "lr__number", "lr__text", "lr__flag"]);
    let table = file.read(&[], 0..8).unwrap();
    let column = |name: &str| format!("{:?}", table.column(name).unwrap());
    let (none, min) = ("None", i64::MIN);
    assert_eq!(
        column("lr"),
        format!(
            "Int([Some({large}), {none}, {none}, {none}, Some(7), {none}, Some({min}), {none}])"
        )
    );
    assert!(column("lr__number").contains("Some(0.5)") && column("lr__number").contains("NaN"));
    assert!(column("lr__text").contains("warmup") && column("lr__text").contains("cosine"));
    let segments = &file.audit().unwrap().segments;
    assert!(segments.iter().all(|s| (s.written, s.rejected, s.omitted_values) == (1, 0, 0)));
}

#[test]
fn what_a_row_lost_is_in_the_statistics_and_in_the_file() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    for _ in 0..3 {
        let row = Row::from([("loss", 0.5), ("", 1.0)]);
        let Appended::Incomplete(why) = log.append(&row, Instant::now()) else { panic!("whole") };
        assert_eq!(&*why, "the value of `` was omitted: a metric needs a name");
    }
    log.close().unwrap();
    assert_eq!((log.stats().rows_written, log.stats().omitted_values), (3, 3));
    let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    let audit = file.audit().unwrap();
    assert_eq!(audit.segments[0].omitted_values, 3);
    assert_eq!(audit.segments[0].omitted, [(String::new(), 3)].into());
}

qstore_schema::record! {
    /// Every column is required.
    struct Required {
        n: i64,
        x: f64,
        note: SmolStr,
        is_best: bool,
    }
}

/// Regression: a file with required columns was refused for rows that may lack a value, or those rows were
/// rejected one by one.
#[test]
fn a_required_column_becomes_nullable_with_the_first_row_without_a_value() {
    let settings = WriterSettings::default().row_group_rows_max(3);
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let mut log = MetricsLog::open_in(storage, PATH, settings.clone()).unwrap();
    for n in 0..7 {
        let row = Required { n, x: n as f64 / 2.0, note: "old".into(), is_best: n == 3 };
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
        log.flush().unwrap();
    }
    log.close().unwrap();
    drop(log);
    let is_nullable = |memory: &MemoryFs| -> Vec<bool> {
        let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
        file.fields().iter().map(|field| field.nullable).collect()
    };

    // A row with every value changes nothing.
    let mut log = open(&memory, settings.clone());
    let mut whole = Row::from([("n", Value::Int(7)), ("x", 3.5.into()), ("note", "new".into())]);
    whole.set("is_best", false);
    assert_eq!(log.append(&whole, Instant::now()), Appended::Whole);
    log.flush().unwrap();
    assert_eq!(is_nullable(&memory), [false; 4]);
    // One without some of them does, and integers may become floats with it.
    assert_eq!(log.append(&Row::from([("n", 8.5)]), Instant::now()), Appended::Whole);
    log.flush().unwrap();
    assert_eq!(is_nullable(&memory), [false, true, true, true]);
    assert_eq!(log.append(&Row::from([("x", 4.5)]), Instant::now()), Appended::Whole);
    log.close().unwrap();
    assert_eq!(is_nullable(&memory), [true; 4]);

    let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    assert!(file.validate().unwrap().is_whole());
    let table = file.read(&[], 0..10).unwrap();
    let n = (0..8).map(|n| Some(f64::from(n))).chain([Some(8.5), None]).collect();
    assert_eq!(table.column("n"), Some(&Values::Float(n)));
    let x = (0..8).map(|n| Some(f64::from(n) / 2.0)).chain([None, Some(4.5)]).collect();
    assert_eq!(table.column("x"), Some(&Values::Float(x)));
    let note = |n| Some(if n < 7 { "old" } else { "new" }.into()).filter(|_| n < 8);
    assert_eq!(table.column("note"), Some(&Values::Text((0..10).map(note).collect())));
    let is_best = |n| (n < 8).then_some(n == 3);
    assert_eq!(table.column("is_best"), Some(&Values::Bool((0..10).map(is_best).collect())));
}
