//! How does the cost of a checkpoint grow with its bytes?

use super::NAME;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::safetensors;
use crate::workload::model::{self, Kind};
use crate::{Result, Run};
use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Snapshot};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Megabytes, and how names call that.
const SIZES: [(usize, &str); 5] =
    [(1, "1mb"), (10, "10mb"), (100, "100mb"), (1_000, "1gb"), (4_000, "4gb")];

/// Without `--long` the curve ends there.
const SHORT: usize = 3;

/// The largest tensor: larger states have several of it, with the same values. No codec sees more
/// than a chunk of 1 MiB at once, so that repeating them does not help it.
const TENSOR_MB: usize = 50;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let sizes = if run.long { &SIZES[..] } else { &SIZES[..SHORT] };
    let mut rows = Vec::new();
    for &(megabytes, name) in sizes {
        let home = run.scratch.join(format!("bytes-{name}"));
        fs::create_dir(&home)?;
        let state = state(megabytes)?;
        let rounds = if megabytes >= 1_000 { 2 } else { 5 };
        let contenders = contenders(&home, &state, megabytes, name)?;
        let contenders = contenders.into_iter().map(|contender| contender.at_rest(&home));
        rows.extend(race(NAME, rounds, contenders.collect())?);
        fs::remove_dir_all(home)?;
    }
    Ok(rows)
}

fn state(megabytes: usize) -> Result<StateDict> {
    let each = megabytes.min(TENSOR_MB);
    let numbers = Kind::Bf16.numbers(each * 250_000);
    let tensor = Tensor::from_vec(numbers, [each * 250, 1_000])?;
    // Tensors share their bytes, so the state takes no more memory than one of them.
    Ok((0..megabytes / each).map(|index| (format!("layer.{index}"), tensor.clone())).collect())
}

fn contenders<'a>(
    home: &Path,
    state: &'a StateDict,
    megabytes: usize,
    size: &str,
) -> Result<Vec<Contender<'a>>> {
    let x = megabytes as f64;
    let safe = format!("scaling_safetensors_s_{size}");
    let mut contenders = Vec::new();
    for (compression, word) in [(Compression::LZ4, "lz4"), (Compression::ZSTD, "zstd3")] {
        let settings = CheckpointSettings::default().compression(compression).keep_last(1);
        let manager = CheckpointManager::open(home.join(word), settings)?;
        let measure = Measure::ours(
            format!("scaling_save_s_{word}_{size}"),
            "s",
            &[&safe],
            format!("bf16-like floats, one file, {word}, crc32c; durable, everything synced"),
        );
        let measure = measure.on_curve("bytes", &format!("q-store, {word}"), x);
        contenders.push(Contender::new(measure, move || {
            let started = Instant::now();
            manager.save(Snapshot::new(0).model(state.clone()))?.wait(Duration::from_mins(10))?;
            Ok(started.elapsed().as_secs_f64())
        }));
    }
    let note = "not compressed, no checksum; file synced, renamed, directory synced; one thread";
    let measure = Measure::peer(safe, "s", note).on_curve("bytes", "safetensors", x);
    let (tensors, path) = (model::tensors(state)?, home.join("model.safetensors"));
    contenders.push(Contender::new(measure, move || {
        let started = Instant::now();
        safetensors::save(&path, &tensors)?;
        Ok(started.elapsed().as_secs_f64())
    }));
    Ok(contenders)
}
