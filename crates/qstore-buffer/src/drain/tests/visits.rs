//! A sink that is used from outside.

use crate::{AsyncBuffer, Drain, DrainError, DrainSettings, Progress, Round, Sink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("taken away")]
struct TakenAway;

/// Holds everything, and cannot flush while its place is taken.
#[derive(Default)]
struct Held {
    items: Vec<u64>,
    capacity: Option<usize>,
    is_taken: Arc<AtomicBool>,
    is_final: bool,
    is_released: Arc<AtomicBool>,
}

impl Sink<u64> for Held {
    type Error = TakenAway;
    type Stats = usize;

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), TakenAway> {
        self.items.append(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<TakenAway>, TakenAway> {
        if self.is_taken.load(SeqCst) { Err(TakenAway) } else { Ok(Progress::Idle) }
    }

    fn capacity(&self) -> usize {
        self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(self.items.len()))
    }

    fn is_final(&self, _: &TakenAway) -> bool {
        self.is_final
    }

    fn release(&mut self) {
        self.is_released.store(true, SeqCst);
    }

    fn stats(&self) -> usize {
        self.items.len()
    }
}

fn drain(sink: Held) -> (AsyncBuffer<u64>, Drain<u64, Held>) {
    let buffer = AsyncBuffer::new(100).unwrap();
    let drain = Drain::spawn(buffer.clone(), sink, DrainSettings::default()).unwrap();
    (buffer, drain)
}

#[test]
fn a_call_finds_everything_that_was_pushed_before_whatever_the_sink_accepts() {
    let (buffer, mut drain) = drain(Held { capacity: Some(3), ..Held::default() });
    for round in 1..20_u64 {
        (0..5).for_each(|_| buffer.push(round).unwrap());
        let found = drain.with_sink(LIMIT, |sink| std::mem::take(&mut sink.items)).unwrap();
        assert!(found.ends_with(&[round]), "round {round}: {found:?}");
    }
    drain.stop(LIMIT).unwrap();
    let ended = drain.with_sink(LIMIT, |sink| sink.items.len());
    assert!(matches!(ended, Err(DrainError::Ended)), "{ended:?}");
}

#[test]
fn after_a_stop_that_failed_the_sink_is_released_and_kept_with_all_items() {
    let (is_taken, is_released) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let sink = Held {
        capacity: Some(3),
        is_taken: Arc::clone(&is_taken),
        is_released: Arc::clone(&is_released),
        ..Held::default()
    };
    let (buffer, mut drain) = drain(sink);
    (0..40).for_each(|item| buffer.push(item).unwrap());
    assert!(matches!(drain.stop(Duration::ZERO), Err(DrainError::Sink(_))));
    assert!(is_released.load(SeqCst), "others wait for its locks");
    let found = drain.with_sink(LIMIT, |sink| sink.items.clone()).unwrap();
    assert_eq!(found, (0..40).collect::<Vec<_>>(), "those in the ring as well");
}

#[test]
fn a_stop_that_cannot_succeed_does_not_wait_for_its_limit() {
    let is_taken = Arc::new(AtomicBool::new(true));
    let (buffer, mut drain) = drain(Held { is_taken, is_final: true, ..Held::default() });
    buffer.push(1).unwrap();
    let started = Instant::now();
    assert!(matches!(drain.stop(Duration::MAX), Err(DrainError::Sink(_))));
    assert!(started.elapsed() < LIMIT);
    assert_eq!(drain.with_sink(LIMIT, |sink| sink.items.len()).unwrap(), 1);
}

#[test]
fn a_call_is_answered_while_a_stop_is_retried() {
    let is_taken = Arc::new(AtomicBool::new(true));
    let (buffer, drain) = drain(Held { is_taken: Arc::clone(&is_taken), ..Held::default() });
    buffer.push(1).unwrap();
    buffer.close(); // the drain retries until a stop sets a limit
    let freed = Arc::clone(&is_taken);
    let count = drain.with_sink(LIMIT, move |sink| {
        freed.store(false, SeqCst);
        sink.items.len()
    });
    assert_eq!(count.unwrap(), 1);
    assert!(drain.flush(LIMIT).is_ok(), "its place is free again");
}
