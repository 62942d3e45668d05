//! What checkpoints cost and which ones stay: sizes and times per compression on four kinds of
//! numbers, then what `keep_last` keeps.
//!
//! Run it with `cargo run --release -p qstore-zarr --example retention`.

use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Snapshot};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_mins(10);
const LEN: usize = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    compression(dir.path())?;
    retention(dir.path())
}

/// Saves and loads one tensor of 16 MB of each kind with each compression.
fn compression(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut numbers = Numbers(42);
    let kinds: [(&str, Vec<f32>); 4] = [
        ("normal f32", numbers.take(|normal, _| normal)),
        ("bf16 in f32", numbers.take(|normal, _| f32::from_bits(normal.to_bits() & 0xffff_0000))),
        ("Adam moments", numbers.take(|normal, _| normal * normal * 1e-6)),
        ("90 % zeros", numbers.take(|normal, uniform| if uniform < 0.9 { 0.0 } else { normal })),
    ];
    println!(
        "{:<14} {:<6} {:>7} {:>7} {:>9} {:>9}",
        "numbers", "codec", "MB", "ratio", "save ms", "load ms"
    );
    for (kind, values) in kinds {
        let model =
            StateDict::from_iter([("weights", Tensor::from_vec(values, [1024, LEN / 1024])?)]);
        for compression in
            [Compression::ZSTD, Compression::LZ4, Compression::GZIP, Compression::NONE]
        {
            let settings = CheckpointSettings::default().keep_last(1).compression(compression);
            let mut manager = CheckpointManager::open(dir, settings)?;
            let saved = manager
                .save(Snapshot::new(0).model(model.clone()))?
                .wait(LONG)?
                .saved()
                .ok_or("skipped")?;
            let start = Instant::now();
            let loaded = manager.load(0)?;
            let load_ms = start.elapsed().as_secs_f64() * 1e3;
            let megabytes = saved.stored_bytes as f64 / 1e6;
            let ratio = loaded.info.tensor_bytes() as f64 / saved.stored_bytes as f64;
            let save_ms = saved.duration.as_secs_f64() * 1e3;
            println!(
                "{kind:<14} {:<6} {megabytes:>7.1} {ratio:>7.2} {save_ms:>9.1} {load_ms:>9.1}",
                compression.to_string()
            );
            manager.close(LONG)?;
        }
    }
    Ok(())
}

/// Saves a few epochs, one of them out of order, and shows what is left after each.
fn retention(dir: &Path) -> Result<(), Box<dyn Error>> {
    println!("\nkeep_last = 3");
    let settings = CheckpointSettings::default().keep_last(3);
    let mut manager = CheckpointManager::open(dir.join("kept"), settings)?;
    for epoch in [10, 11, 12, 13, 3, 14] {
        let model = StateDict::from_iter([("epoch", Tensor::scalar(epoch as i64))]);
        let saved = manager
            .save(Snapshot::new(epoch).model(model))?
            .wait(LONG)?
            .saved()
            .ok_or("skipped")?;
        let (removed, left) = (&saved.removed, manager.list_checkpoints()?);
        println!("saved {epoch:>2}: removed {removed:?}, left {left:?}");
    }
    println!("latest: {:?}", manager.latest_checkpoint()?);
    manager.close(LONG)?;
    Ok(())
}

/// Reproducible random numbers; statistically modest, which is enough to be compressed.
struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// As many numbers as a tensor has, each made from a normal and a uniform one.
    fn take(&mut self, number: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let mut next = || {
            // The sum of four uniform numbers is normal enough.
            let normal = (0..4).map(|_| self.uniform() - 0.5).sum::<f32>() * 0.03;
            number(normal, self.uniform())
        };
        (0..LEN).map(|_| next()).collect()
    }
}
