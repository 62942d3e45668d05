//! What happens when a buffer is full: no push waits, and every dropped item is counted.
//!
//! Run it with `cargo run -p qstore-buffer --example overflow`.

use qstore_buffer::{AsyncBuffer, PushError, SettingError};

fn main() -> Result<(), SettingError> {
    let buffer = AsyncBuffer::with_name(5, "overflow")?;

    for step in 0..8 {
        match buffer.push(step) {
            Ok(()) => println!("step {step}: stored"),
            Err(PushError::Full(step)) => println!("step {step}: the ring is full, dropped"),
            Err(PushError::Forked(step)) => println!("step {step}: the parent empties the ring"),
            Err(PushError::Closed(step)) => println!("step {step}: the ring is closed"),
        }
    }

    let oldest = buffer.try_pop();
    println!("\ntaken out: {oldest:?}; now there is room again");
    println!("step 8: {:?}", buffer.push(8));

    buffer.close();
    println!("step 9, after the close: {:?}", buffer.push(9));
    print!("still inside:");
    while let Some(step) = buffer.pop() {
        print!(" {step}");
    }
    println!("\n\n{:#?}", buffer.stats());
    Ok(())
}
