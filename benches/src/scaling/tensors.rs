//! How does the cost of a checkpoint of 16 MB grow with the tensors it is cut into?

use super::{NAME, exponent};
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::safetensors;
use crate::workload::model::{self, Kind};
use crate::{Result, Run};
use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Layout, Snapshot};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Numbers in all tensors together.
const NUMBERS: usize = 4_000_000;
const ROUNDS: usize = 3;

/// More tensors are a directory of as many files only with `--long`, and once.
const DIRECTORY_SHORT: usize = 1_000;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in [10, 100, 1_000, 10_000] {
        let home = run.scratch.join(format!("tensors-{count}"));
        fs::create_dir(&home)?;
        let state = state(count)?;
        let rounds = if count > DIRECTORY_SHORT { 1 } else { ROUNDS };
        let with_directory = run.long || count <= DIRECTORY_SHORT;
        let contenders = contenders(&home, &state, count, with_directory)?;
        let contenders = contenders.into_iter().map(|contender| contender.at_rest(&home));
        rows.extend(race(NAME, rounds, contenders.collect())?);
        fs::remove_dir_all(home)?;
    }
    Ok(rows)
}

fn state(count: usize) -> Result<StateDict> {
    let numbers = Kind::Bf16.numbers(NUMBERS);
    let mut state = StateDict::new();
    for (index, part) in numbers.chunks(NUMBERS / count).enumerate() {
        state.insert(format!("layer.{index}"), Tensor::from_vec(part.to_vec(), [part.len()])?);
    }
    Ok(state)
}

fn contenders<'a>(
    home: &Path,
    state: &'a StateDict,
    count: usize,
    with_directory: bool,
) -> Result<Vec<Contender<'a>>> {
    let x = count as f64;
    let name = |what: &str| format!("scaling_{what}_ms_{}_tensors", exponent(count));
    let peer = name("safetensors");
    let mut contenders = Vec::new();
    let layouts = [
        (Layout::SingleFile, "save", "load", "q-store", "one file"),
        (Layout::Directory, "save_dir", "load_dir", "q-store, directory", "a directory"),
    ];
    for (layout, save, load, series, words) in layouts {
        if layout == Layout::Directory && !with_directory {
            continue;
        }
        let settings = CheckpointSettings::default().layout(layout);
        let manager = CheckpointManager::open(home.join(save), settings)?;
        let how = format!("16 MB of bf16-like floats, {words}, zstd 3, crc32c");
        let saving =
            Measure::ours(name(save), "ms", &[&peer], format!("{how}; durable, everything synced"))
                .on_curve("tensors_save", series, x);
        let loading =
            Measure::ours(name(load), "ms", &[], format!("{how}; every byte verified, warm cache"))
                .on_curve("tensors_load", series, x);
        contenders.push(Contender::several([saving, loading], move || {
            let started = Instant::now();
            manager.save(Snapshot::new(0).model(state.clone()))?.wait(Duration::from_mins(5))?;
            let saved = milliseconds(started);
            let started = Instant::now();
            manager.load(0)?;
            Ok([saved, milliseconds(started)])
        }));
    }
    let note = "not compressed, no checksum; file synced, renamed, directory synced";
    let measure = Measure::peer(peer, "ms", note).on_curve("tensors_save", "safetensors", x);
    let (tensors, path) = (model::tensors(state)?, home.join("model.safetensors"));
    contenders.push(Contender::new(measure, move || {
        let started = Instant::now();
        safetensors::save(&path, &tensors)?;
        Ok(milliseconds(started))
    }));
    Ok(contenders)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
