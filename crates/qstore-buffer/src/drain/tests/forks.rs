//! A forked child: its drain has no thread, and any lock may be held by one of its parent's.

use super::*;
use crate::{BufferSettings, Overflow, PushError};
use qstore_os::testing::{Fork, in_child};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

const POLICIES: [Overflow; 3] =
    [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockFor(Duration::MAX)];

fn buffer_of(maxsize: usize, overflow: Overflow) -> AsyncBuffer<u64> {
    let settings = BufferSettings::default().maxsize(maxsize).overflow(overflow);
    AsyncBuffer::with_settings(settings).unwrap()
}

/// Everything that a child can ask of what it inherited, ending with the drop.
fn use_as_a_child<S: Sink<u64>>(mut drain: Drain<u64, S>)
where
    S::Stats: PartialEq + fmt::Debug,
{
    let buffer = drain.buffer().clone();
    let refused = buffer.stats().refused;
    assert_eq!(buffer.push(7), Err(PushError::Forked(7)));
    assert_eq!(buffer.stats().refused, refused + 1, "it is counted");
    assert_eq!((buffer.pop(), buffer.pop_timeout(LONG), buffer.clear()), (None, None, 0));
    assert_eq!(buffer.pop_into(&mut Vec::new(), 9), 0);
    assert!(buffer.is_closed(), "a loop that pushes until the buffer is closed ends");

    assert!(matches!(drain.flush(LONG), Err(DrainError::Forked)));
    assert!(!drain.is_healthy());
    assert!(matches!(drain.take_new_error(), Some(DrainError::Forked)));
    assert!(drain.take_new_error().is_none(), "reported once");
    assert!(matches!(drain.first_error(), Some(DrainError::Forked)));
    assert_eq!((drain.stats(), drain.errors()), (S::Stats::default(), 1));
    for _ in 0..2 {
        assert!(matches!(drain.stop(LONG), Err(DrainError::Forked)));
    }
    buffer.close();
    drop((drain, buffer));
}

/// Regression: rows of a child vanished in its copy of the ring, and its exit took 5 s.
#[test]
fn a_child_gets_its_answers_immediately_although_a_lock_is_held_and_the_parent_goes_on() {
    for (fork, overflow) in Fork::ALL.into_iter().flat_map(|fork| POLICIES.map(|o| (fork, o))) {
        let buffer = buffer_of(4, overflow);
        let recorder = Recorder::default();
        let mut drain = Some(spawn(&buffer, recorder.clone()));
        buffer.push(1).unwrap();
        let control = Arc::clone(&drain.as_ref().unwrap().control);
        let held = control.lock();
        in_child(fork, || use_as_a_child(drain.take().unwrap())).unwrap();
        drop(held);

        buffer.push(2).unwrap();
        let mut drain = drain.unwrap();
        assert!(drain.is_healthy() && drain.first_error().is_none());
        assert_eq!(drain.stop(LONG).unwrap().intake.refused, 0);
        assert_eq!(recorder.log().received, [1, 2], "{fork:?} {overflow:?}");
    }
}

/// A sink that is in the middle of a flush until it is let go.
struct Flushing {
    recorder: Recorder,
    entered: mpsc::Sender<()>,
    leave: mpsc::Receiver<()>,
}

impl Sink<u64> for Flushing {
    type Error = OnFire;
    type Stats = ();

    fn capacity(&self) -> usize {
        1
    }

    fn receive(&mut self, batch: &mut Vec<u64>, round: &mut Round<'_>) -> Result<(), OnFire> {
        self.recorder.receive(batch, round)
    }

    fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
        let _ = self.entered.send(());
        let _ = self.leave.recv();
        self.recorder.flush()
    }
}

#[test]
fn a_child_of_a_parent_that_flushes_beside_a_full_ring_has_an_answer_to_everything() {
    for (fork, overflow) in Fork::ALL.into_iter().flat_map(|fork| POLICIES.map(|o| (fork, o))) {
        let buffer = buffer_of(2, overflow);
        let (entered, has_entered) = mpsc::channel();
        let (go, leave) = mpsc::channel();
        let recorder = Recorder::default();
        let sink = Flushing { recorder: recorder.clone(), entered, leave };
        let mut drain = Some(spawn(&buffer, sink));
        buffer.push(1).unwrap();
        thread::scope(|scope| {
            let flush = scope.spawn({
                let drain = drain.as_ref().unwrap();
                || drain.flush(LONG)
            });
            has_entered.recv().unwrap();
            buffer.push(2).unwrap();
            buffer.push(3).unwrap();
            assert!(buffer.is_full());
            // The child has a handle of its own: the scope borrows the parent's.
            let handle = Mutex::new(buffer.clone());
            in_child(fork, || {
                let buffer = handle.lock().unwrap();
                for item in 0..9 {
                    assert_eq!(buffer.push(item), Err(PushError::Forked(item)));
                }
            })
            .unwrap();
            drop(go);
            flush.join().unwrap().unwrap();
        });
        in_child(fork, || use_as_a_child(drain.take().unwrap())).unwrap();
        drain.unwrap().stop(LONG).unwrap();
        assert_eq!(recorder.log().received, [1, 2, 3], "{fork:?} {overflow:?}");
    }
}

