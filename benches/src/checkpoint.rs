//! What does a durable, verified checkpoint cost, beside safetensors, zarr-python, torch.save and the
//! bare bytes?
//!
//! Every save replaces the one before it and ends when file and directory are synced, ours and the
//! rivals' alike, but for zarr-python, which syncs nothing, and DCP, which syncs no directory. Every load
//! has a process of its own and finds the file in the page cache. safetensors and torch neither compress
//! nor verify. The rows that end with `_1gb` are measured with `--long`.

mod costs;
pub(crate) mod load;
mod peak;
mod torch;

use crate::harness::durable;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::python_peer::{self, PythonPeer, ZARR};
use crate::rivals::safetensors;
#[cfg(feature = "peers")]
use crate::rivals::stock_zarrs;
use crate::workload::model::{self, Size};
use crate::{Result, Run};
use qstore_schema::{StateDict, Tensor};
use qstore_zarr::{CheckpointManager, CheckpointSettings, Compression, Layout, Snapshot};
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use torch::Torch;

pub(crate) const NAME: &str = "checkpoint";
pub(crate) const QUESTION: &str = "what a durable, verified checkpoint costs, beside safetensors, \
                                   zarr-python, torch and the bare bytes";

/// Replaced over and over.
pub(crate) const EPOCH: u64 = 0;

/// Long enough for the slowest disk.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(5);

const SAFETENSORS_FILE: &str = "model.safetensors";
const BYTES_FILE: &str = "bytes";

pub(crate) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sizes: &[Size] = if run.long { &[model::MB_100, model::GB_1] } else { &[model::MB_100] };
    for size in sizes {
        let scratch = run.scratch.join(size.suffix);
        fs::create_dir(&scratch)?;
        let model = model::bf16_like(*size)?;
        let torch = Torch::start(run, &scratch, *size, &model::tensors(&model)?)?;
        let torch = torch.as_ref();
        let saves = saves(run, &scratch, *size, &model, torch)?;
        let saves = saves.into_iter().map(|contender| contender.at_rest(&scratch));
        rows.extend(race(NAME, size.rounds, saves.collect())?);
        // The last files of the saves are what is loaded.
        rows.extend(race(NAME, size.rounds, loads(run, &scratch, *size, torch))?);
        rows.extend(costs::run(&scratch, *size, &model, torch)?);
        fs::remove_dir_all(scratch)?;
    }
    rows.extend(costs::kinds(run.scratch)?);
    Ok(rows)
}

/// A row's name for a model of that size.
pub(crate) fn sized(name: &str, size: Size) -> String {
    format!("{name}_{}", size.suffix)
}

/// Rows of a model of that size to be seen beside.
fn rivals(names: &[&str], size: Size) -> Vec<String> {
    names.iter().map(|name| sized(name, size)).collect()
}

/// How these settings save.
pub(crate) fn note_of(settings: &CheckpointSettings) -> String {
    let codec = match settings.compression {
        Compression::NONE => "not compressed".to_owned(),
        Compression { codec, level } => format!("{codec} level {}", level.unwrap_or(3)),
    };
    let layout = match settings.layout {
        Layout::SingleFile => "one file",
        Layout::Directory => "a directory, one file per chunk",
    };
    format!(
        "{codec}, crc32c, {layout}; durable, everything synced; {} threads compress, one writes",
        settings.workers
    )
}

fn with(compression: Compression, layout: Layout) -> CheckpointSettings {
    CheckpointSettings::default().compression(compression).layout(layout)
}

fn dir_of(compression: Compression) -> String {
    format!("checkpoints-{compression}")
}

