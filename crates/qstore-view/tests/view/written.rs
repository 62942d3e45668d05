//! Files of any kind of run: the exact series is drawn as all rows are, and the envelope leaves no row out.

use crate::{PATH, append, open};
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_parquet::{Compression, MetricsFile, MetricsLog, ReadError};
use qstore_schema::{Row, Value};
use qstore_storage::{FileSystem, MemoryFs};
use qstore_view::{
    Axis, Cache, Envelope, Grid, Raster, Request, Series, ViewError, XAxis, YAxis, exact,
};
use std::ops::Range;
use std::sync::Arc;

/// A row of a run, before it is written.
#[derive(Debug, Clone)]
struct Logged {
    step: Option<i64>,
    time: f64,
    loss: Option<f64>,
    rare: Option<f64>,
}

/// A run of some sessions, each of which goes back a little.
#[derive(Debug, Clone)]
struct Run {
    sessions: Vec<Vec<Logged>>,
    flushes: usize,
    closes: bool,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        20 => -9.0..9.0_f64,
        2 => Just(0.0),
        1 => Just(1e6),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ]
}

fn session() -> impl Strategy<Value = (i64, Vec<Logged>)> {
    let row = (
        prop_oneof![8 => 1..2_i64, 1 => 2..60_i64, 1 => Just(-1)],
        prop::option::weighted(0.95, value()),
        prop::option::weighted(0.04, value()),
        0.0..3.0_f64,
    );
    let rows = prop::collection::vec(row, 1..250).prop_map(|rows| {
        let (mut next, mut time) = (0, 1.7e9);
        let logged = rows.into_iter().map(|(step, loss, rare, seconds)| {
            time += seconds;
            // An epoch's row has the step −1.
            let is_epoch = step < 0;
            if !is_epoch {
                next += step;
            }
            Logged { step: Some(if is_epoch { -1 } else { next }), time, loss, rare }
        });
        logged.collect()
    });
    (0..200_i64, rows)
}

fn run() -> impl Strategy<Value = Run> {
    let sessions = prop::collection::vec(session(), 1..4);
    (sessions, 1..120_usize, any::<bool>()).prop_map(|(sessions, flushes, closes)| {
        let sessions = sessions.into_iter().map(|(start, mut rows)| {
            for row in &mut rows {
                row.step = row.step.map(|step| if step < 0 { step } else { step + start });
            }
            rows
        });
        Run { sessions: sessions.collect(), flushes, closes }
    })
}

impl Run {
    fn write(&self) -> MetricsFile {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let mut count = 0;
        for (number, session) in self.sessions.iter().enumerate() {
            let mut log = open(&files);
            for logged in session {
                let mut row = Row::from([("timestamp", logged.time)]);
                if let Some(step) = logged.step {
                    row.set("step", step);
                }
                for (name, value) in [("loss", logged.loss), ("rare", logged.rare)] {
                    if let Some(value) = value {
                        row.set(name, value);
                    }
                }
                append(&mut log, [row]);
                count += 1;
                if count % self.flushes == 0 {
                    log.flush().unwrap();
                }
            }
            if self.closes || number + 1 < self.sessions.len() {
                log.close().unwrap();
            } else {
                log.flush().unwrap();
            }
        }
        MetricsFile::open_in(files, PATH).unwrap()
    }

    /// The rows of each session.
    fn attempts(&self) -> Vec<Range<u64>> {
        let mut start = 0;
        let attempts = self.sessions.iter().map(|session| {
            let rows = start..start + session.len() as u64;
            start = rows.end;
            rows
        });
        attempts.collect()
    }

    /// What a picture of these rows of the file must show.
    fn points(
        &self,
        rows: &Range<u64>,
        x: XAxis,
        column: &str,
        origin: f64,
    ) -> Vec<(f64, Option<f64>)> {
        let all = self.sessions.iter().flatten().enumerate();
        let counted = all.filter(|(row, _)| rows.contains(&(*row as u64)));
        let point = |(row, logged): (usize, &Logged)| {
            let x = match x {
                XAxis::Step => {
                    logged.step.filter(|step| *step >= 0).map_or(f64::NAN, |step| step as f64)
                }
                XAxis::Row => row as f64,
                _ => logged.time - origin,
            };
            (x, if column == "loss" { logged.loss } else { logged.rare })
        };
        counted.map(point).collect()
    }
}

fn raster(series: &Series, y: &YAxis) -> Raster {
    let mut raster = Raster::new(series.grid.columns() as usize, 40);
    raster.draw(series, y);
    raster
}

