//! A loop that ends cleanly on a signal: press Ctrl-C.

use qstore_signal::StopSignal;
use std::thread;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let stop = StopSignal::install()?;
    println!("running for 30 s, or until Ctrl-C");
    for step in 0..300 {
        // sleep: stands for a step of training
        thread::sleep(Duration::from_millis(100));
        if stop.is_set() {
            println!("stopping after step {step}: the logger would be stopped now");
            return Ok(());
        }
    }
    println!("done");
    Ok(())
}
