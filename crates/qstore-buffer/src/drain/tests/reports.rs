//! What is reported through `tracing`: the first loss of each kind and the first error, once.

use super::*;
use crate::drain::losses::LossReport;
use crate::health::{Loss, Losses};
use std::convert::Infallible;
use std::fmt::{Debug, Write as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};

/// The events of one thread, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Events {
    fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.contains(text)).count()
    }
}

/// Runs a drain's thread function on this thread, so that its events can be seen.
fn run<S: Sink<u64>>(events: &Events, buffer: &AsyncBuffer<u64>, sink: S) {
    let control = Arc::new(Control::new(sink.stats()));
    let worker = Worker::new(buffer.clone(), sink, control, DrainSettings::default());
    buffer.close();
    subscriber::with_default(events.clone(), || worker.run());
}

#[test]
fn the_first_error_and_the_losses_are_reported_once() {
    let (events, buffer) = (Events::default(), AsyncBuffer::with_name(2, "rows").unwrap());
    for item in 0..5 {
        let _ = buffer.push(item);
    }
    let recorder = Recorder::failing(2);
    run(&events, &buffer, recorder.clone());
    assert_eq!(recorder.log().published, 2);
    assert_eq!(
        (events.count("the disk is on fire"), events.count("new items were dropped")),
        (1, 1)
    );
    assert_eq!((events.count("lost=3"), events.count("buffer=rows")), (1, 2));
}

#[test]
fn a_panic_is_reported() {
    let (events, buffer) = (Events::default(), AsyncBuffer::new(2).unwrap());
    buffer.push(7).unwrap();
    run(&events, &buffer, Panics);
    assert_eq!(events.count("cannot stand [7]"), 1);
}

#[test]
fn the_first_loss_of_each_kind_is_reported_at_once_and_later_ones_after_an_interval() {
    let second = Duration::from_secs(1);
    let events = Events::default();
    let (start, mut report) = (Instant::now(), LossReport::new("rows", 10 * second));
    let mut dropped_and_evicted_after = |seconds: u32, dropped, evicted| {
        let mut losses = Losses::default();
        losses.add_full(Loss::Dropped, dropped, None);
        losses.add_full(Loss::Evicted, evicted, Some(7));
        subscriber::with_default(events.clone(), || {
            report.update(&losses, start + seconds * second);
        });
        (events.count("new items were dropped"), events.count("the oldest items were discarded"))
    };
    assert_eq!(dropped_and_evicted_after(0, 0, 0), (0, 0));
    assert_eq!(dropped_and_evicted_after(1, 1, 0), (1, 0));
    assert_eq!(dropped_and_evicted_after(2, 5, 0), (1, 0), "the interval is not over");
    assert_eq!(dropped_and_evicted_after(3, 5, 1), (1, 1), "the first of its kind");
    assert_eq!(dropped_and_evicted_after(11, 5, 1), (2, 1));
    assert_eq!(dropped_and_evicted_after(30, 5, 1), (2, 1), "nothing was lost since");
    assert_eq!((events.count("lost=1 "), events.count("lost=4 ")), (2, 1));
}

/// Rejects what is odd.
struct Even;

impl Sink<u64> for Even {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, round: &mut Round<'_>) -> Result<(), Infallible> {
        for item in batch.drain(..).filter(|item| item % 2 == 1) {
            round.lose(Loss::Rejected, Some(item as i64), &format_args!("{item} is odd"));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }
}

#[test]
fn what_a_sink_rejects_is_reported_once_and_stays_in_health() {
    let (events, buffer) = (Events::default(), AsyncBuffer::new(8).unwrap());
    (0..8).for_each(|item| buffer.push(item).unwrap());
    run(&events, &buffer, Even);
    assert_eq!((events.count("items were rejected"), events.count("lost=4 ")), (1, 1));
    assert_eq!((events.count("first_lost=1 "), events.count("reason=1 is odd")), (1, 1));

    let buffer = AsyncBuffer::new(8).unwrap();
    let mut drain = spawn(&buffer, Even);
    assert!(drain.health().is_ok());
    (0..8).for_each(|item| buffer.push(item).unwrap());
    drain.flush(LONG).unwrap();
    for _ in 0..2 {
        let health = drain.health();
        let rejected = health.losses.get(Loss::Rejected).unwrap();
        assert_eq!((rejected.count, rejected.first, &*rejected.reason), (4, Some(1), "1 is odd"));
        assert!(!health.is_ok() && health.check().is_ok(), "a loss is not an error");
        drain.stop(LONG).unwrap();
    }
}

#[test]
fn health_keeps_the_first_loss_of_each_kind_and_the_first_error() {
    let settings = crate::BufferSettings::default().maxsize(2);
    let hooks = crate::Hooks::default().label(|item: &u64| Some(*item as i64));
    let buffer = AsyncBuffer::with_hooks(settings, hooks).unwrap();
    for item in 0..5 {
        let _ = buffer.push(item);
    }
    let mut drain = spawn(&buffer, Recorder::failing(2));
    let _ = drain.flush(LONG);
    drain.stop(LONG).unwrap();
    let health = drain.health();
    let dropped = health.losses.get(Loss::Dropped).unwrap();
    assert_eq!((dropped.count, dropped.first), (3, Some(2)));
    assert_eq!(
        health.to_string(),
        "2 errors, the first was: the background writer failed: the disk is on fire; \
         3 new items were dropped, the first was 2: the buffer was full; \
         increase its size or push less often"
    );
    assert!(matches!(health.check(), Err(DrainError::Sink(_))));
}
