//! Publishes a new version of the file by copy and rename.
//!
//! The stored bytes are copied as they are, the new row group and a footer are written behind them,
//! and the copy takes the public name once it is durable. A reader therefore always opens a whole
//! file, the old one or the new one, and one that is already open never changes.
//!
//! Some readers open the path twice, once for the footer and once for the data, and a version may be
//! published in between. What a footer points to must therefore still be there in the versions after
//! it: groups that were merged stay behind as dead bytes, and only when these outweigh the living,
//! when columns change, or when the file is closed, is it written anew without them.

use crate::published::{Published, stored_bytes};
use crate::read_at::contain;
use crate::row_group::{self, EncodedGroup};
use crate::rows::{Column, Rows, Values};
use crate::{Error, footer};
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use parquet::schema::types::SchemaDescPtr;
use qstore_storage::{StagedFile, Storage, StorageFile};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Dead bytes that are no reason to compact, however small the file is.
const DEAD_BYTES_FREE: u64 = 1 << 20;

/// How much of a file is copied at a time.
const BLOCK: u64 = 1 << 20;

/// What the next version of the file is to be.
pub(crate) struct Version<'a> {
    pub(crate) old: Option<&'a Published>,
    /// How many row groups of the old version stay.
    pub(crate) kept: usize,
    /// All columns, and the rows that are held.
    pub(crate) rows: &'a Rows,
    /// How many of the latest rows become one new row group.
    pub(crate) new_rows: usize,
    pub(crate) keys: Vec<KeyValue>,
    pub(crate) compression: Compression,
    /// Whether no dead bytes are to be left.
    pub(crate) compact: bool,
}

/// Writes the version under `temporary` and gives it the name `public`; also tells how long that
/// took, without the encoding.
pub(crate) fn publish(
    version: Version<'_>,
    storage: &Arc<dyn Storage>,
    temporary: &Path,
    public: &Path,
) -> Result<(Published, Duration), Error> {
    let codec = |source| Error::Codec { path: public.to_path_buf(), source };
    let fields = version.rows.fields();
    let schema = crate::columns::describe(&fields).map_err(codec)?;
    // Encoded first: it takes the longest, and nothing is on the disk yet if it fails.
    let held = version.rows.len();
    let range = held - version.new_rows..held;
    let encode = || {
        let columns = version.rows.columns();
        row_group::encode(columns, &range, &schema, version.compression).map_err(codec)
    };
    let encoded = if range.is_empty() { None } else { Some(encode()?) };

    let started = Instant::now();
    let mut target = Target {
        staged: stage(storage, temporary)?,
        schema,
        groups: Vec::new(),
        dead_bytes: 0,
        public,
    };
    match version.old {
        None => target.staged.append(footer::MAGIC)?,
        Some(old) => {
            let living: u64 = old.groups[..version.kept].iter().map(stored_bytes).sum();
            let merged: u64 = old.groups[version.kept..].iter().map(stored_bytes).sum();
            let dead = old.dead_bytes + merged;
            let is_wasteful = dead > living + DEAD_BYTES_FREE || (version.compact && dead > 0);
            if is_wasteful || old.fields != fields {
                // Metadata of a file that was found may still be a lie the library stumbles over.
                let rewritten = contain(|| target.rewrite(old, &version));
                rewritten.map_err(|reason| damaged(public, reason))??;
            } else {
                target.copy(old, version.kept)?;
                target.dead_bytes = dead;
            }
        }
    }
    if let Some(group) = encoded {
        target.append(&group)?;
    }
    if version.old.is_some() {
        // A private file stays private. Best effort: not every file system has modes.
        let _ = storage.copy_mode(public, temporary);
    }
    let published = target.commit(fields, version.keys)?;
    Ok((published, started.elapsed()))
}

/// An empty file under the temporary name. The writer's lock says that a file under that name is a
/// leftover: of a failed publication whose file could not be removed either.
fn stage(storage: &Arc<dyn Storage>, temporary: &Path) -> Result<StagedFile, Error> {
    match StagedFile::create(storage, temporary) {
        Err(error) if error.is_already_exists() => {
            storage.remove_file(temporary)?;
            Ok(StagedFile::create(storage, temporary)?)
        }
        created => Ok(created?),
    }
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::NotParquet { path: path.to_path_buf(), reason }
}

/// The version being written.
struct Target<'a> {
    staged: StagedFile,
    schema: SchemaDescPtr,
    groups: Vec<RowGroupMetaData>,
    dead_bytes: u64,
    public: &'a Path,
}

