//! Events in, rows out, with a sink that keeps them.

use super::*;
use qstore_buffer::{Progress, Round, Sink};
use qstore_logger::{AsyncMetricsLogger, LoggerSettings};
use qstore_schema::{Row, Value};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::subscriber::with_default;
use tracing::{Span, info, info_span, trace};
use tracing_subscriber::layer::SubscriberExt as _;

const LONG: Duration = Duration::from_secs(20);

struct Memory<R>(Arc<Mutex<Vec<R>>>);

impl<R: Send + 'static> Sink<R> for Memory<R> {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<R>, _: &mut Round<'_>) -> Result<(), Infallible> {
        self.0.lock().unwrap().append(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }
}

/// The rows of the events that occur under the layer.
fn rows(events: impl FnOnce()) -> Vec<Row> {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let sink = Memory(Arc::clone(&memory));
    let mut logger =
        AsyncMetricsLogger::<_, Row>::with_sink(sink, LoggerSettings::default()).unwrap();
    let layer = MetricsLayer::new(logger.handle(), "run");
    with_default(tracing_subscriber::registry().with(layer), events);
    logger.stop(LONG).unwrap();
    memory.lock().unwrap().clone()
}

fn columns(row: &Row) -> Vec<(&str, Value)> {
    let values = row.iter().filter(|(name, _)| *name != "timestamp");
    values.map(|(name, value)| (name.as_str(), value.clone())).collect()
}

#[test]
fn every_kind_of_field_becomes_what_a_column_can_hold() {
    let rows = rows(|| {
        let shown = 7;
        info!(target: "run", loss = 0.5, step = 3_u64, delta = -1, warm = true, phase = "fit",
            huge = u64::MAX, took_ms = Duration::from_millis(5).as_millis(), shown = %shown, "a message is for people");
    });
    assert_eq!(
        columns(&rows[0]),
        [
            ("loss", Value::Float(0.5)),
            ("step", Value::Int(3)),
            ("delta", Value::Int(-1)),
            ("warm", Value::Bool(true)),
            ("phase", "fit".into()),
            ("huge", u64::MAX.to_string().into()),
            ("took_ms", Value::Int(5)),
        ]
    );
    assert!(matches!(rows[0].get("timestamp"), Some(Value::Float(at)) if *at > 1.6e9));
}

#[test]
fn only_events_of_the_target_and_with_a_number_are_taken() {
    let rows = rows(|| {
        info!(target: "run", phase = "no number", "just a message");
        info!(target: "runner", loss = 1.0);
        info!(target: "other", loss = 1.0);
        info!(target: "run::inner", loss = 2.0);
        trace!(target: "run", loss = f64::NAN);
    });
    let losses: Vec<_> = rows.iter().map(|row| row.get("loss").cloned()).collect();
    assert_eq!(losses.len(), 2);
    assert_eq!(losses[0], Some(Value::Float(2.0)));
    assert!(matches!(losses[1], Some(Value::Float(loss)) if loss.is_nan()));
}

#[test]
fn fields_of_a_span_are_in_the_rows_of_all_its_events() {
    let rows = rows(|| {
        let epoch = info_span!(target: "run", "epoch", epoch = 3, lr = tracing::field::Empty);
        let _epoch = epoch.clone().entered();
        let _foreign = info_span!(target: "other", "request", epoch = 99).entered();
        info!(target: "run", step = 1);
        epoch.record("lr", 0.1);
        info_span!(target: "run", "retry", epoch = 4).in_scope(|| info!(target: "run", step = 2));
        info!(target: "run", parent: Span::none(), step = 3);
        info!(target: "run", step = 4, epoch = 5);
    });
    let seen: Vec<_> =
        rows.iter().map(|row| ["epoch", "lr", "step"].map(|name| row.get(name).cloned())).collect();
    let (int, lr) = (|value| Some(Value::Int(value)), Some(Value::Float(0.1)));
    assert_eq!(
        seen,
        [
            [int(3), None, int(1)],
            [int(4), lr.clone(), int(2)],
            [None, None, int(3)],
            [int(5), lr, int(4)],
        ]
    );
}