fn has_column(file: &MetricsFile, name: &str) -> bool {
    file.fields().iter().any(|field| field.name == name)
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(300)))]
    #[test]
    fn a_file_is_drawn_as_its_rows_are(
        run in run(),
        x in prop::sample::select(vec![XAxis::Step, XAxis::Row, XAxis::Time, XAxis::Relative]),
        log_x: bool,
        by_session: bool,
        width in 1_u32..150,
        window in prop::option::of((0.0..1.0_f64, 0.0..1.0_f64)),
        cut in prop::sample::Index::arbitrary_with(()),
    ) {
        let file = run.write();
        let names: Vec<_> = ["loss", "rare"].into_iter().filter(|name| has_column(&file, name)).collect();
        // Without the rows that a later session has replaced.
        let mut attempts = run.attempts();
        if !by_session {
            attempts.truncate(1);
            attempts[0].end = file.rows();
        }
        let last = attempts.len() - 1;
        attempts[0].end -= cut.index((attempts[0].end - attempts[0].start) as usize + 1) as u64 * u64::from(last > 0);
        let request = Request::new(names.iter().copied()).x(x).log_x(log_x).width(width).rows(attempts.clone());

        let mut cache = Cache::new();
        let whole = exact(&file, &request, &mut cache).unwrap();
        let Some(grid) = whole.first().map(|series| series.grid) else { return Ok(()) };
        let request = match window {
            Some((one, other)) if !log_x => {
                let (from, len) = (grid.from(), grid.to() - grid.from());
                let (from, to) = (from + len * one.min(other), from + len * one.max(other));
                request.window(Some(from), Some(to))
            }
            _ => request,
        };
        let found = exact(&file, &request, &mut cache).unwrap();
        let fresh = exact(&file, &request.clone().threads(1), &mut Cache::with_bytes_max(0)).unwrap();
        let envelopes = Envelope::of(&file, &request, &mut cache).unwrap();
        let origin = match x {
            XAxis::Relative => {
                let rows = attempts.iter().flat_map(|rows| run.points(rows, x, "loss", 0.0));
                rows.map(|(x, _)| x).fold(f64::NAN, f64::min)
            }
            _ => 0.0,
        };
        for (number, series) in whole.iter().enumerate() {
            let all = attempts.iter().flat_map(|rows| run.points(rows, x, names[number], origin));
            let is_placed = |x: f64| x.is_finite() && (!log_x || x > 0.0);
            let (mut nulls, mut left_out) = (0, 0);
            for (x, value) in all {
                nulls += u64::from(value.is_none());
                left_out += u64::from(value.is_some() && !is_placed(x));
            }
            prop_assert_eq!((series.nulls, series.left_out), (nulls, left_out));
        }
        for (number, series) in found.iter().enumerate() {
            let name = names[number];
            prop_assert_eq!(&*series.column, name);
            let all: Vec<_> = attempts.iter().map(|rows| run.points(rows, x, name, origin)).collect();
            let values = all.iter().flatten().filter_map(|(_, value)| *value);
            let y = YAxis::covering(values, Axis::Linear);
            let mut expected = Raster::new(width as usize, 40);
            for rows in &all {
                expected.draw_rows(rows.iter().copied(), &series.grid, &y);
            }
            prop_assert!(raster(series, &y) == expected);
            prop_assert!(raster(&fresh[number], &y) == expected);

            let inside = |x: f64, grid: &Grid| grid.column(x).is_some_and(|at| (0..i64::from(width)).contains(&at));
            let shown = all.iter().flatten().filter(|(x, value)| inside(*x, &series.grid) && value.is_some());
            prop_assert_eq!(series.total().n, shown.count() as u64);

            let envelope = &envelopes[number];
            for (attempt, rows) in all.iter().enumerate() {
                for (x, value) in rows.iter().filter_map(|(x, value)| Some((*x, (*value)?))) {
                    let is_placed = x.is_finite() && (!log_x || x > 0.0);
                    let covers = envelope.bands.iter().any(|band| {
                        let is_there = band.attempt == attempt && (band.x0..=band.x1).contains(&x);
                        let covers = if value.is_finite() {
                            (band.min..=band.max).contains(&value)
                        } else {
                            band.nans + band.infinite > 0
                        };
                        is_there && covers
                    });
                    prop_assert!(covers || !is_placed, "{x} {value} {envelope:?}");
                }
            }
            // And so does its picture, where both have the same axis.
            if envelope.grid == series.grid {
                let (around, inside) = (raster(&envelope.to_series(), &y), raster(series, &y));
                for (column, bucket) in series.traces.iter().flat_map(|trace| &trace.buckets) {
                    let column = *column as usize;
                    for row in (0..40).filter(|_| bucket.finite() > 0) {
                        let is_value = row >= y.row(bucket.max, 40) && row <= y.row(bucket.min, 40);
                        prop_assert!(!(is_value && inside.dot(column, row)) || around.dot(column, row));
                    }
                }
            }
        }
    }
}