fn saves<'a>(
    run: &'a Run<'_>,
    scratch: &'a Path,
    size: Size,
    model: &'a StateDict,
    torch: Option<&'a Torch>,
) -> Result<Vec<Contender<'a>>> {
    let tensors = model::tensors(model)?;
    let mut contenders = Vec::new();
    let mut ours =
        |name: &str, settings: CheckpointSettings, dir: String, beside: &[&str]| -> Result {
            let measure = Measure::ours(sized(name, size), "s", &[], note_of(&settings))
                .beside(rivals(beside, size));
            let manager = CheckpointManager::open(scratch.join(dir), settings)?;
            contenders.push(Contender::new(measure, move || Ok(save(&manager, model)?[0])));
            Ok(())
        };
    let file = Layout::SingleFile;
    let (lz4, zstd, none) = (Compression::LZ4, Compression::ZSTD, Compression::NONE);
    let (safe, torch_save, dcp) = ("safetensors_fsync_s", "torch_save_s", "dcp_save_s");
    ours(
        "save_durable_s_lz4",
        with(lz4, file),
        dir_of(lz4),
        &[safe, "zarr_python_s_lz4", torch_save, dcp],
    )?;
    ours(
        "save_durable_s_zstd3",
        with(zstd, file),
        dir_of(zstd),
        &[safe, "zarr_python_s_zstd3", "tensorstore_s_zstd3", torch_save, dcp],
    )?;
    ours(
        "save_durable_s_none",
        with(none, file),
        dir_of(none),
        &[safe, torch_save, dcp, "write_fsync_s"],
    )?;
    let directory = with(lz4, Layout::Directory);
    ours("save_durable_s_dir_lz4", directory, "dir-lz4".into(), &["stock_zarrs_durable_s_lz4"])?;

    let returned = Measure::ours(
        sized("save_return_us_zero_copy", size),
        "us",
        &[],
        "until save() returns, the state handed over without a copy; nothing is durable yet",
    );
    let manager = CheckpointManager::open(scratch.join("returned"), with(lz4, file))?;
    contenders.push(Contender::new(returned, move || Ok(save(&manager, model)?[1] * 1e6)));
    contenders.extend(peers(run, scratch, size, &tensors)?);
    contenders.extend(torch.into_iter().flat_map(|torch| torch.saves(scratch, size)));
    Ok(contenders)
}

fn peers<'a>(
    run: &'a Run<'_>,
    scratch: &'a Path,
    size: Size,
    tensors: &[(&'a str, &'a Tensor)],
) -> Result<Vec<Contender<'a>>> {
    let peer = |name: &str, note: &str| Measure::peer(sized(name, size), "s", note);
    let limit = Measure::limit(
        sized("write_fsync_s", size),
        "s",
        "the bare bytes tensor by tensor, file synced, renamed, directory synced; one thread",
    );
    let (for_safetensors, for_bytes) = (tensors.to_vec(), tensors.to_vec());
    let safe = peer(
        "safetensors_fsync_s",
        "serialize_to_file, file synced, renamed, directory synced; not compressed, no checksum; \
         one thread",
    );
    let mut contenders = vec![
        Contender::new(safe, move || {
            let started = Instant::now();
            safetensors::save(&scratch.join(SAFETENSORS_FILE), &for_safetensors)?;
            Ok(started.elapsed().as_secs_f64())
        }),
        Contender::new(limit, move || {
            let started = Instant::now();
            durable::replace(&scratch.join(BYTES_FILE), |path| {
                let mut file = File::create(path)?;
                for (_, tensor) in &for_bytes {
                    file.write_all(tensor.data())?;
                }
                Ok(())
            })?;
            Ok(started.elapsed().as_secs_f64())
        }),
    ];
    #[cfg(feature = "peers")]
    {
        let stock = peer(
            "stock_zarrs_durable_s_lz4",
            "its own store, which syncs every file, then every directory synced; lz4 level 3, bit \
             shuffle, crc32c, chunks of 1 MiB; the threads it takes by itself",
        );
        let (dir, tensors) = (scratch.join("stock-zarrs"), tensors.to_vec());
        contenders.push(Contender::new(stock, move || {
            let started = Instant::now();
            stock_zarrs::save(&dir, &tensors)?;
            Ok(started.elapsed().as_secs_f64())
        }));
    }
    if let Some(python) = run.peers.python_with(&["zarr", "tensorstore"]) {
        let python = PythonPeer::start(ZARR, python, &python_peer::model_files(scratch, tensors)?)?;
        // All three contenders use the one process.
        let python: &RefCell<PythonPeer> = Box::leak(Box::new(RefCell::new(python)));
        for (codec, name) in [("lz4", "zarr_python_s_lz4"), ("zstd", "zarr_python_s_zstd3")] {
            let note =
                format!("a directory, Blosc {codec} level 3, no checksum; nothing is synced");
            let dir = scratch.join(format!("zarr-python-{codec}"));
            contenders.push(Contender::new(peer(name, &note), move || {
                python.borrow_mut().save(codec, &dir)
            }));
        }
        let note =
            "a directory, one chunk per tensor, Blosc zstd level 3, no checksum; each file synced";
        let dir = scratch.join("tensorstore");
        contenders.push(Contender::new(peer("tensorstore_s_zstd3", note), move || {
            python.borrow_mut().save("tensorstore", &dir)
        }));
    }
    Ok(contenders)
}

