//! Rows that are about to become row groups: encoding them takes the longest of all that a flush does,
//! and needs neither the file nor the rows that come in meanwhile.

use crate::Error;
use crate::buffers::Buffers;
use crate::columns;
use crate::row_group::{self, Coding, EncodedGroup};
use crate::rows::Column;
use parquet::errors::Result as ParquetResult;
use parquet::schema::types::SchemaDescPtr;
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

/// Row groups without a place.
pub(crate) struct Encoded {
    pub(crate) schema: SchemaDescPtr,
    pub(crate) groups: Vec<EncodedGroup>,
}

impl Fresh {
    /// Encodes them, on this thread.
    pub(crate) fn encode(self) -> Result<Encoded, Error> {
        let Self { fields, groups, buffers, path } = self;
        let encode = || {
            let schema = columns::describe(&fields)?;
            let groups = groups.into_iter().map(|FreshGroup { rows, columns, coding }| {
                let encoded = row_group::encode(&columns, rows, &schema, coding, &buffers);
                buffers.give_columns(columns);
                encoded
            });
            let groups = groups.collect::<ParquetResult<_>>()?;
            Ok(Encoded { schema, groups })
        };
        encode().map_err(|source| Error::Codec { path, source })
    }
}

/// Encoded groups, or how one gets them.
pub(crate) enum Source {
    /// They are encoded when they are asked for.
    Here(Fresh),
    /// Another thread is at it, or has been.
    Elsewhere(Receiver<Result<Encoded, Error>>),
}

impl Source {
    /// The groups from another thread, and what that one has to do.
    pub(crate) fn elsewhere(fresh: Fresh) -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, receiver) = sync_channel(1);
        let encode = move || {
            // Nobody waits any more when the version before has failed.
            let _ = sender.send(fresh.encode());
        };
        (Self::Elsewhere(receiver), encode)
    }

    /// Encodes them, or waits for them.
    pub(crate) fn get(self) -> Result<Encoded, Error> {
        match self {
            Self::Here(fresh) => fresh.encode(),
            Self::Elsewhere(receiver) => receiver.recv().unwrap_or_else(|_| {
                let message = "the thread that encodes ahead gave up".into();
                Err(Error::Panicked { message })
            }),
        }
    }
}
