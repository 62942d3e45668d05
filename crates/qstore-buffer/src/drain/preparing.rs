//! A sink that prepares what comes next while its work is under way.

use super::*;
use crate::{Preparation, Progress};
use std::error::Error;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

/// Its work ends only after a preparation has run beside it.
struct Prepares {
    received: usize,
    published: usize,
    prepared: (Sender<()>, Option<Receiver<()>>),
    panics: bool,
}

impl Sink<u64> for Prepares {
    type Error = Failed;
    type Stats = usize;

    fn receive(&mut self, batch: &mut Vec<u64>, _: Instant) -> Result<(), Failed> {
        self.received += batch.drain(..).count();
        Ok(())
    }

    fn prepare(&mut self) -> Option<Preparation> {
        let (prepared, panics) = (self.prepared.0.clone(), self.panics);
        Some(Box::new(move || {
            assert!(!panics, "fell over");
            // Nobody listens after the first piece of work.
            let _ = prepared.send(());
        }))
    }

    fn flush(&mut self) -> Result<Progress<Failed>, Failed> {
        if self.published == self.received {
            return Ok(Progress::Idle);
        }
        self.published = self.received;
        let prepared = self.prepared.1.take();
        Ok(Progress::Work(Box::new(move || {
            let heard = prepared.map(|prepared| prepared.recv_timeout(LONG));
            if heard.is_none_or(|heard| heard.is_ok()) { Ok(()) } else { Err(Failed) }
        })))
    }

    fn close(&mut self) -> Result<Progress<Failed>, Failed> {
        self.flush()
    }

    fn stats(&self) -> usize {
        self.published
    }
}

fn spawn(panics: bool) -> (AsyncBuffer<u64>, Drain<u64, Prepares>) {
    let buffer = AsyncBuffer::new(8).unwrap();
    let (sender, receiver) = channel();
    let sink = Prepares { received: 0, published: 0, prepared: (sender, Some(receiver)), panics };
    (buffer.clone(), Drain::spawn(buffer, sink, &DrainSettings::default()).unwrap())
}

#[test]
fn a_preparation_runs_while_the_work_is_under_way() {
    let (buffer, mut drain) = spawn(false);
    buffer.push(1).unwrap();
    drain.flush(LONG).unwrap();
    drain.stop(LONG).unwrap();
    assert_eq!(drain.stats(), 1);
}

#[test]
fn a_preparation_that_panics_poisons_the_drain() {
    let (buffer, mut drain) = spawn(true);
    buffer.push(1).unwrap();
    let error = drain.stop(LONG).unwrap_err();
    assert!(
        matches!(&error, DrainError::Panicked { message } if message == "fell over"),
        "{error}"
    );
    assert!(buffer.is_closed());
}
