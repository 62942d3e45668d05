//! Rows that are about to become row groups: encoding them takes the longest of all that a flush does,
//! and needs neither the file nor the rows that come in meanwhile.

use crate::columns::buffers::Buffers;
use crate::columns::rows::Column;
use crate::error::WriteError;
use crate::format::columns;
use crate::format::encoded_group::{Coding, EncodedGroups};
use crate::format::row_group;
use parquet::errors::Result as ParquetResult;
use qstore_schema::Field;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};

/// Rows to be encoded, by themselves.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// All columns of the file.
    pub(crate) fields: Vec<Field>,
    pub(crate) groups: Vec<FreshGroup>,
    pub(crate) buffers: Buffers,
    /// Which file, for an error.
    pub(crate) path: PathBuf,
}

/// Rows that become one row group.
#[derive(Debug)]
pub(crate) struct FreshGroup {
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Column>,
    pub(crate) coding: Coding,
}

impl Fresh {
    /// Encodes them, on this thread.
    pub(crate) fn encode(self) -> Result<EncodedGroups, WriteError> {
        let Self { fields, groups, buffers, path } = self;
        let encode = || {
            let schema = columns::describe(&fields)?;
            let groups = groups.into_iter().map(|FreshGroup { rows, columns, coding }| {
                let encoded = row_group::encode(&columns, rows, &schema, coding, &buffers);
                buffers.give_columns(columns);
                encoded
            });
            let groups = groups.collect::<ParquetResult<_>>()?;
            Ok(EncodedGroups { schema, groups })
        };
        encode().map_err(|source| WriteError::Encode { path, source })
    }
}

/// Encoded groups, or how to get them.
pub(crate) enum Source {
    /// They are encoded when they are asked for.
    Here(Fresh),
    /// Another thread encodes them, or has done so.
    Elsewhere {
        encoded: Receiver<Result<EncodedGroups, WriteError>>,
        /// For which file, for an error.
        path: PathBuf,
    },
}

impl Source {
    /// The groups from another thread, and the work of that thread.
    pub(crate) fn elsewhere(fresh: Fresh) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, encoded) = sync_channel(1);
        let path = fresh.path.clone();
        let encode = move || {
            // Nobody waits any more when the version before has failed.
            let _ = sender.send(fresh.encode());
        };
        (Self::Elsewhere { encoded, path }, encode)
    }

    /// Encodes them, or waits for them.
    pub(crate) fn get(self) -> Result<EncodedGroups, WriteError> {
        match self {
            Self::Here(fresh) => fresh.encode(),
            Self::Elsewhere { encoded, path } => {
                encoded.recv().unwrap_or(Err(WriteError::EncoderPanicked { path }))
            }
        }
    }
}
