//! What is reported through `tracing`: the first loss of each kind and the first error, once.

use super::*;
use crate::drain::losses::LossReport;
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
    let mut stats = AsyncBuffer::<u64>::new(1).unwrap().stats();
    let (start, mut report) = (Instant::now(), LossReport::new(10 * second));
    let mut dropped_and_evicted_after = |seconds: u32, dropped, evicted| {
        (stats.dropped, stats.evicted) = (dropped, evicted);
        subscriber::with_default(events.clone(), || {
            report.update(&stats, start + seconds * second);
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
