//! The check of one file, and what was found.

use crate::output::escape::shown_path;
use crate::output::{amount, json};
use crate::place::{Kind, Place};
use qstore_checkpoint::LoadError;
use qstore_parquet::{MetricsFile, ReadError};
use qstore_run::{RunError, RunPlace, RunReader};
use qstore_storage::parent_of;
use qstore_zarr::{CheckpointReader, import_safetensors_flat};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// How much of a file is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Footers and manifests.
    Quick,
    /// Every byte is as it was written.
    Stored,
    /// And everything decompresses.
    Decoded,
}

/// What was found in one file.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) path: String,
    #[serde(skip)]
    pub(super) shown: String,
    pub(super) kind: &'static str,
    pub(super) result: Verdict,
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunks: Option<u64>,
    /// Chunks without a checksum, of other programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unguarded_chunks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tensors: Option<usize>,
    pub(super) damage: Vec<Damage>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Everything was checked, and nothing is damaged.
    #[default]
    Whole,
    /// Bytes are not the ones that were written.
    Damaged,
    /// Something could not be checked; nothing is known to be damaged.
    Unchecked,
    /// It could not be read.
    Failed,
}

/// One thing that is wrong.
#[derive(Debug, Default, Serialize)]
pub(super) struct Damage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tensor: Option<String>,
    pub(super) reason: String,
}

/// Checks one file.
pub(super) fn check(place: &Place, machine: &RunPlace, depth: Depth) -> Report {
    let mut report = Report {
        path: json::path(&place.path),
        shown: shown_path(&place.path),
        bytes: fs::metadata(&place.path).ok().filter(fs::Metadata::is_file).map(|file| file.len()),
        ..Report::default()
    };
    match place.kind {
        Kind::Metrics => {
            report.kind = "metrics";
            if let Err(error) = check_metrics(&place.path, depth, &mut report) {
                report.read_failed(&error);
            }
        }
        Kind::Safetensors => {
            report.kind = "safetensors";
            match import_safetensors_flat(&place.path) {
                Ok(state) => {
                    report.tensors = Some(state.tensors().count());
                    report.unchecked("the format has no checksums; the file can be read".into());
                }
                Err(error) => report.load_failed(&error),
            }
        }
        Kind::Description => {
            report.kind = "run";
            if let Err(error) = RunReader::open_in(machine.clone(), parent_of(&place.path)) {
                report.run_failed(&error);
            }
        }
        Kind::Runs => {
            report.kind = "directory";
            report.unchecked("it is nested too deep to be searched; verify it by its path".into());
        }
        _ => {
            report.kind = "checkpoint";
            if let Err(error) = check_checkpoint(&place.path, depth, &mut report) {
                report.load_failed(&error);
            }
        }
    }
    report
}

fn check_metrics(path: &Path, depth: Depth, report: &mut Report) -> Result<(), ReadError> {
    let file = MetricsFile::open(path)?;
    report.rows = Some(file.rows());
    if depth == Depth::Quick {
        return Ok(());
    }
    let found = file.validate()?;
    report.chunks = Some(found.chunks as u64);
    report.unguarded_chunks = Some(found.unguarded_chunks as u64);
    let rows = |rows: std::ops::Range<u64>| Some([rows.start, rows.end]);
    for chunk in found.unchecked {
        report.unchecked(chunk.reason);
        if let Some(last) = report.damage.last_mut() {
            (last.column, last.rows) = (Some(chunk.column), rows(chunk.rows));
        }
    }
    for chunk in found.damage {
        report.damaged(Damage {
            column: Some(chunk.column),
            rows: rows(chunk.rows),
            tensor: None,
            reason: chunk.reason,
        });
    }
    if let Some(reason) = found.contradiction {
        report.damaged(Damage { reason, ..Damage::default() });
    }
    Ok(())
}

fn check_checkpoint(path: &Path, depth: Depth, report: &mut Report) -> Result<(), LoadError> {
    let reader = CheckpointReader::open(path)?;
    let info = match depth {
        Depth::Quick => reader.info()?,
        Depth::Stored => reader.verify_stored()?,
        Depth::Decoded => reader.verify()?,
    };
    report.bytes = Some(info.stored_bytes);
    report.tensors = Some(reader.tensors()?.len());
    Ok(())
}

impl Damage {
    /// Where it is, with a colon; nothing if that is not known.
    pub(super) fn place(&self) -> String {
        let column = self.column.as_ref().map(|name| format!("column `{name}`"));
        let rows = self.rows.map(|[start, end]| format!("rows {start} to {end}"));
        let place: Vec<_> = [column, rows].into_iter().flatten().collect();
        if place.is_empty() { String::new() } else { place.join(", ") + ": " }
    }
}

impl Report {
    fn damaged(&mut self, damage: Damage) {
        self.result = Verdict::Damaged;
        self.damage.push(damage);
    }

    fn unchecked(&mut self, reason: String) {
        if self.result != Verdict::Damaged {
            self.result = Verdict::Unchecked;
        }
        self.damage.push(Damage { reason, ..Damage::default() });
    }

    fn failed(&mut self, reason: String) {
        self.result = Verdict::Failed;
        self.damage.push(Damage { reason, ..Damage::default() });
    }

    fn read_failed(&mut self, error: &ReadError) {
        match error {
            ReadError::Damaged { reason, .. } => {
                self.damaged(Damage { reason: reason.clone(), ..Damage::default() });
            }
            ReadError::Unsupported { reason, .. } => self.unchecked(reason.clone()),
            other => self.failed(other.to_string()),
        }
    }

    fn run_failed(&mut self, error: &RunError) {
        match error {
            RunError::Malformed { .. } => {
                self.damaged(Damage { reason: error.to_string(), ..Damage::default() });
            }
            other => self.unchecked(other.to_string()),
        }
    }

    fn load_failed(&mut self, error: &LoadError) {
        match error {
            LoadError::Damaged { damage, .. } => self.damaged(Damage {
                tensor: damage.tensor().map(ToOwned::to_owned),
                reason: damage.to_string(),
                ..Damage::default()
            }),
            LoadError::UnsupportedVersion { .. }
            | LoadError::Unsupported { .. }
            | LoadError::NotACheckpoint { .. } => self.unchecked(error.to_string()),
            other => self.failed(other.to_string()),
        }
    }

    /// How much was checked, in words.
    pub(super) fn extent(&self) -> String {
        let rows = self.rows.map(|rows| format!("{} rows", amount::count(rows)));
        let tensors = self.tensors.map(|count| format!("{} tensors", amount::count(count as u64)));
        let bytes = self.bytes.map(amount::size);
        let unguarded = self.unguarded_chunks.filter(|chunks| *chunks > 0);
        let unguarded = unguarded.map(|chunks| format!("{chunks} chunks without a checksum"));
        let parts: Vec<_> = [rows, tensors, bytes, unguarded].into_iter().flatten().collect();
        parts.join(", ")
    }
}
