//! Rows that are to become row groups. Encoding them takes longer than anything else a flush does, and
//! needs neither the file nor the rows that arrive meanwhile, so it can run on a thread of its own.

use crate::columns::buffers::Buffers;
use crate::columns::column::Column;
use crate::error::WriteError;
use crate::format::encoded_group::{Coding, EncodedGroups};
use crate::format::row_group;
use crate::format::shape::Shape;
use parquet::errors::Result as ParquetResult;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Rows to be encoded, with everything that is needed for it.
#[derive(Debug)]
pub(crate) struct EncodeJob {
    /// All columns of the file.
    pub(crate) shape: Arc<Shape>,
    pub(crate) groups: Vec<GroupRows>,
    pub(crate) buffers: Buffers,
    /// The file, for an error.
    pub(crate) path: PathBuf,
}

/// Rows that become one row group.
#[derive(Debug)]
pub(crate) struct GroupRows {
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Column>,
    pub(crate) coding: Coding,
}

impl EncodeJob {
    /// Encodes the rows, on this thread.
    pub(crate) fn run(self) -> Result<EncodedGroups, WriteError> {
        let Self { shape, groups, buffers, path } = self;
        encode(&shape, groups, &buffers).map_err(|source| WriteError::Encode { path, source })
    }
}

fn encode(
    shape: &Shape,
    groups: Vec<GroupRows>,
    buffers: &Buffers,
) -> ParquetResult<EncodedGroups> {
    let mut encoded = Vec::with_capacity(groups.len());
    for GroupRows { rows, columns, coding } in groups {
        let group = row_group::encode(&columns, rows, (shape, 0), coding, buffers);
        buffers.give_columns(columns);
        encoded.push(group?);
    }
    Ok(EncodedGroups { groups: encoded })
}

/// Encoded groups, or how to get them.
pub(crate) enum Source {
    /// They are encoded when they are asked for.
    Here(EncodeJob),
    /// Another thread encodes them, or has done so.
    Elsewhere {
        encoded: Receiver<Result<EncodedGroups, WriteError>>,
        /// The file, for an error.
        path: PathBuf,
    },
}

impl Source {
    /// The groups from another thread, and the work of that thread.
    pub(crate) fn elsewhere(job: EncodeJob) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, encoded) = sync_channel(1);
        let path = job.path.clone();
        let encode = move || {
            // Nobody waits for the groups any more if the version before them has failed.
            let _ = sender.send(job.run());
        };
        (Self::Elsewhere { encoded, path }, encode)
    }

    /// Encodes the groups, or waits for them.
    pub(crate) fn get(self) -> Result<EncodedGroups, WriteError> {
        match self {
            Self::Here(job) => job.run(),
            Self::Elsewhere { encoded, path } => {
                encoded.recv().unwrap_or(Err(WriteError::EncoderPanicked { path }))
            }
        }
    }
}
