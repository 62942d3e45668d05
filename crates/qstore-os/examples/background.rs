//! A background thread that yields to everything else and fills a large block of memory cheaply.

use qstore_os::{Priority, prefer_large_pages};
use std::thread;

fn main() {
    let background = thread::spawn(|| {
        Priority::Idle.apply();
        let mut memory = vec![0_u8; 16 << 20];
        prefer_large_pages(&mut memory);
        memory.fill(1);
        memory.len()
    });
    let bytes = background.join().expect("the thread does not panic");
    println!("{bytes} bytes were filled in the background");
}