/// Seconds until it was durable, and until `save` returned.
fn save(manager: &CheckpointManager, model: &StateDict) -> Result<[f64; 2]> {
    let model = model.clone();
    let started = Instant::now();
    let ticket = manager.save(Snapshot::new(EPOCH).model(model))?;
    let returned = started.elapsed();
    ticket.wait(TIMEOUT)?;
    Ok([started.elapsed().as_secs_f64(), returned.as_secs_f64()])
}

fn loads<'a>(
    run: &'a Run<'_>,
    scratch: &'a Path,
    size: Size,
    torch: Option<&'a Torch>,
) -> Vec<Contender<'a>> {
    let workers = CheckpointSettings::default().workers;
    let note = |codec: &str| {
        format!(
            "{codec}; every byte verified, each tensor in memory of its own; new process, file in \
             the page cache; {workers} threads"
        )
    };
    let contender = |measure, kind, name: String| {
        let path = scratch.join(name);
        Contender::new(measure, move || load::in_new_process(kind, &path))
    };
    let mut contenders = Vec::new();
    for (compression, name, python) in [
        (Compression::LZ4, "load_s_lz4", Some("zarr_python_load_s_lz4")),
        (Compression::ZSTD, "load_s_zstd3", Some("zarr_python_load_s_zstd3")),
        (Compression::NONE, "load_s_none", None),
    ] {
        let safe = ["safetensors_load_s", "safetensors_load_owned_s"];
        let torch = ["torch_load_s", "dcp_load_s"];
        let beside: Vec<&str> = safe.into_iter().chain(python).chain(torch).collect();
        let measure = Measure::ours(sized(name, size), "s", &[], note(&compression.to_string()))
            .beside(rivals(&beside, size));
        contenders.push(contender(measure, load::QSTORE, dir_of(compression)));
    }
    let measure = Measure::ours(sized("load_s_dir_lz4", size), "s", &[], note("lz4, a directory"))
        .beside(rivals(&["safetensors_load_s"], size));
    contenders.push(contender(measure, load::QSTORE, "dir-lz4".into()));
    let one = Measure::ours(
        sized("load_one_tensor_ms", size),
        "ms",
        &[],
        "one attention matrix out of the whole, verified; new process; opening included",
    );
    let dir = scratch.join(dir_of(Compression::LZ4));
    contenders
        .push(Contender::new(one, move || Ok(load::in_new_process(load::QSTORE_ONE, &dir)? * 1e3)));
    let peer = |name: &str, note: &str| Measure::peer(sized(name, size), "s", note);
    let views = peer(
        "safetensors_load_s",
        "the file read at once, tensors are views of it; nothing verified; new process, file in \
         the page cache; one thread",
    );
    let owned = peer(
        "safetensors_load_owned_s",
        "as safetensors_load, then every tensor copied into memory of its own",
    );
    let limit = Measure::limit(
        sized("read_s", size),
        "s",
        "the bare bytes read at once; new process, file in the page cache; one thread",
    );
    contenders.push(contender(views, load::SAFETENSORS, SAFETENSORS_FILE.into()));
    contenders.push(contender(owned, load::SAFETENSORS_OWNED, SAFETENSORS_FILE.into()));
    contenders.push(contender(limit, load::BYTES, BYTES_FILE.into()));
    if let Some(python) = run.peers.python_with(&["zarr", "tensorstore"]) {
        for (codec, name) in
            [("lz4", "zarr_python_load_s_lz4"), ("zstd", "zarr_python_load_s_zstd3")]
        {
            let dir = scratch.join(format!("zarr-python-{codec}"));
            let measure = peer(name, "what it saved itself; no checksum; new process");
            contenders
                .push(Contender::new(measure, move || python_peer::load(ZARR, python, [&dir])));
        }
    }
    contenders.extend(torch.into_iter().flat_map(|torch| torch.loads(scratch, size)));
    contenders
}
