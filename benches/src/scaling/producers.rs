//! How does the cost of a push grow with the threads that push at once?

use super::NAME;
use crate::Result;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::queue::{Crossbeam, MAXSIZE, Queue, Row200, Std, push_all};
use crossbeam_queue::ArrayQueue;
use qstore_buffer::AsyncBuffer;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const COUNTS: [usize; 5] = [1, 2, 4, 8, 16];
const ROUNDS: usize = 30;

/// Times a queue is filled for one sample.
const FILLS: usize = 5;

pub(super) fn run() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in COUNTS {
        let note = "fill a ring of 10 000, nobody consumes; wall time by rows of all";
        let name = |who: &str| format!("scaling_push_ns_{count}_producers_{who}");
        let note = format!("{count} threads {note}");
        let limit = name("arrayqueue");
        let ours = Measure::ours(name("qstore"), "ns", &[&limit], note.clone());
        let limit = Measure::limit(limit, "ns", format!("{note}; no wake-up"));
        let crossbeam = Measure::peer(name("crossbeam_channel"), "ns", note.clone());
        let std = Measure::peer(name("std_sync_channel"), "ns", note);
        let contenders = vec![
            filling::<AsyncBuffer<Row200>>(ours, "q-store", count),
            filling::<ArrayQueue<Row200>>(limit, "ArrayQueue", count),
            filling::<Crossbeam>(crossbeam, "crossbeam-channel", count),
            filling::<Std>(std, "std sync_channel", count),
        ];
        rows.extend(race(NAME, ROUNDS, contenders)?);
    }
    Ok(rows)
}

fn filling<Q: Queue>(measure: Measure, series: &str, count: usize) -> Contender<'static> {
    let queue = Q::open();
    Contender::new(measure.on_curve("producers", series, count as f64), move || {
        let mut took = Duration::ZERO;
        for _ in 0..FILLS {
            took += fill(&queue, count)?;
            while queue.pop().is_some() {}
        }
        Ok(took.as_nanos() as f64 / (FILLS * MAXSIZE / count * count) as f64)
    })
}

fn fill<Q: Queue>(queue: &Q, count: usize) -> Result<Duration> {
    // There are more threads than cores, so they wait asleep: spinning would starve those who push.
    let start = Barrier::new(count);
    thread::scope(|scope| {
        let produce = || {
            start.wait();
            let started = Instant::now();
            push_all(queue, MAXSIZE / count).map(|()| (started, Instant::now()))
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(produce)).collect();
        let mut whole: Option<(Instant, Instant)> = None;
        for thread in threads {
            let (started, ended) = thread.join().map_err(|_| "a producer panicked")??;
            let (first, last) = whole.unwrap_or((started, ended));
            whole = Some((first.min(started), last.max(ended)));
        }
        let (first, last) = whole.ok_or("nobody produced")?;
        Ok(last - first)
    })
}
