//! Publishes a new version of the file by copy and rename.
//!
//! The stored row groups that stay are copied byte for byte, the new ones and a footer are written
//! behind them, and the copy takes the public name once it is durable. A reader therefore always
//! opens a whole file, the old one or the new one, and one that is already open never changes.

use crate::published::Published;
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
        staged: StagedFile::create(storage, temporary)?,
        schema,
        groups: Vec::new(),
        ends: Vec::new(),
        public,
    };
    target.staged.append(footer::MAGIC)?;
    if let Some(old) = version.old {
        if old.fields == fields {
            target.copy(old, version.kept)?;
        } else {
            target.evolve(old, version.kept, &version)?;
        }
    }
    if let Some(group) = encoded {
        target.append(&group)?;
    }
    let published = target.commit(fields, version.keys)?;
    Ok((published, started.elapsed()))
}

/// The version being written.
struct Target<'a> {
    staged: StagedFile,
    schema: SchemaDescPtr,
    groups: Vec<RowGroupMetaData>,
    ends: Vec<u64>,
    public: &'a Path,
}

impl Target<'_> {
    fn codec(&self, source: parquet::errors::ParquetError) -> Error {
        Error::Codec { path: self.public.to_path_buf(), source }
    }

    /// Takes over the first row groups unchanged, where they stand.
    fn copy(&mut self, old: &Published, kept: usize) -> Result<(), Error> {
        let start = self.staged.len();
        self.copy_range(&*old.file, start, old.end_of(kept))?;
        self.groups.extend_from_slice(&old.groups[..kept]);
        self.ends.extend_from_slice(&old.ends[..kept]);
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
        self.ends.push(self.staged.len());
        Ok(())
    }

    /// Takes over the first row groups of a file with fewer columns, or with integers where there
    /// are floats now: known chunks are copied, new columns become all null.
    fn evolve(&mut self, old: &Published, kept: usize, version: &Version<'_>) -> Result<(), Error> {
        for (number, group) in old.groups[..kept].iter().enumerate() {
            let (start, rows) = (self.staged.len(), group.num_rows() as usize);
            let mut chunks = Vec::with_capacity(version.rows.columns().len());
            for (index, column) in version.rows.columns().iter().enumerate() {
                chunks.push(match old.fields.get(index) {
                    Some(field) if *field == column.field => {
                        self.copy_chunk(old, group.column(index))?
                    }
                    Some(_) => {
                        let floats = floats(old, number, index, column).map_err(|reason| {
                            Error::NotParquet { path: self.public.to_path_buf(), reason }
                        })?;
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
            self.ends.push(self.staged.len());
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
        self.staged.append(&bytes)?;
        let file = self.staged.commit(self.public)?;
        Ok(Published { file: file.into(), fields, groups: self.groups, ends: self.ends, keys })
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
