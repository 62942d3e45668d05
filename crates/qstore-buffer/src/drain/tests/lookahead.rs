//! A sink that works ahead while its work is under way.

use super::*;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Its first work pushes an item and ends only after work ahead has run beside it.
struct WorksAhead {
    buffer: AsyncBuffer<u64>,
    received: usize,
    published: usize,
    ran_ahead: (Sender<()>, Option<Receiver<()>>),
    panics: bool,
}

impl Sink<u64> for WorksAhead {
    type Error = Infallible;
    type Stats = usize;

    fn receive(&mut self, batch: &mut Vec<u64>, round: &mut Round<'_>) -> Result<(), Infallible> {
        self.received += batch.drain(..).count();
        if let Some(place) = round.lookahead() {
            let (ran, panics) = (self.ran_ahead.0.clone(), self.panics);
            place.run(move || {
                assert!(!panics, "fell over");
                // Nobody listens after the first piece of work.
                let _ = ran.send(());
            });
            assert!(round.lookahead().is_none(), "one at a time");
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        if self.published == self.received {
            return Ok(Progress::Idle);
        }
        self.published = self.received;
        let Some(ran_ahead) = self.ran_ahead.1.take() else {
            return Ok(Progress::Work(Box::new(|| Ok(()))));
        };
        let buffer = self.buffer.clone();
        Ok(Progress::Work(Box::new(move || {
            buffer.push(2).unwrap();
            // Without work ahead this fails, and is a panic of the sink.
            ran_ahead.recv_timeout(LONG).unwrap();
            Ok(())
        })))
    }

    fn stats(&self) -> usize {
        self.published
    }
}

fn spawn(panics: bool) -> (AsyncBuffer<u64>, Drain<u64, WorksAhead>) {
    let buffer = AsyncBuffer::new(8).unwrap();
    let (sender, receiver) = channel();
    let sink = WorksAhead {
        buffer: buffer.clone(),
        received: 0,
        published: 0,
        ran_ahead: (sender, Some(receiver)),
        panics,
    };
    (buffer.clone(), Drain::spawn(buffer, sink, DrainSettings::default()).unwrap())
}

#[test]
fn work_ahead_runs_while_the_work_is_under_way() {
    let (buffer, mut drain) = spawn(false);
    buffer.push(1).unwrap();
    drain.flush(LONG).unwrap();
    drain.stop(LONG).unwrap();
    assert_eq!(drain.stats(), 2);
}

#[test]
fn work_ahead_that_panics_poisons_the_drain() {
    let (buffer, mut drain) = spawn(true);
    buffer.push(1).unwrap();
    let error = drain.flush(LONG).unwrap_err();
    assert!(
        matches!(&error, DrainError::Panicked { message } if message == "fell over"),
        "{error}"
    );
    assert!(drain.stop(LONG).is_err());
    assert!(buffer.is_closed());
}

#[test]
fn a_round_without_work_under_way_has_no_place_for_work_ahead() {
    assert!(Round::new(Instant::now()).lookahead().is_none());
}
