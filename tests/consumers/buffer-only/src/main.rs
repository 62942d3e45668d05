//! Uses the ring without any storage: passes sensor readings between two threads without ever waiting.

use qstore_buffer::{AsyncBuffer, SettingError};
use std::thread;

fn main() -> Result<(), SettingError> {
    let buffer = AsyncBuffer::with_name(1_024, "readings")?;
    let accepted: u64 = thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let accepted = (0..10_000).map(|reading| u64::from(buffer.push(reading).is_ok())).sum();
            buffer.close();
            accepted
        });
        let mut taken = 0_u64;
        while buffer.pop().is_some() {
            taken += 1;
        }
        let accepted = producer.join().expect("the producer does not panic");
        assert_eq!(taken, accepted, "every accepted reading is received");
        accepted
    });
    let stats = buffer.stats();
    assert_eq!((stats.popped, stats.pushed + stats.dropped), (accepted, 10_000));
    println!("{accepted} readings passed, {} dropped and counted", stats.dropped);
    Ok(())
}
