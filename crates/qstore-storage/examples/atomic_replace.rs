//! Replaces a file so that after a crash or a power cut, and for every reader, it is the old one or the new one.
//!
//! Run it with `cargo run -p qstore-storage --example atomic_replace`.

use qstore_storage::{FileSystem, MemoryFs, Result, StagedFile, read_all};
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<()> {
    let public = Path::new("/settings.json");
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());

    for text in ["{\"lr\": 0.1}", "{\"lr\": 0.01}"] {
        let mut staged = StagedFile::create(&storage, Path::new("/.settings.tmp"))?;
        staged.append(text.as_bytes())?;

        let before = memory.power_cut();
        staged.commit(public)?;
        let after = memory.power_cut();

        println!("committing     {text}");
        println!("  cut before:  {}", show(&before, public));
        println!("  cut after:   {}", show(&after, public));
    }
    Ok(())
}

fn show(storage: &MemoryFs, path: &Path) -> String {
    read_all(storage, path)
        .map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into())
}
