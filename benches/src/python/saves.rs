//! Saves and loads of the Python package, beside those of the library in Rust: the same state, in the same run.

use crate::Result;
use crate::checkpoint::TIMEOUT;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use qstore_schema::{Dtype, StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Snapshot, StagingArena};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// What the script calls states of this size: the number of arrays, and the bytes of each.
pub(super) const SIZES: [(&str, usize, usize); 2] = [("100mb", 25, 4 << 20), ("1gb", 64, 16 << 20)];

/// The rows of the library, after those of the script.
pub(super) fn of_the_library(scratch: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (size, arrays, bytes) in SIZES {
        let state = state(arrays, bytes)?;
        let settings = CheckpointSettings::default().compression(Compression::NONE).keep_last(1);
        let manager = CheckpointManager::open(scratch.join(format!("library-{size}")), settings)?;
        let arena = StagingArena::new(2 * state.tensor_bytes());
        arena.reserve(vec![bytes; 2 * arrays])?;
        let save = Measure::limit(
            format!("library_save_durable_s_{size}"),
            "s",
            "in Rust: the state copied into an arena, saved, everything synced; not compressed",
        );
        let load = Measure::limit(
            format!("library_load_s_{size}"),
            "s",
            "in Rust: every byte verified, each tensor in memory of its own; file in the page cache",
        );
        let contenders = vec![
            Contender::new(save, || {
                let started = Instant::now();
                let snapshot = arena.copy_state(&state)?;
                manager.save(Snapshot::new(0).model(snapshot))?.wait(TIMEOUT)?;
                Ok(started.elapsed().as_secs_f64())
            }),
            Contender::new(load, || {
                let started = Instant::now();
                black_box(manager.load(0)?);
                Ok(started.elapsed().as_secs_f64())
            }),
        ];
        // A load needs a save before it, whatever the order of turns is.
        manager.save(Snapshot::new(0).model(state.clone()))?.wait(TIMEOUT)?;
        rows.extend(race(super::NAME, 3, contenders)?);
    }
    Ok(rows)
}

fn state(arrays: usize, bytes: usize) -> Result<StateDict> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut state = StateDict::new();
    for number in 0..arrays {
        let data: Vec<u8> = (0..bytes / 4).flat_map(|_| random.f32().to_le_bytes()).collect();
        state.insert(format!("w{number}"), Tensor::new(Dtype::Float32, vec![bytes / 4], data)?);
    }
    Ok(state)
}

/// What a row of the script about saves is, and what it is to be seen beside.
pub(super) fn measure(row: &str) -> Option<Measure> {
    let (name, library) = match row.strip_suffix("_torch") {
        Some(name) => (name, "torch"),
        None => (row, "numpy"),
    };
    let suffix = if library == "torch" { "_torch" } else { "" };
    let of_size = name.strip_suffix("_100mb").or_else(|| name.strip_suffix("_1gb"));
    if let Some(name) = of_size.filter(|name| name.ends_with("_s")) {
        return durable(row, name, suffix);
    }
    let copy = format!("py_copyto_ms_1gb{suffix}");
    let ours = |unit, note: String| Measure::ours(row, unit, &[], note);
    Some(match name {
        "py_save_per_tensor_us" => ours(
            "us",
            format!("how long `save` of 10 000 arrays of 1 KiB of {library} takes the caller, for each"),
        ),
        "py_save_stall_ms_1gb" => ours(
            "ms",
            format!("how long `save` of 1 GiB in 64 arrays of {library} takes the caller, but for the first one"),
        )
        .beside([copy]),
        "py_copyto_ms_1gb" => Measure::peer(
            row,
            "ms",
            format!("the same arrays copied by {library} into memory in use, on one thread"),
        ),
        "py_save_first_ms_1gb" => {
            ours("ms", "the first save of a manager, whose memory the system has to clear".into())
                .beside([copy])
        }
        "py_save_first_reserved_ms_1gb" => {
            ours("ms", "the first save of a manager after `reserve`".into()).beside([copy])
        }
        "py_save_staged_return_ms_64" => ours(
            "ms",
            "until `save` of the same 64 arrays returns, which a thread copies: `snapshot=\"staged\"`".into(),
        ),
        "py_await_save_loop_pause_ms" => ours(
            "ms",
            "the longest pause of an event loop while it awaits a save of 1 GiB, `snapshot=\"staged\"`".into(),
        )
        .beside(["py_idle_loop_pause_ms".into()]),
        "py_await_save_copied_loop_pause_ms" => {
            ours("ms", "the same with the default, which copies before `save` returns".into())
        }
        "py_idle_loop_pause_ms" => {
            Measure::limit(row, "ms", "the longest pause of an event loop with nothing to do")
        }
        _ => return None,
    })
}

/// Saves that are durable, and loads. `name` is the row without the size.
fn durable(row: &str, name: &str, suffix: &str) -> Option<Measure> {
    let size = row.strip_prefix(name)?.strip_suffix(suffix)?;
    let verb = ["save_durable_s", "load_s"].into_iter().find(|verb| name.ends_with(verb))?;
    let who = name.strip_prefix("py_")?.strip_suffix(verb)?;
    let peers: &[&str] =
        if suffix.is_empty() { &["safetensors_", "zarr_", "original_"] } else { &["torch_"] };
    let note = match (who, verb) {
        ("", "load_s") => "`load`: every byte verified; the file in the page cache",
        ("", _) => "`save(...).wait()`: verified, everything synced; not compressed",
        ("safetensors_" | "torch_", "load_s") => "what it saved itself; nothing verified",
        ("safetensors_" | "torch_", _) => "file synced, renamed, directory synced; no checksum",
        ("zarr_", "load_s") => "what it saved itself; no checksum",
        ("zarr_", _) => "zarr-python, a chunk for each array, not compressed; nothing is synced",
        ("original_", _) => "q-store 4.1.1, its default compression; nothing is synced",
        _ => return None,
    };
    if !who.is_empty() {
        return Some(Measure::peer(row, "s", note));
    }
    let peers = peers.iter().map(|peer| format!("py_{peer}{verb}{size}{suffix}"));
    let library = format!("library_{verb}{size}");
    Some(Measure::ours(row, "s", &[], note).beside(peers.chain([library])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_seen_beside_its_peers_and_the_library() {
        let save = measure("py_save_durable_s_1gb_torch").unwrap();
        assert_eq!(
            save.rivals,
            ["py_torch_save_durable_s_1gb_torch", "library_save_durable_s_1gb"]
        );
        let load = measure("py_load_s_100mb").unwrap();
        assert_eq!(load.rivals.len(), 4);
        for rival in save.rivals.iter().chain(&load.rivals) {
            assert!(rival.starts_with("library_") || measure(rival).is_some(), "{rival}");
        }
        assert!(measure("py_nobody_load_s_1gb").is_none() && measure("py_load_s").is_none());
    }
}
