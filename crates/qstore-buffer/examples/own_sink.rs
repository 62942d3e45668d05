//! A sink of your own: the drain hands it batches, in order, on a background thread.
//!
//! Run it with `cargo run -p qstore-buffer --example own_sink`.

use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
use std::convert::Infallible;
use std::time::Duration;

/// Adds up what it is given; a real sink would write it somewhere.
#[derive(Default)]
struct Sum {
    count: u64,
    total: u64,
}

impl Sink<u64> for Sum {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<u64>, _: &mut Round<'_>) -> Result<(), Infallible> {
        self.count += batch.len() as u64;
        self.total += batch.drain(..).sum::<u64>();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        println!("{} items so far, together {}", self.count, self.total);
        Ok(Progress::Idle)
    }

    fn close(&mut self) -> Result<Progress<Infallible>, Infallible> {
        println!("closed");
        Ok(Progress::Idle)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let buffer = AsyncBuffer::new(1_000)?;
    let mut drain = Drain::spawn(buffer.clone(), Sum::default(), DrainSettings::default())?;
    for item in 1..=100 {
        buffer.push(item)?;
    }
    drain.flush(Duration::from_secs(1))?;
    drain.stop(Duration::from_secs(1))?;
    Ok(())
}
