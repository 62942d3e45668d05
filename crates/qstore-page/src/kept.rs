//! The checkpoints of a run, each with what retention does with it and why.

use crate::number::{Number, millis};
use qstore_checkpoint::{Counter, LoadError};
use qstore_run::RunReader;
use qstore_schema::State;
use qstore_zarr::Checkpoints;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    /// What its numbers count.
    counter: &'static str,
    /// Whether what is kept follows from the rules of the run; otherwise all of them are listed as kept.
    planned: bool,
    list: Vec<CheckpointBody>,
}

#[derive(Debug, Serialize)]
struct CheckpointBody {
    number: u64,
    save_seq: u64,
    time: i64,
    bytes: u64,
    attempt: Option<String>,
    keep: bool,
    reason: String,
    /// Numbers of the metadata.
    metrics: Vec<(String, Number)>,
}

pub(crate) fn kept(reader: &RunReader) -> Result<Option<Kept>, Box<dyn std::error::Error>> {
    let Some(checkpoints) = reader.checkpoints()? else { return Ok(None) };
    let counter = match checkpoints.counter()? {
        Counter::Step => "step",
        _ => "epoch",
    };
    // A directory without rules keeps all.
    let decisions = checkpoints.explain().ok();
    let planned = decisions.is_some();
    let fates: BTreeMap<u64, (bool, String)> = decisions
        .unwrap_or_default()
        .into_iter()
        .map(|decision| {
            let unranked = decision.unranked.as_ref().map(|unranked| format!("; {unranked}"));
            let reason = format!("{}{}", decision.reason, unranked.unwrap_or_default());
            (decision.number, (decision.keep, reason))
        })
        .collect();
    let mut list = Vec::new();
    for number in checkpoints.list_checkpoints()? {
        list.extend(checkpoint(&checkpoints, number, &fates));
    }
    list.sort_unstable_by_key(|one| one.save_seq);
    Ok(Some(Kept { counter, planned, list }))
}

/// One that cannot be read is listed with the reason; one that was removed meanwhile is not.
fn checkpoint(
    checkpoints: &Checkpoints,
    number: u64,
    fates: &BTreeMap<u64, (bool, String)>,
) -> Option<CheckpointBody> {
    let (keep, reason) = fates.get(&number).cloned().unwrap_or((true, String::new()));
    match checkpoints.get_checkpoint_info(number) {
        Ok(info) => Some(CheckpointBody {
            number,
            save_seq: info.save_seq,
            time: millis(info.timestamp),
            bytes: info.stored_bytes,
            attempt: info.attempt.as_ref().map(|attempt| attempt.as_str().to_owned()),
            keep,
            reason,
            metrics: info
                .metadata
                .iter()
                .filter_map(|(name, state)| match state {
                    State::Int(value) => Some((name.to_string(), Number(*value as f64))),
                    State::Float(value) => Some((name.to_string(), Number(*value))),
                    _ => None,
                })
                .collect(),
        }),
        Err(LoadError::NotFound { .. }) => None,
        Err(error) => Some(CheckpointBody {
            number,
            save_seq: 0,
            time: 0,
            bytes: 0,
            attempt: None,
            keep,
            reason: error.to_string(),
            metrics: Vec::new(),
        }),
    }
}
