//! Creates the golden files of the current version of the format, once, when the version is new:
//!
//! ```sh
//! cargo run -p qstore-tests --example golden -- tests/golden/v1
//! ```
//!
//! An existing directory is refused: what a version wrote is never created again.

use qstore_tests::golden::{EXPECTED, make_checkpoints, make_metrics};
use std::error::Error;
use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::args().nth(1).ok_or("name the directory of the version")?);
    if root.exists() {
        return Err(format!("{} exists; golden files are created only once", root.display()).into());
    }
    let mut expected = make_metrics(&root);
    expected.extend(make_checkpoints(&root));
    fs::write(root.join(EXPECTED), serde_json::to_string_pretty(&expected)? + "\n")?;
    println!("{} golden files in {}", expected.len(), root.display());
    Ok(())
}
