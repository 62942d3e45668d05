//! How large what is handed on is.

use qstore_page::{Report, Source};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_run::RunPlace;
use qstore_schema::{Row, Value};
use std::fs;
use std::time::Instant;

#[test]
fn a_report_of_20_curves_of_4_000_pixel_columns_has_less_than_2_mb() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    let mut log =
        MetricsLog::<Row>::open(run.join("metrics.parquet"), WriterSettings::default()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let names: Vec<_> = (0..20).map(|number| format!("metric_{number}")).collect();
    for step in 0..16_000_i64 {
        // Noise, so that no pixel column is a single value.
        let values = names.iter().map(|name| (name.as_str(), Value::from(random.f64())));
        let row: Row = values.chain([("step", Value::from(step))]).collect();
        log.append(&row, Instant::now());
    }
    log.close().unwrap();
    let report = Report::default().width(4_000);
    let html = report.write(RunPlace::default(), Source::Runs(vec![run])).unwrap();
    assert!(html.len() <= 2_000_000, "{} bytes", html.len());
    assert_eq!(
        html.matches("\"column\":\"metric_7\"").count(),
        2,
        "of the picture and of its series"
    );
}