impl Target<'_> {
    fn codec(&self, source: parquet::errors::ParquetError) -> Error {
        Error::Codec { path: self.public.to_path_buf(), source }
    }

    /// Takes over all bytes where they stand, and the first row groups.
    fn copy(&mut self, old: &Published, kept: usize) -> Result<(), Error> {
        self.copy_range(&*old.file, 0, old.data_end)?;
        self.groups.extend_from_slice(&old.groups[..kept]);
        Ok(())
    }

    fn copy_range(&mut self, from: &dyn StorageFile, start: u64, end: u64) -> Result<(), Error> {
        let mut block = vec![0; (end - start).min(BLOCK) as usize];
        let mut offset = start;
        while offset < end {
            let length = (end - offset).min(BLOCK) as usize;
            from.read_at(offset, &mut block[..length])?;
            self.staged.append(&block[..length])?;
            offset += length as u64;
        }
        Ok(())
    }

    fn append(&mut self, group: &EncodedGroup) -> Result<(), Error> {
        let placed = group.place(self.staged.len(), self.groups.len(), &self.schema);
        let placed = placed.map_err(|error| self.codec(error))?;
        self.staged.append(group.bytes())?;
        self.groups.push(placed);
        Ok(())
    }

    /// Takes over the first row groups and nothing else, one behind the other. Their chunks are
    /// copied; a column that is new becomes all null, one that was widened is encoded again.
    fn rewrite(&mut self, old: &Published, version: &Version<'_>) -> Result<(), Error> {
        self.staged.append(footer::MAGIC)?;
        for (number, group) in old.groups[..version.kept].iter().enumerate() {
            let (start, rows) = (self.staged.len(), group.num_rows() as usize);
            let mut chunks = Vec::with_capacity(version.rows.columns().len());
            for (index, column) in version.rows.columns().iter().enumerate() {
                chunks.push(match old.fields.get(index) {
                    Some(field) if *field == column.field => {
                        self.copy_chunk(old, group.column(index))?
                    }
                    Some(_) => {
                        let floats = floats(old, number, index, column)
                            .map_err(|reason| damaged(self.public, reason))?;
                        self.append_chunk(&floats, rows, version.compression)?
                    }
                    None => {
                        let nulls = Column::nulls(column.field.clone(), rows);
                        self.append_chunk(&nulls, rows, version.compression)?
                    }
                });
            }
            let ordinal = self.groups.len();
            let group = row_group::assemble(chunks, rows, start, ordinal, &self.schema);
            self.groups.push(group.map_err(|error| self.codec(error))?);
        }
        Ok(())
    }

    fn copy_chunk(
        &mut self,
        old: &Published,
        chunk: &ColumnChunkMetaData,
    ) -> Result<ColumnChunkMetaData, Error> {
        let (start, length) = chunk.byte_range();
        let shift = self.staged.len() as i64 - start as i64;
        self.copy_range(&*old.file, start, start + length)?;
        row_group::shifted(chunk, shift).map_err(|error| self.codec(error))
    }

    fn append_chunk(
        &mut self,
        column: &Column,
        rows: usize,
        compression: Compression,
    ) -> Result<ColumnChunkMetaData, Error> {
        let offset = self.staged.len();
        let encode = || {
            let alone = crate::columns::describe(std::slice::from_ref(&column.field))?;
            let group =
                row_group::encode(std::slice::from_ref(column), &(0..rows), &alone, compression)?;
            let chunk = &group.columns[0];
            let shift = offset as i64 - chunk.byte_range().0 as i64;
            Ok((row_group::shifted(chunk, shift)?, group))
        };
        let (chunk, group) = encode().map_err(|error| self.codec(error))?;
        self.staged.append(group.chunk(0))?;
        Ok(chunk)
    }

    fn commit(
        mut self,
        fields: Vec<qstore_schema::Field>,
        keys: Vec<KeyValue>,
    ) -> Result<Published, Error> {
        let bytes = footer::encode(self.groups.clone(), &self.schema, keys.clone());
        let bytes = bytes.map_err(|error| self.codec(error))?;
        let data_end = self.staged.len();
        self.staged.append(&bytes)?;
        let file = self.staged.commit(self.public)?.into();
        let Self { groups, dead_bytes, .. } = self;
        Ok(Published { file, fields, groups, data_end, dead_bytes, keys })
    }
}

/// The integers of a stored chunk as the floats that their column holds now.
fn floats(old: &Published, group: usize, index: usize, column: &Column) -> Result<Column, String> {
    let (values, levels) = old.integers(group, index)?;
    let mut floats = Column::nulls(column.field.clone(), 0);
    floats.values = Values::Float64(values.into_iter().map(|value| value as f64).collect());
    floats.levels = levels;
    Ok(floats)
}
