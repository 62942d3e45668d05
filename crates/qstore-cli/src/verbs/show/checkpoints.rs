//! What is in a directory of checkpoints, newest save first.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::shown_path;
use crate::output::json::{self, Dict};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::place::counter_of;
use qstore_checkpoint::retention::Policy;
use qstore_checkpoint::{CheckpointInfo, LoadError};
use qstore_zarr::Checkpoints;
use serde::Serialize;
use std::cmp::Reverse;
use std::path::Path;

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    path: String,
    counter: &'static str,
    policy: Option<Policy>,
    checkpoints: Vec<Entry<'a>>,
    bytes: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    number: u64,
    save_seq: u64,
    saved: String,
    stored_bytes: u64,
    tensor_bytes: u64,
    attempt: Option<String>,
    metadata: Dict<'a>,
}

/// The checkpoints of a directory, newest save first. One that is removed meanwhile is left out.
pub(super) fn infos(checkpoints: &Checkpoints) -> Result<Vec<CheckpointInfo>, Failure> {
    let mut infos = Vec::new();
    for number in checkpoints.list_checkpoints()? {
        match checkpoints.get_checkpoint_info(number) {
            Ok(info) => infos.push(info),
            Err(LoadError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    infos.sort_by_key(|info| Reverse(info.save_seq));
    Ok(infos)
}

pub(super) fn show(dir: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let checkpoints = Checkpoints::open(dir)?;
    let infos = infos(&checkpoints)?;
    let counter = counter_of(dir);
    let bytes: u64 = infos.iter().map(|info| info.stored_bytes).sum();
    if console.is_json() {
        let entries = infos.iter().map(|info| Entry {
            number: info.number,
            save_seq: info.save_seq,
            saved: moment::utc(info.timestamp),
            stored_bytes: info.stored_bytes,
            tensor_bytes: info.tensor_bytes(),
            attempt: info.attempt.as_ref().map(ToString::to_string),
            metadata: Dict(&info.metadata),
        });
        let body = Body {
            kind: "checkpoints",
            path: json::path(dir),
            counter,
            policy: checkpoints.policy().ok(),
            checkpoints: entries.collect(),
            bytes,
        };
        console.document("show", &body)?;
        return Ok(Exit::Done);
    }
    let size = amount::size(bytes);
    console.line(format!("{}: {} checkpoints, {size}", shown_path(dir), infos.len()))?;
    print(&infos, counter, console)?;
    console.hint("`qstore explain` says which of them stay, and why");
    Ok(Exit::Done)
}

/// Prints them as a table.
pub(super) fn print(
    infos: &[CheckpointInfo],
    counter: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut table = Table::new()
        .column(counter, Align::Right)
        .column("save", Align::Right)
        .column("saved", Align::Left)
        .column("size", Align::Right)
        .column("metadata", Align::Left);
    for info in infos {
        let metadata: Vec<_> = info
            .metadata
            .iter()
            .map(|(key, node)| {
                let text = serde_json::to_string(&json::Node(node)).unwrap_or_default();
                format!("{key} {text}")
            })
            .collect();
        table.row([
            info.number.to_string().into(),
            info.save_seq.to_string().into(),
            moment::age(console.now(), info.timestamp).into(),
            amount::size(info.stored_bytes).into(),
            Cell::new(metadata.join(", ")),
        ]);
    }
    if table.is_empty() { Ok(()) } else { console.table(table, "--json has them") }
}
