//! What a checkpoint says of itself: when it was saved, its parts, its metadata, its tensors.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::{shown, shown_path};
use crate::output::json::{self, Dict, Number};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::tensors::Stats;
use qstore_checkpoint::{CheckpointInfo, Select};
use qstore_zarr::{CheckpointReader, TensorInfo};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    path: String,
    number: u64,
    save_seq: u64,
    saved: String,
    save_seconds: f64,
    attempt: Option<String>,
    tensor_bytes: u64,
    stored_bytes: u64,
    parts: Vec<Part<'a>>,
    metadata: Dict<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<TensorBody>>,
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct TensorBody {
    path: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: u64,
    stored_bytes: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    stats: Option<StatsBody>,
}

#[derive(Serialize)]
struct StatsBody {
    min: Option<Number>,
    max: Option<Number>,
    mean: Option<Number>,
    nans: u64,
    infinite: u64,
}

pub(super) fn show(
    path: &Path,
    is_list: bool,
    has_stats: bool,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let reader = CheckpointReader::open(path)?;
    let info = reader.info()?;
    let tensors = if is_list { Some(list(&reader, has_stats)?) } else { None };
    if console.is_json() {
        let parts = info.parts.iter().map(|(name, bytes)| Part { name, bytes: *bytes });
        let body = Body {
            kind: "checkpoint",
            path: json::path(path),
            number: info.number,
            save_seq: info.save_seq,
            saved: moment::utc(info.timestamp),
            save_seconds: info.save_duration.as_secs_f64(),
            attempt: info.attempt.as_ref().map(ToString::to_string),
            tensor_bytes: info.tensor_bytes(),
            stored_bytes: info.stored_bytes,
            parts: parts.collect(),
            metadata: Dict(&info.metadata),
            tensors,
        };
        console.document("show", &body)?;
        return Ok(Exit::Done);
    }
    print(path, &info, console)?;
    match tensors {
        Some(tensors) => print_tensors(&tensors, has_stats, console)?,
        None => console.hint("\n--tensors lists the tensors; `qstore verify` checks every byte"),
    }
    Ok(Exit::Done)
}

fn list(reader: &CheckpointReader, has_stats: bool) -> Result<Vec<TensorBody>, Failure> {
    let describe = |info: TensorInfo| {
        let stats = if has_stats { Some(StatsBody::read(reader, &info.path)?) } else { None };
        Ok(TensorBody {
            path: info.path,
            dtype: info.dtype.to_string(),
            shape: info.shape,
            bytes: info.bytes,
            stored_bytes: info.stored_bytes,
            stats,
        })
    };
    reader.tensors()?.into_iter().map(describe).collect()
}

impl StatsBody {
    fn read(reader: &CheckpointReader, path: &str) -> Result<Self, Failure> {
        let found = reader.load(&Select::Name(path.to_owned()))?;
        let stats = found.first().map(|(_, tensor)| Stats::of(tensor)).unwrap_or_default();
        let Stats { min, max, nans, infinite, .. } = stats;
        let mean = stats.mean().map(Number);
        Ok(Self { min: min.map(Number), max: max.map(Number), mean, nans, infinite })
    }
}

fn print(path: &Path, info: &CheckpointInfo, console: &mut Console<'_>) -> Result<(), Failure> {
    let saved = moment::utc(info.timestamp);
    let age = moment::age(console.now(), info.timestamp);
    console.line(format!(
        "{}: number {}, save {}",
        shown_path(path),
        info.number,
        info.save_seq
    ))?;
    let mut facts = Table::new().column("", Align::Left).column("", Align::Left).kept();
    facts.row(["saved".into(), format!("{saved}, {age}").into()]);
    if let Some(attempt) = &info.attempt {
        facts.row(["attempt".into(), attempt.to_string().into()]);
    }
    let (stored, bytes) = (amount::size(info.stored_bytes), amount::size(info.tensor_bytes()));
    facts.row(["size".into(), format!("{stored} stored, {bytes} of tensors").into()]);
    for (name, bytes) in &info.parts {
        facts.row([format!("part {name}").into(), amount::size(*bytes).into()]);
    }
    for (key, node) in info.metadata.iter() {
        let text = serde_json::to_string(&json::Node(node)).unwrap_or_default();
        facts.row([format!("{key}").into(), text.into()]);
    }
    for line in facts.lines(console.is_colored()) {
        console.line(line)?;
    }
    Ok(())
}

fn print_tensors(
    tensors: &[TensorBody],
    has_stats: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.line("")?;
    let mut table = Table::new()
        .column("tensor", Align::Left)
        .column("type", Align::Left)
        .column("shape", Align::Left)
        .column("size", Align::Right)
        .column("stored", Align::Right);
    for head in ["min", "max", "mean", "NaN", "infinite"].iter().filter(|_| has_stats) {
        table = table.column(head, Align::Right);
    }
    for tensor in tensors {
        let mut row: Vec<Cell> = vec![
            Cell::new(&tensor.path),
            Cell::new(&tensor.dtype),
            shape(&tensor.shape).into(),
            amount::size(tensor.bytes).into(),
            amount::size(tensor.stored_bytes).into(),
        ];
        if let Some(stats) = &tensor.stats {
            let number = |number: Option<Number>| {
                number.map_or(String::new(), |Number(value)| amount::float(value, 4))
            };
            row.extend([stats.min, stats.max, stats.mean].map(|value| number(value).into()));
            row.extend([stats.nans, stats.infinite].map(|count| match count {
                0 => Cell::default(),
                count => Cell::new(amount::count(count)).bad(),
            }));
        }
        table.row(row);
    }
    console.table(table, "--json has them")
}

/// A shape as numpy prints it.
fn shape(shape: &[usize]) -> String {
    let lens: Vec<_> = shape.iter().map(ToString::to_string).collect();
    shown(&format!("({})", lens.join(", "))).into_owned()
}
