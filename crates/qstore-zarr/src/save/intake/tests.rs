//! What the sink reports through `tracing`, and what a forked child is told.

use super::*;
use crate::catalog::Catalog;
use qstore_checkpoint::repository::MemoryRepository;
use qstore_checkpoint::retention::Goal;
use qstore_os::testing::{Fork, in_child};
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

#[test]
fn a_rule_that_finds_nothing_is_traced_once() {
    let settings = CheckpointSettings::default().keep_best(1, "val_acc", Goal::Highest);
    let catalog = Catalog::read_only(Arc::new(MemoryRepository::new()));
    let intake = Intake::new();
    let mut sink = SaveSink::new(catalog, settings, intake.clone());
    let events = Events::default();
    subscriber::with_default(events.clone(), || {
        for number in 1..=3 {
            let snapshot = Snapshot::new(number).meta("val_accuracy", 0.5);
            let (_ticket, completion) = ticket(number, &intake.gate.open);
            sink.save(Job { snapshot, completion }).unwrap();
        }
    });
    let events = events.0.lock().unwrap();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(event.contains("number=1 ") && event.contains("did you mean `val_accuracy`?"));
}

#[test]
fn every_policy_tells_a_forked_child_so_although_the_lock_is_held() {
    let intake = Intake::new();
    let (_ticket, completion) = ticket(1, &intake.gate.open);
    let held = intake.gate.lock();
    for fork in Fork::ALL {
        for busy in [Busy::Wait, Busy::Skip, Busy::CoalesceLatest] {
            in_child(fork, || {
                let pushed = intake.push(Snapshot::new(2), busy);
                assert!(matches!(pushed, Err(SaveError::Forked)));
                let pushed = intake.try_push(Snapshot::new(2), busy);
                assert!(matches!(pushed, Err(SaveError::Forked)));
                assert!(matches!(intake.first_failure().as_deref(), Some(SaveError::Forked)));
                assert_eq!(intake.open(), 0);
            })
            .unwrap();
        }
    }
    drop(held);
    assert_eq!(intake.open(), 1);
    drop(completion);
}