#[test]
fn a_row_with_fixed_columns_is_filled_by_their_names() {
    let memory = Arc::new(Mutex::new(Vec::new()));
    let sink = Memory(Arc::clone(&memory));
    let mut logger = AsyncMetricsLogger::with_sink(sink, LoggerSettings::default()).unwrap();
    let layer = MetricsLayer::<MetricsRow>::new(logger.handle(), "run");
    with_default(tracing_subscriber::registry().with(layer), || {
        info!(target: "run", epoch = 1, step = 2, train_loss = 0.25, accuracy = 0.5);
        logger.stop(LONG).unwrap();
        info!(target: "run", step = 3);
    });
    assert_eq!(logger.stats().buffer.refused, 1, "after the stop a row is refused and counted");
    let rows = memory.lock().unwrap();
    let mut expected = MetricsRow::at(rows[0].metrics().timestamp);
    expected.set("epoch", 1).set("step", 2).set("train_loss", 0.25).set("accuracy", 0.5);
    assert_eq!(*rows, [expected]);
}

/// Regression: both kept their fields under one type, and a span of the second one was a panic in the training
/// loop.
#[test]
fn two_layers_in_one_subscriber_do_not_see_each_others_spans() {
    let memories = [Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new()))];
    let mut loggers = memories.clone().map(|memory| {
        AsyncMetricsLogger::<_, Row>::with_sink(Memory(memory), LoggerSettings::default()).unwrap()
    });
    let layers = (
        MetricsLayer::new(loggers[0].handle(), "run"),
        MetricsLayer::new(loggers[1].handle(), "run::eval"),
    );
    with_default(tracing_subscriber::registry().with(layers.0).with(layers.1), || {
        let _run = info_span!(target: "run", "run", seed = 7).entered();
        let _eval = info_span!(target: "run::eval", "eval", fold = 2).entered();
        info!(target: "run::eval", loss = 0.5);
    });
    for logger in &mut loggers {
        logger.stop(LONG).unwrap();
    }
    let names = memories.map(|memory| {
        let rows = memory.lock().unwrap();
        rows.iter().flat_map(columns).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(names, [vec!["seed", "fold", "loss"], vec!["fold", "loss"]]);
}

/// Regression: each record was one more entry in the span, and every later event copied them all.
#[test]
fn a_field_that_is_recorded_repeatedly_is_in_the_row_once() {
    let rows = rows(|| {
        let run = info_span!(target: "run", "run", step = 0);
        let _run = run.enter();
        for step in 1..1_000 {
            run.record("step", step);
        }
        info!(target: "run", loss = 0.5);
    });
    assert_eq!(columns(&rows[0]), [("step", Value::Int(999)), ("loss", Value::Float(0.5))]);
}

#[test]
fn events_in_a_forked_child_are_refused_and_counted_and_its_own_layer_works() {
    use qstore_os::testing::{Fork, in_child};
    let memory = Arc::new(Mutex::new(Vec::new()));
    let sink = Memory(Arc::clone(&memory));
    let mut logger =
        AsyncMetricsLogger::<_, Row>::with_sink(sink, LoggerSettings::default()).unwrap();
    let layer = MetricsLayer::new(logger.handle(), "run");
    with_default(tracing_subscriber::registry().with(layer), || {
        info!(target: "run", step = 1);
        in_child(Fork::Library, || {
            info!(target: "run", step = 2);
            assert_eq!(logger.stats().buffer.refused, 1);
            assert_eq!(rows(|| info!(target: "run", step = 3)).len(), 1);
        })
        .unwrap();
        info!(target: "run", step = 4);
    });
    logger.stop(LONG).unwrap();
    assert_eq!(memory.lock().unwrap().len(), 2);
}
