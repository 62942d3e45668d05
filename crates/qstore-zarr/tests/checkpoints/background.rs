//! Saves in quick succession, background failures, panics, closing. Nothing here sleeps: the file system
//! holds the background thread at a gate.

use crate::states::Durable;
use crate::states::{model, seed_of};
use crate::watched::{Gate, Watched};
use qstore_buffer::Loss;
use qstore_schema::StateDict;
use qstore_storage::{MemoryFs, Operation};
use qstore_zarr::{
    Busy, CheckpointManager, CheckpointSettings, Outcome, SaveError, SaveTicket, Snapshot, TrySave,
};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

const LONG: Duration = Duration::from_mins(1);

/// A manager whose first save is held at the gate.
fn held(busy: Busy) -> (CheckpointManager, Arc<Gate>, SaveTicket) {
    let (manager, gate) = gated(busy);
    let ticket = save(&manager, 1);
    gate.wait_for_somebody();
    (manager, gate, ticket)
}

fn gated(busy: Busy) -> (CheckpointManager, Arc<Gate>) {
    let watched = Watched::new(&MemoryFs::new());
    let settings = CheckpointSettings::default().busy(busy);
    let manager = CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap();
    let gate = Arc::new(Gate::default());
    let at = Arc::clone(&gate);
    watched.set(move |_, operation, _| {
        if operation == Operation::Create {
            at.pass();
        }
        Ok(())
    });
    (manager, gate)
}

fn save(manager: &CheckpointManager, epoch: u64) -> SaveTicket {
    manager.save(Snapshot::new(epoch).model(model(epoch))).unwrap()
}

#[test]
fn skip_does_not_begin_a_save_while_another_runs() {
    let (manager, gate, first) = held(Busy::Skip);
    let second = save(&manager, 2);
    assert!(second.is_done());
    assert!(matches!(second.wait(Duration::ZERO), Ok(Outcome::Skipped)));
    gate.open();
    assert_eq!(first.durable().number, 1);
    assert_eq!(save(&manager, 3).durable().number, 3);
    assert_eq!(manager.list_checkpoints().unwrap(), [1, 3]);
    let health = manager.health();
    let skipped = health.losses.get(Loss::Dropped).unwrap();
    assert_eq!((skipped.count, skipped.first), (1, Some(2)));
    assert!(health.check().is_ok(), "a skipped save is not a failure");
}

#[test]
fn a_caller_that_cannot_wait_gets_its_snapshot_back_until_there_is_room() {
    let (manager, gate, first) = held(Busy::Wait);
    assert!(manager.wait_for_room(Duration::ZERO), "one may wait");
    let second = match manager.try_save(Snapshot::new(2).model(model(2))).unwrap() {
        TrySave::Started(ticket) => ticket,
        TrySave::Busy(_) => panic!("there was room"),
    };
    assert!(!manager.wait_for_room(Duration::ZERO));
    let snapshot = match manager.try_save(Snapshot::new(3).model(model(3))).unwrap() {
        TrySave::Started(_) => panic!("one runs and one waits"),
        TrySave::Busy(snapshot) => snapshot,
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(|| manager.wait_for_room(LONG));
        gate.open();
        assert!(waiting.join().unwrap());
    });
    // The second save began, so there is room for a third.
    let TrySave::Started(third) = manager.try_save(*snapshot).unwrap() else { panic!("no room") };
    assert_eq!([first, second, third].map(|ticket| ticket.durable().number), [1, 2, 3]);
    let nameless = Snapshot::new(4).model(StateDict::from_iter([("", 1_i64)]));
    assert!(matches!(manager.try_save(nameless), Err(SaveError::State(_))));
}

#[test]
fn coalesce_saves_the_latest_and_never_waits() {
    let (manager, gate, first) = held(Busy::CoalesceLatest);
    let others: Vec<_> = (2..=5).map(|epoch| save(&manager, epoch)).collect();
    assert_eq!(manager.pending(), 2, "one is running and one is waiting");
    for (ticket, by) in others[..3].iter().zip(3..) {
        assert_eq!(ticket.wait(Duration::ZERO).unwrap(), Outcome::Superseded { by });
    }
    gate.open();
    assert_eq!(first.durable().number, 1);
    assert_eq!(others[3].durable().number, 5);
    assert_eq!(manager.list_checkpoints().unwrap(), [1, 5]);
    let health = manager.health();
    let superseded = health.losses.get(Loss::Evicted).unwrap();
    assert_eq!((superseded.count, superseded.first), (3, Some(2)));
    assert!(health.check().is_ok(), "a superseded save is not a failure");
}

#[test]
fn wait_saves_everything_and_holds_at_most_two() {
    let (manager, gate, first) = held(Busy::Wait);
    let second = save(&manager, 2);
    let (returned, returns) = channel();
    thread::scope(|scope| {
        let manager = &manager;
        scope.spawn(move || returned.send(save(manager, 3)).unwrap());
        assert!(matches!(returns.try_recv(), Err(TryRecvError::Empty)));
        assert!(!first.is_done() && !second.is_done());
        gate.open();
        let third = returns.recv_timeout(LONG).unwrap();
        for ticket in [first, second, third] {
            ticket.durable();
        }
    });
    assert_eq!(manager.list_checkpoints().unwrap(), [1, 2, 3]);
}

