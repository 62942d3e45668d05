//! Metrics whose values change their kind, and values that cannot be stored.

use super::*;
use qstore_buffer::Sink as _;
use qstore_parquet::{Appended, MetricsFile};

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
