//! What does a durable, verified checkpoint cost, beside safetensors and the bare bytes?
//!
//! Every save replaces the one before it and ends when file and directory are synced, ours and the
//! rivals' alike. Every load has a process of its own and finds the file in the page cache.
//! safetensors neither compresses nor verifies.

use crate::round_robin::{Contender, race};
use crate::row::{Measure, Row};
use crate::{Result, Run, durable, load, model};
use qstore_schema::{Key, State, StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "checkpoint";
pub(crate) const QUESTION: &str =
    "what a durable, verified checkpoint costs, beside safetensors and the bare bytes";

/// Replaced over and over.
pub(crate) const EPOCH: u64 = 0;

/// Long enough for the slowest disk.
const TIMEOUT: Duration = Duration::from_mins(2);

const SAFETENSORS_FILE: &str = "model.safetensors";
const BYTES_FILE: &str = "bytes";

const SAVE_RIVALS: &[&str] = &["safetensors_fsync_s_100mb", "write_fsync_s_100mb"];
const LOAD_RIVALS: &[&str] = &["safetensors_load_s_100mb", "safetensors_load_owned_s_100mb"];

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let scratch = run.scratch;
    let model = model::bf16_like()?;
    let tensors = tensors(&model)?;
    let managers = Managers::open(scratch)?;
    let mut rows = race(NAME, 10, saves(scratch, &model, &tensors, &managers))?;
    drop(managers);
    // The last files of the saves are what is loaded.
    rows.extend(race(NAME, 10, loads(scratch))?);
    Ok(rows)
}

/// One manager for each compression.
struct Managers {
    lz4: CheckpointManager,
    zstd: CheckpointManager,
    none: CheckpointManager,
}

impl Managers {
    fn open(scratch: &Path) -> Result<Self> {
        let open = |compression: Compression| {
            let settings = CheckpointSettings::default().compression(compression);
            CheckpointManager::open(scratch.join(dir_of(compression)), settings)
        };
        Ok(Self {
            lz4: open(Compression::Lz4)?,
            zstd: open(Compression::Zstd)?,
            none: open(Compression::None)?,
        })
    }
}

fn dir_of(compression: Compression) -> String {
    format!("checkpoints-{compression}")
}

fn saves<'a>(
    scratch: &'a Path,
    model: &'a StateDict,
    tensors: &'a [(&'a str, &'a Tensor)],
    managers: &'a Managers,
) -> Vec<Contender<'a>> {
    let workers = CheckpointSettings::default().workers;
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
            durable::replace(&scratch.join(BYTES_FILE), |path| {
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
    durable::replace(&scratch.join(SAFETENSORS_FILE), |path| {
        let mut views = Vec::with_capacity(tensors.len());
        for &(name, tensor) in tensors {
            views.push((name, TensorView::new(Dtype::F32, tensor.shape().into(), tensor.data())?));
        }
        Ok(serialize_to_file(views, None, path)?)
    })
}

fn loads(scratch: &Path) -> Vec<Contender<'_>> {
    let workers = CheckpointSettings::default().workers;
    let note = |codec: &str| {
        format!(
            "{codec}; every byte verified, each tensor in memory of its own; new process, file in \
             the page cache; {workers} threads"
        )
    };
    let lz4 = Measure::ours("load_s_lz4_100mb", "s", LOAD_RIVALS, note("lz4"));
    let zstd = Measure::ours("load_s_zstd3_100mb", "s", LOAD_RIVALS, note("zstd"));
    let plain = Measure::ours("load_s_none_100mb", "s", LOAD_RIVALS, note("not compressed"));
    let views = Measure::peer(
        "safetensors_load_s_100mb",
        "s",
        "the file read at once, tensors are views of it; nothing verified; new process, file in \
         the page cache; one thread",
    );
    let owned = Measure::peer(
        "safetensors_load_owned_s_100mb",
        "s",
        "as safetensors_load, then every tensor copied into memory of its own",
    );
    let limit = Measure::limit(
        "read_s_100mb",
        "s",
        "the bare bytes read at once; new process, file in the page cache; one thread",
    );
    let contender = |measure, kind, name: String| {
        let path = scratch.join(name);
        Contender::new(measure, move || load::in_new_process(kind, &path))
    };
    vec![
        contender(lz4, load::QSTORE, dir_of(Compression::Lz4)),
        contender(zstd, load::QSTORE, dir_of(Compression::Zstd)),
        contender(plain, load::QSTORE, dir_of(Compression::None)),
        contender(views, load::SAFETENSORS, SAFETENSORS_FILE.into()),
        contender(owned, load::SAFETENSORS_OWNED, SAFETENSORS_FILE.into()),
        contender(limit, load::BYTES, BYTES_FILE.into()),
    ]
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