#[test]
fn the_snapshot_is_the_state_at_the_call() {
    let (manager, gate) = gated(Busy::Wait);
    let mut state = model(1);
    let ticket = manager.save(Snapshot::new(1).model(state.clone())).unwrap();
    gate.wait_for_somebody();
    state = model(2);
    gate.open();
    ticket.durable();
    assert_eq!(seed_of(manager.load(1).unwrap().model().unwrap()), 1);
    assert_eq!(seed_of(&state), 2);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_ticket_can_be_awaited() {
    let (manager, gate, ticket) = held(Busy::Wait);
    thread::scope(|scope| {
        let awaiting = scope.spawn(|| block_on(ticket.clone()));
        gate.open();
        assert!(awaiting.join().unwrap().unwrap().is_saved());
    });
    assert_eq!(block_on(ticket).unwrap().saved().unwrap().number, 1);
    assert_eq!(manager.list_checkpoints().unwrap(), [1]);
}

#[test]
fn a_failure_is_reported_by_the_ticket_or_once_by_the_next_save_and_always_by_health() {
    let watched = Watched::new(&MemoryFs::new());
    let settings = CheckpointSettings::default();
    let mut manager =
        CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap();
    watched.set(|_, operation, _| match operation {
        Operation::Sync => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let ticket = save(&manager, 1);
    while !ticket.is_done() {
        thread::yield_now();
    }
    let error = manager.health().check().unwrap_err().to_string();
    assert!(error.contains("the save of 1 failed") && error.contains("free some space"), "{error}");
    // Nobody has polled the ticket yet, so the next save reports the failure, once.
    let reported = manager.save(Snapshot::new(2).model(model(2))).unwrap_err();
    assert!(
        matches!(&reported, SaveError::EarlierFailed { source } if source.to_string() == error)
    );
    assert_eq!(ticket.wait(LONG).unwrap_err().to_string(), error);
    // Regression: a ticket reports the failure, and the save made in response fails with it again.
    assert!(save(&manager, 2).wait(LONG).is_err());
    watched.set(|_, _, _| Ok(()));
    assert_eq!(save(&manager, 2).durable().number, 2);
    assert_eq!(manager.health().check().unwrap_err().to_string(), error);
    assert_eq!(manager.close(LONG).unwrap_err().to_string(), error);
    assert_eq!(manager.list_checkpoints().unwrap(), [2]);
}

#[test]
fn after_a_panic_every_ticket_resolves_and_no_save_is_accepted() {
    let watched = Watched::new(&MemoryFs::new());
    let settings = CheckpointSettings::default();
    let mut manager =
        CheckpointManager::open_in(watched.shared(), Path::new("/c"), settings).unwrap();
    let gate = Arc::new(Gate::default());
    let at = Arc::clone(&gate);
    watched.set(move |_, operation, _| {
        if operation == Operation::Create {
            at.pass();
            panic!("on purpose");
        }
        Ok(())
    });
    let first = save(&manager, 1);
    gate.wait_for_somebody();
    let second = save(&manager, 2);
    gate.open();
    for ticket in [first, second] {
        assert!(matches!(ticket.wait(LONG), Err(SaveError::Lost { .. })));
        assert!(
            manager.health().first_error.is_some(),
            "health reports it no later than the ticket"
        );
        assert!(matches!(
            manager.save(Snapshot::new(3).model(model(3))),
            Err(SaveError::Closed { .. })
        ));
    }
    let error = manager.close(LONG).unwrap_err();
    assert!(
        matches!(&error, SaveError::Closed { reason } if reason.contains("on purpose")),
        "{error}"
    );
    let error = manager.save(Snapshot::new(3).model(model(3))).unwrap_err();
    assert!(
        matches!(&error, SaveError::Closed { reason } if reason.contains("on purpose")),
        "{error}"
    );
    assert_eq!(manager.pending(), 0);
}

#[test]
fn close_waits_for_accepted_saves_up_to_its_timeout() {
    let (mut manager, gate, first) = held(Busy::Wait);
    let second = save(&manager, 2);
    let error = manager.close(Duration::ZERO).unwrap_err();
    assert!(matches!(error, SaveError::CloseTimedOut { .. }), "{error}");
    gate.open();
    manager.close(LONG).unwrap();
    assert!(first.is_done() && second.is_done());
    assert_eq!(manager.list_checkpoints().unwrap(), [1, 2]);
}

#[test]
fn a_dropped_manager_finishes_its_saves() {
    let memory = MemoryFs::new();
    let open = || {
        let settings = CheckpointSettings::default();
        CheckpointManager::open_in(Arc::new(memory.clone()), Path::new("/c"), settings).unwrap()
    };
    let manager = open();
    let tickets = [save(&manager, 1), save(&manager, 2)];
    drop(manager);
    assert!(tickets.iter().all(|ticket| ticket.wait(Duration::ZERO).is_ok()));
    assert_eq!(open().list_checkpoints().unwrap(), [1, 2]);
}

#[test]
fn an_empty_state_is_a_checkpoint() {
    let (manager, gate) = gated(Busy::Wait);
    gate.open();
    let ticket = manager.save(Snapshot::new(0).model(StateDict::new())).unwrap();
    ticket.durable();
    let loaded = manager.load(0).unwrap();
    assert!(loaded.model().unwrap().is_empty() && loaded.optimizer().is_none());
}
