//! What a save costs the training loop: the stall of a copy, the compute it takes away, the memory.

use crate::Result;
use crate::checkpoint::torch::Torch;
use crate::checkpoint::{NAME, TIMEOUT, load, note_of, peak, sized};
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::workload::model::{self, Kind, Size};
use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{
    Busy, CheckpointManager, CheckpointSettings, Compression, Snapshot, StagingArena,
};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// How the training loop feels saves of this model.
pub(crate) fn run(
    scratch: &Path,
    size: Size,
    model: &StateDict,
    torch: Option<&Torch>,
) -> Result<Vec<Row>> {
    let lz4 = CheckpointSettings::default().compression(Compression::LZ4);
    let manager = CheckpointManager::open(scratch.join("borrowed"), lz4.clone())?;
    let tensors = model::tensors(model)?;
    let arena = StagingArena::new(2 * model.tensor_bytes());
    let lens: Vec<usize> = tensors.iter().map(|(_, tensor)| tensor.data().len()).collect();
    arena.reserve(lens.iter().chain(&lens).copied())?;
    let mut warm: Vec<Vec<u8>> = lens.iter().map(|len| vec![1; *len]).collect();

    let memcpy = sized("memcpy_ms", size);
    let stall = Measure::ours(
        sized("save_stall_ms_borrowed", size),
        "ms",
        &[&memcpy],
        "every tensor copied into an arena that was reserved for two snapshots, then save(); nothing \
         is durable yet",
    )
    .beside([sized("dcp_async_save_return_ms", size)]);
    let limit =
        Measure::limit(memcpy, "ms", "every tensor copied into memory that was used before");
    let mut contenders = vec![
        Contender::new(stall, || {
            let started = Instant::now();
            let snapshot = arena.copy_state(model)?;
            let ticket = manager.save(Snapshot::new(0).model(snapshot))?;
            let stall = started.elapsed().as_secs_f64() * 1e3;
            ticket.wait(TIMEOUT)?;
            Ok(stall)
        }),
        Contender::new(limit, || {
            let started = Instant::now();
            for ((_, from), to) in tensors.iter().zip(&mut warm) {
                to.copy_from_slice(from.data());
            }
            black_box(&mut warm);
            Ok(started.elapsed().as_secs_f64() * 1e3)
        }),
    ];
    contenders.extend(torch.map(|torch| torch.save_later(scratch, size)));
    for workers in [1, 2] {
        let settings = lz4.clone().workers(workers).busy(Busy::Skip);
        let manager = CheckpointManager::open(scratch.join(format!("slow-{workers}")), settings)?;
        let measure = Measure::ours(
            sized(&format!("training_slowdown_workers{workers}"), size),
            "×",
            &[],
            "a loop of float arithmetic on one thread while lz4 saves follow each other without a \
             pause, divided by the same loop alone",
        );
        contenders.push(Contender::new(measure, move || {
            let alone = train(|| Ok(()))?;
            let beside = train(|| {
                let _ticket = manager.save(Snapshot::new(0).model(model.clone()))?;
                Ok(())
            })?;
            while manager.pending() > 0 {
                std::thread::yield_now();
            }
            Ok(beside / alone)
        }));
    }
    let measure = Measure::ours(
        sized("peak_extra_mb", size),
        "MB",
        &[],
        "highest resident memory during a second lz4 save, beyond that before it; new process; 2 \
         threads compress chunks of 1 MiB",
    );
    let dir = scratch.join("peak");
    contenders.push(Contender::new(measure, move || {
        load::in_new_process(if size.suffix == "1gb" { peak::PEAK_1GB } else { peak::PEAK }, &dir)
    }));
    let contenders = contenders.into_iter().map(|contender| contender.at_rest(scratch));
    race(NAME, size.rounds, contenders.collect())
}

/// Seconds of a loop that computes, and now and then does something else.
fn train(mut step: impl FnMut() -> Result) -> Result<f64> {
    let started = Instant::now();
    let mut weights = [0.5_f32; 64];
    for _ in 0..40 {
        step()?;
        for round in 0..60_000 {
            let rate = round as f32 * 1e-9;
            for weight in &mut weights {
                *weight = weight.mul_add(0.999_9, rate);
            }
        }
        black_box(&mut weights);
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Ratio and speed of each preset on each kind of numbers: what the guidance in the README is.
pub(crate) fn kinds(scratch: &Path) -> Result<Vec<Row>> {
    const COUNT: usize = 8 << 20;
    let mut models = Vec::new();
    for (kind, name) in Kind::ALL {
        let tensor = Tensor::from_vec(kind.numbers(COUNT), [COUNT / 1024, 1024])?;
        models.push((name, StateDict::from_iter([("w", tensor)])));
    }
    let presets = [
        ("fastest", CheckpointSettings::fastest()),
        ("default", CheckpointSettings::default()),
        ("smallest", CheckpointSettings::smallest()),
        ("none", CheckpointSettings::default().compression(Compression::NONE)),
    ];
    let mut contenders = Vec::new();
    for (preset, settings) in presets {
        for (kind, model) in &models {
            let dir = scratch.join(format!("kind-{preset}-{kind}"));
            let manager = CheckpointManager::open(dir, settings.clone())?;
            let measure = |what: &str, unit| {
                let name = format!("{what}_{preset}_{kind}");
                Measure::ours(name, unit, &[], format!("33.6 MB of {kind}; {}", note_of(&settings)))
            };
            let measures =
                [measure("ratio", "×"), measure("save_mb_s", "MB/s"), measure("load_mb_s", "MB/s")];
            contenders.push(Contender::several(measures, move || {
                let started = Instant::now();
                let saved = manager.save(Snapshot::new(0).model(model.clone()))?.wait(TIMEOUT)?;
                let saved = saved.saved().ok_or("the save was skipped")?;
                let save = started.elapsed().as_secs_f64();
                let started = Instant::now();
                black_box(manager.load(0)?);
                let load = started.elapsed().as_secs_f64();
                let bytes = model.tensor_bytes() as f64;
                Ok([bytes / saved.stored_bytes as f64, bytes / 1e6 / save, bytes / 1e6 / load])
            }));
        }
    }
    race(NAME, 3, contenders)
}