#[test]
fn columns_of_every_kind_of_number() {
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let mut log = open(&files);
    append(
        &mut log,
        (0..100_i64).map(|row| {
            let mut all = Row::from([("step", row), ("epoch", row / 10), ("count", row * row)]);
            all.set("flag", row % 2 == 0).set("note", "a text");
            if row % 10 == 9 {
                all.set("val_loss", 1.0 / row as f64);
            }
            all
        }),
    );
    log.close().unwrap();
    let file = MetricsFile::open_in(files, PATH).unwrap();
    let mut cache = Cache::new();
    let mut total = |column: &str, x| {
        let found = exact(&file, &Request::new([column]).x(x).width(50), &mut cache);
        found.map(|series| (series[0].total(), series[0].nulls))
    };
    let (count, _) = total("count", XAxis::Step).unwrap();
    assert_eq!((count.min, count.max, count.argmax, count.n), (0.0, 9_801.0, 99.0, 100));
    let (flag, _) = total("flag", XAxis::Row).unwrap();
    assert_eq!((flag.min, flag.max, flag.mean()), (0.0, 1.0, 0.5));
    let (rare, nulls) = total("val_loss", XAxis::Epoch).unwrap();
    assert_eq!((rare.n, rare.x0, rare.x1, nulls), (10, 0.0, 9.0, 90));
    assert!((rare.argmin - 9.0).abs() < 1e-12);
    let text = total("note", XAxis::Step).unwrap_err();
    assert!(
        matches!(&text, ViewError::Read(ReadError::Unsupported { reason, .. }) if reason.contains("note")),
        "{text}"
    );
    for (column, x) in [("Loss", XAxis::Step), ("count", XAxis::Time)] {
        let error = total(column, x).unwrap_err();
        assert!(matches!(error, ViewError::Read(ReadError::UnknownColumn { .. })), "{error}");
    }
    let request = Request::new(["count"]).window(Some(5.0), Some(1.0));
    let error = exact(&file, &request, &mut cache).unwrap_err();
    assert!(matches!(error, ViewError::EmptyWindow { .. }), "{error}");
}

/// The cache goes by the bytes of a chunk, and the same bytes may be integers in one file and floats in another.
#[test]
fn equal_bytes_of_another_type_are_other_numbers() {
    let write = |value: &dyn Fn(i64) -> Value| {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let settings = crate::settings().plain_encoding(true).compression(Compression::NONE);
        let mut log = MetricsLog::<Row>::open_in(Arc::clone(&files), PATH, settings).unwrap();
        append(&mut log, (1..100).map(|row| Row::from([("step", row.into()), ("x", value(row))])));
        log.close().unwrap();
        MetricsFile::open_in(files, PATH).unwrap()
    };
    let ints = write(&|row| Value::from(row));
    let floats = write(&|row| Value::from(f64::from_bits(row as u64)));
    let bytes = |file: &MetricsFile| file.chunks("x", &file.groups()[0]).unwrap()[0].extent;
    assert_eq!(bytes(&ints).checksum, bytes(&floats).checksum, "the bytes are not the same");
    let mut cache = Cache::new();
    let request = Request::new(["x"]).width(50);
    let max = |file: &MetricsFile, cache: &mut Cache| {
        exact(file, &request, cache).unwrap()[0].total().max
    };
    assert_eq!(max(&ints, &mut cache).to_bits(), 99_f64.to_bits());
    assert_eq!(max(&floats, &mut cache).to_bits(), 99);
}

#[test]
fn a_file_without_rows_or_without_the_values_is_an_empty_picture() {
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let mut log = open(&files);
    append(&mut log, [Row::from([("step", Value::from(-1_i64)), ("loss", Value::from(0.5))])]);
    log.close().unwrap();
    let file = MetricsFile::open_in(files, PATH).unwrap();
    let mut cache = Cache::new();
    let request = Request::new(["loss"]).width(50);
    let found = exact(&file, &request, &mut cache).unwrap();
    assert!(found[0].is_empty(), "no chunk has a row with a place");
    assert_eq!((found[0].nulls, found[0].left_out), (0, 1));
    assert!(Envelope::of(&file, &request, &mut cache).unwrap()[0].bands.is_empty());
    let none = exact(&file, &request.clone().rows([]), &mut cache).unwrap();
    assert!(none[0].is_empty());
    let one = exact(&file, &request.x(XAxis::Row), &mut cache).unwrap();
    assert_eq!((one[0].total().n, one[0].total().min), (1, 0.5));
}
