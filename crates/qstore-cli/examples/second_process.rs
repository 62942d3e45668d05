//! Reads a run with the command's library instead of its program: the JSON document of `qstore show`.
//!
//! `cargo run -p qstore-cli --example second_process -- PATH`

use qstore_cli::console::{Screen, Waiting, World};
use qstore_run::RunPlace;
use std::time::Duration;

/// A call that is never interrupted.
struct Patient;

impl Waiting for Patient {
    fn handle_interrupts(&mut self) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let mut document = Vec::new();
    let world = World {
        out: &mut document,
        err: &mut std::io::stderr(),
        screen: Screen::default(),
        place: RunPlace::default(),
        dir: ".".into(),
        waiting: &mut Patient,
    };
    let exit = qstore_cli::run(["qstore", "show", "--json", &path], world);
    println!("{exit:?}: {}", String::from_utf8(document)?.trim_end());
    Ok(())
}
