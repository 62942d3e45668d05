//! What does a durable, verified checkpoint cost, beside safetensors and the bare bytes?
//!
//! Every save replaces the one before it and ends when file and directory are synced, ours and the
//! rivals' alike. Every load finds the file in the page cache and ends with all tensors in new
//! memory. safetensors neither compresses nor verifies.

use crate::round_robin::{Contender, race};
use crate::row::{Measure, Row};
use crate::{Result, durable, model};
use qstore_schema::{Key, State, StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, View, serialize_to_file};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "checkpoint";
pub(crate) const QUESTION: &str =
    "what a durable, verified checkpoint costs, beside safetensors and the bare bytes";

/// Replaced over and over.
const EPOCH: u64 = 0;

/// Long enough for the slowest disk.
const TIMEOUT: Duration = Duration::from_mins(2);

const SAVE_RIVALS: &[&str] = &["safetensors_fsync_s_100mb", "write_fsync_s_100mb"];
const LOAD_RIVALS: &[&str] = &["safetensors_load_s_100mb", "safetensors_load_owned_s_100mb"];

pub(crate) fn run(scratch: &Path) -> Result<Vec<Row>> {
    let model = model::bf16_like()?;
    let tensors = tensors(&model)?;
    let managers = Managers::open(scratch, &model)?;
    let mut rows = race(NAME, 10, saves(scratch, &model, &tensors, &managers))?;
    rows.extend(race(NAME, 10, loads(scratch, &tensors, &managers)?)?);
    Ok(rows)
}

/// One manager for each compression, with a checkpoint in it.
struct Managers {
    lz4: CheckpointManager,
    zstd: CheckpointManager,
    none: CheckpointManager,
    workers: usize,
}

impl Managers {
    fn open(scratch: &Path, model: &StateDict) -> Result<Self> {
        let open = |compression: Compression| -> Result<CheckpointManager> {
            let settings = CheckpointSettings::default().compression(compression);
            let dir = scratch.join(format!("checkpoints-{compression}"));
            let manager = CheckpointManager::open(dir, settings)?;
            save(&manager, model)?;
            Ok(manager)
        };
        Ok(Self {
            lz4: open(Compression::Lz4)?,
            zstd: open(Compression::Zstd)?,
            none: open(Compression::None)?,
            workers: CheckpointSettings::default().workers,
        })
    }
}

fn saves<'a>(
    scratch: &'a Path,
    model: &'a StateDict,
    tensors: &'a [(&'a str, &'a Tensor)],
    managers: &'a Managers,
) -> Vec<Contender<'a>> {
    let workers = managers.workers;
    let note = |codec: &str| {
        format!(
            "98.5 MB of bf16 values in f32, 148 tensors; {codec}, crc32c, one file; until the \
             ticket says durable: file and directory synced; {workers} threads compress, one writes"
        )
    };
    let lz4 = Measure::ours(
        "save_durable_s_lz4_100mb",
        "s",
        SAVE_RIVALS,
        note("lz4 level 3, bit shuffle"),
    );
    let returned = Measure::ours(
        "save_return_us_100mb",
        "us",
        &[],
        "until save() returns, the state handed over without a copy; nothing is durable yet",
    );
    let zstd = Measure::ours(
        "save_durable_s_zstd3_100mb",
        "s",
        SAVE_RIVALS,
        note("zstd level 3, bit shuffle"),
    );
    let plain =
        Measure::ours("save_durable_s_none_100mb", "s", SAVE_RIVALS, note("not compressed"));
    let peer = Measure::peer(
        "safetensors_fsync_s_100mb",
        "s",
        "serialize_to_file, file synced, renamed, directory synced; not compressed, no checksum; \
         one thread",
    );
    let limit = Measure::limit(
        "write_fsync_s_100mb",
        "s",
        "the bare bytes tensor by tensor, file synced, renamed, directory synced; one thread",
    );
    vec![
        Contender::several([lz4, returned], || {
            let [durable, returned] = save(&managers.lz4, model)?;
            Ok([durable, returned * 1e6])
        }),
        Contender::new(zstd, || Ok(save(&managers.zstd, model)?[0])),
        Contender::new(plain, || Ok(save(&managers.none, model)?[0])),
        Contender::new(peer, || {
            let started = Instant::now();
            save_safetensors(scratch, tensors)?;
            Ok(started.elapsed().as_secs_f64())
        }),
        Contender::new(limit, move || {
            let started = Instant::now();
            durable::replace(&scratch.join("bytes"), |path| {
                let mut file = File::create(path)?;
                for (_, tensor) in tensors {
                    file.write_all(tensor.data())?;
                }
                Ok(())
            })?;
            Ok(started.elapsed().as_secs_f64())
        }),
    ]
}

