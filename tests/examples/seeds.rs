//! Writes the inputs that the fuzzers start with, one directory per target:
//!
//! ```sh
//! cargo run -p qstore-tests --example seeds -- fuzz/seeds
//! ```

use qstore_tests::malformed::TARGETS;
use std::error::Error;
use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::args().nth(1).ok_or("name the directory of the seeds")?);
    for target in TARGETS {
        let dir = root.join(target.name);
        fs::create_dir_all(&dir)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(dir.join(format!("seed_{number}")), seed)?;
        }
    }
    Ok(())
}
