//! How long does an item take from the push to the thread that waits for it?
//!
//! One item every few milliseconds, the consumer asleep. A `pop` is woken by the push, as a channel's
//! `recv` is; a drain looks by itself after its linger, so that no push pays for a wake-up.

use crate::Result;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;

/// Time to fall asleep after the last item.
const PAUSE: Duration = Duration::from_millis(2);

const LONG: Duration = Duration::from_secs(10);

pub(crate) fn measure(set: &'static str) -> Result<Vec<Row>> {
    let (popped, popped_at) = channel();
    let buffer = AsyncBuffer::<Instant>::new(16)?;
    let consumer = {
        let buffer = buffer.clone();
        thread::spawn(move || {
            while let Some(pushed) = buffer.pop() {
                let _ = popped.send(pushed.elapsed());
            }
        })
    };
    let (drained, drained_at) = channel();
    let drain_buffer = AsyncBuffer::new(16)?;
    let drain = Drain::spawn(drain_buffer.clone(), Reports(drained), DrainSettings::default())?;
    let (peer, inbox) = sync_channel::<Instant>(16);
    let (received, received_at) = channel();
    let peers_thread = thread::spawn(move || {
        for pushed in inbox {
            let _ = received.send(pushed.elapsed());
        }
    });

    let note = "one item every 2 ms; from before the push to after";
    let contenders = vec![
        Contender::new(
            Measure::ours(
                "pop_delivery_us",
                "us",
                &["std_sync_channel_delivery_us"],
                format!("{note} the pop of a thread that sleeps"),
            ),
            || delivery(|item| buffer.push(item).is_ok(), &popped_at),
        ),
        Contender::new(
            Measure::ours(
                "drain_delivery_us",
                "us",
                &[],
                format!("{note} the sink received it; linger 5 ms, so 2.5 ms is the expectation"),
            ),
            || delivery(|item| drain_buffer.push(item).is_ok(), &drained_at),
        ),
        Contender::new(
            Measure::peer(
                "std_sync_channel_delivery_us",
                "us",
                format!("{note} the recv of a thread that sleeps"),
            ),
            || delivery(|item| peer.send(item).is_ok(), &received_at),
        ),
    ];
    let rows = race(set, ROUNDS, contenders)?;
    buffer.close();
    drop((drain, peer));
    consumer.join().map_err(|_| "the consumer panicked")?;
    peers_thread.join().map_err(|_| "the receiver panicked")?;
    Ok(rows)
}

fn delivery(push: impl Fn(Instant) -> bool, took: &Receiver<Duration>) -> Result<f64> {
    thread::sleep(PAUSE);
    if !push(Instant::now()) {
        return Err("there was no room for one item".into());
    }
    Ok(took.recv_timeout(LONG)?.as_nanos() as f64 / 1e3)
}

/// A sink that tells how long each item took.
struct Reports(Sender<Duration>);

impl Sink<Instant> for Reports {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<Instant>, _: &mut Round<'_>) -> Result<(), Infallible> {
        for pushed in batch.drain(..) {
            let _ = self.0.send(pushed.elapsed());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }
}