/// Seconds until it was durable, and until `save` returned.
fn save(manager: &CheckpointManager, model: &StateDict) -> Result<[f64; 2]> {
    let model = model.clone();
    let started = Instant::now();
    let ticket = manager.save(EPOCH, model, None, None)?;
    let returned = started.elapsed();
    ticket.wait(TIMEOUT)?;
    Ok([started.elapsed().as_secs_f64(), returned.as_secs_f64()])
}

fn save_safetensors(scratch: &Path, tensors: &[(&str, &Tensor)]) -> Result {
    durable::replace(&scratch.join("model.safetensors"), |path| {
        let mut views = Vec::with_capacity(tensors.len());
        for &(name, tensor) in tensors {
            views.push((name, TensorView::new(Dtype::F32, tensor.shape().into(), tensor.data())?));
        }
        Ok(serialize_to_file(views, None, path)?)
    })
}

fn loads<'a>(
    scratch: &'a Path,
    tensors: &'a [(&'a str, &'a Tensor)],
    managers: &'a Managers,
) -> Result<Vec<Contender<'a>>> {
    // There is one from the saves; written again so that this set does not depend on their order.
    save_safetensors(scratch, tensors)?;
    let workers = managers.workers;
    let note = |codec: &str| {
        format!(
            "{codec}; every byte verified; file in the page cache, tensors in new memory; \
             {workers} threads"
        )
    };
    let lz4 = Measure::ours("load_s_lz4_100mb", "s", LOAD_RIVALS, note("lz4"));
    let zstd = Measure::ours("load_s_zstd3_100mb", "s", LOAD_RIVALS, note("zstd"));
    let plain = Measure::ours("load_s_none_100mb", "s", LOAD_RIVALS, note("not compressed"));
    let peer = Measure::peer(
        "safetensors_load_s_100mb",
        "s",
        "file in the page cache read into new memory, tensors are views of it; nothing verified; \
         one thread",
    );
    let owned = Measure::peer(
        "safetensors_load_owned_s_100mb",
        "s",
        "the same, then every tensor copied into memory of its own, as ours are; one thread",
    );
    let limit = Measure::limit(
        "copy_s_100mb",
        "s",
        "the bytes in memory copied into new memory, tensor by tensor; one thread",
    );
    Ok(vec![
        Contender::new(lz4, || load(&managers.lz4, tensors.len())),
        Contender::new(zstd, || load(&managers.zstd, tensors.len())),
        Contender::new(plain, || load(&managers.none, tensors.len())),
        Contender::new(peer, || load_safetensors(scratch, tensors.len(), |view| view.data_len())),
        Contender::new(owned, || {
            load_safetensors(scratch, tensors.len(), |view| view.data().to_vec())
        }),
        Contender::new(limit, || {
            let started = Instant::now();
            let copies: Vec<Vec<u8>> =
                tensors.iter().map(|(_, tensor)| tensor.data().to_vec()).collect();
            black_box(&copies);
            Ok(started.elapsed().as_secs_f64())
        }),
    ])
}

fn load(manager: &CheckpointManager, tensors: usize) -> Result<f64> {
    let started = Instant::now();
    let loaded = black_box(manager.load(EPOCH)?);
    let took = started.elapsed().as_secs_f64();
    if loaded.model_state.len() == tensors { Ok(took) } else { Err("tensors are missing".into()) }
}

/// Seconds until `keep` has made of each tensor what is to stay.
fn load_safetensors<T>(
    scratch: &Path,
    tensors: usize,
    keep: impl Fn(&TensorView<'_>) -> T,
) -> Result<f64> {
    let started = Instant::now();
    let bytes = fs::read(scratch.join("model.safetensors"))?;
    let views = SafeTensors::deserialize(&bytes)?;
    let loaded: Vec<T> = black_box(views.iter().map(|(_, view)| keep(&view)).collect());
    let took = started.elapsed().as_secs_f64();
    if loaded.len() == tensors { Ok(took) } else { Err("tensors are missing".into()) }
}

/// Names and tensors as safetensors wants them.
fn tensors(model: &StateDict) -> Result<Vec<(&str, &Tensor)>> {
    let mut tensors = Vec::with_capacity(model.len());
    for node in model.iter() {
        let (Key::Name(name), State::Tensor(tensor)) = node else {
            return Err("the model is to have named tensors and nothing else".into());
        };
        tensors.push((name.as_str(), tensor));
    }
    Ok(tensors)
}