#[test]
fn forks_during_pushes_of_several_threads_neither_hang_the_child_nor_cost_the_parent_an_item() {
    const FORKS: usize = 100;
    for overflow in POLICIES {
        let buffer = buffer_of(8, overflow);
        let recorder = Recorder::default();
        let mut drain = Some(spawn(&buffer, recorder.clone()));
        let is_over = AtomicBool::new(false);
        let mut failure = None;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for item in 0_u64.. {
                        let _ = buffer.push(item);
                        if is_over.load(SeqCst) {
                            return;
                        }
                    }
                });
            }
            // An error is looked at when the other threads have ended.
            failure = (0..FORKS).find_map(|_| {
                in_child(Fork::Library, || use_as_a_child(drain.take().unwrap())).err()
            });
            is_over.store(true, SeqCst);
        });
        assert_eq!(failure, None, "{overflow:?}");
        let summary = drain.unwrap().stop(LONG).unwrap();
        assert_eq!((summary.intake.refused, summary.errors), (0, 0));
        let received = recorder.log().received.len() as u64;
        assert_eq!(received, summary.intake.pushed - summary.intake.evicted, "{overflow:?}");
    }
}

#[test]
fn a_grandchild_knows_whose_drain_it_inherited() {
    let buffer = buffer_of(8, Overflow::DropNewest);
    let mut drain = Some(spawn(&buffer, Recorder::default()));
    in_child(Fork::Library, || {
        let own = buffer_of(8, Overflow::DropNewest);
        let recorder = Recorder::default();
        let mut own_drain = Some(spawn(&own, recorder.clone()));
        own.push(1).unwrap();
        in_child(Fork::Library, || {
            use_as_a_child(own_drain.take().unwrap());
            use_as_a_child(drain.take().unwrap());
        })
        .unwrap();
        own.push(2).unwrap();
        own_drain.unwrap().stop(LONG).unwrap();
        assert_eq!(recorder.log().received, [1, 2]);
    })
    .unwrap();
    drain.unwrap().stop(LONG).unwrap();
}

/// As a daemon does it: what is only memory is made before the fork, the thread after it.
#[test]
fn a_buffer_without_a_drain_works_in_a_child_and_gets_a_drain_there() {
    let buffer = buffer_of(4, Overflow::DropNewest);
    buffer.push(1).unwrap();
    in_child(Fork::Library, || {
        buffer.push(2).unwrap();
        assert_eq!((buffer.try_pop(), buffer.len(), buffer.is_closed()), (Some(1), 1, false));
        let recorder = Recorder::default();
        let mut drain = spawn(&buffer, recorder.clone());
        buffer.push(3).unwrap();
        drain.stop(LONG).unwrap();
        assert_eq!(recorder.log().received, [2, 3]);
    })
    .unwrap();
    assert_eq!((buffer.try_pop(), buffer.try_pop()), (Some(1), None));
}

#[test]
fn a_buffer_that_the_parent_drains_gets_no_second_drain_in_a_child() {
    let buffer = buffer_of(4, Overflow::DropNewest);
    let _drain = spawn(&buffer, Recorder::default());
    in_child(Fork::Library, || {
        let second = Drain::spawn(buffer.clone(), Recorder::default(), DrainSettings::default());
        assert!(matches!(second, Err(DrainError::Forked)));
    })
    .unwrap();
}

/// The child is the drain's own thread here, with the sink of the parent in its hands.
#[test]
fn a_sink_that_forks_is_not_called_again_in_the_child() {
    struct Forks {
        recorder: Recorder,
        /// A process writes its number when it flushes or drops the sink.
        calls: std::io::PipeWriter,
    }
    impl Forks {
        fn note(&self) {
            use std::io::Write as _;
            (&self.calls).write_all(&std::process::id().to_ne_bytes()).unwrap();
        }
    }
    impl Drop for Forks {
        fn drop(&mut self) {
            self.note();
        }
    }
    impl Sink<u64> for Forks {
        type Error = OnFire;
        type Stats = ();

        fn receive(&mut self, batch: &mut Vec<u64>, round: &mut Round<'_>) -> Result<(), OnFire> {
            qstore_os::testing::fork_and_go_on(Fork::Library);
            self.recorder.receive(batch, round)
        }

        fn flush(&mut self) -> Result<Progress<OnFire>, OnFire> {
            self.note();
            self.recorder.flush()
        }
    }
    let (mut reader, calls) = std::io::pipe().unwrap();
    let buffer = buffer_of(4, Overflow::DropNewest);
    let recorder = Recorder::default();
    let mut drain = spawn(&buffer, Forks { recorder: recorder.clone(), calls });
    buffer.push(1).unwrap();
    drain.flush(LONG).unwrap();
    drain.stop(LONG).unwrap();
    assert_eq!(recorder.log().received, [1]);
    // The end of the pipe comes when the child has ended, too.
    let mut by = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut by).unwrap();
    let own = std::process::id().to_ne_bytes();
    assert!(by.len() >= 8 && by.chunks(4).all(|number| number == own), "the child used the sink");
}
