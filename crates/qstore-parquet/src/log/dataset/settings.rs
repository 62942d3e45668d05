//! How a dataset of ranks is written.

use crate::columns::dataset_names::{PARTITION, folded, has_suffix, type_of};
use crate::error::OpenError;
use crate::log::settings::WriterSettings;
use qstore_schema::{DataType, Field, Record, SmolStr};
use qstore_settings::SettingError;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Settings of a [`RankLog`](crate::RankLog), checked once when it is opened.
///
/// ```
/// use qstore_parquet::{Compression, DatasetSettings};
/// use qstore_schema::DataType;
/// use std::time::Duration;
///
/// let settings = DatasetSettings::default()
///     .columns(["accuracy", "val_loss"])
///     .column("phase", DataType::Utf8)
///     .part_age_max(Duration::from_secs(3_600))
///     .writer(|writer| writer.compression(Compression::ZSTD).run_id("lr-0.01"));
/// assert_eq!(settings.columns.len(), 3);
/// assert!(settings.writer.plain_encoding, "Spark 3.5 reads it");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DatasetSettings {
    /// How each part is written. The defaults are those of [`WriterSettings`], except for these:
    ///
    /// | | default | why |
    /// |---|---|---|
    /// | `plain_encoding` | `true` | Spark before 4.3 and fastparquet read it |
    /// | `reuse_after` | 60 s | an engine may read a part that long after it planned to |
    /// | `publish_pause_min` | 5 s | each version of an open part adds a footer to it |
    pub writer: WriterSettings,
    /// The size in bytes from which a part is sealed and the next one begun. Default 128 MiB, at least 1.
    pub part_bytes_max: u64,
    /// The age at which a part that has rows is sealed, counted from its first row. Default 10 min, more
    /// than 0.
    ///
    /// Spark and pyarrow see rows when their part is sealed, so they are behind by as much, and by
    /// `reuse_after`. In 30 days 10 min make 4 320 parts a rank, an hour makes 720;
    /// [`compact_rank`](crate::compact_rank) makes few of many.
    pub part_age_max: Duration,
    /// Columns that every part has from its beginning, besides the declared ones; see
    /// [`columns`](Self::columns). Default none.
    pub columns: Vec<Field>,
}

impl Default for DatasetSettings {
    fn default() -> Self {
        Self {
            writer: WriterSettings::default()
                .plain_encoding(true)
                .reuse_after(Duration::from_secs(60))
                .publish_pause_min(Duration::from_secs(5)),
            part_bytes_max: 128 << 20,
            part_age_max: Duration::from_secs(600),
            columns: Vec::new(),
        }
    }
}

impl DatasetSettings {
    /// Changes how each part is written.
    #[must_use]
    pub fn writer(mut self, change: impl FnOnce(WriterSettings) -> WriterSettings) -> Self {
        self.writer = change(self.writer);
        self
    }

    /// The size in bytes from which a part is sealed.
    #[must_use]
    pub fn part_bytes_max(mut self, bytes: u64) -> Self {
        self.part_bytes_max = bytes;
        self
    }

    /// The age at which a part that has rows is sealed.
    #[must_use]
    pub fn part_age_max(mut self, age: Duration) -> Self {
        self.part_age_max = age;
        self
    }

    /// Announces metrics that are numbers. Their columns are in every part from its beginning, null until
    /// there is a value. Most engines take the columns of a table from its first file, so a column that is
    /// missing there is invisible to them, or an error, unless an option says otherwise. Announce the same
    /// columns in all ranks.
    #[must_use]
    pub fn columns<N: Into<SmolStr>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self = self.column(name, DataType::Float64);
        }
        self
    }

    /// Announces a metric of any type. A flag or a text has the column `NAME` only if it is announced or
    /// declared, else `NAME__flag` or `NAME__text`; integers beyond 2^53 as well, else `NAME__integer`.
    #[must_use]
    pub fn column(mut self, name: impl Into<SmolStr>, data_type: DataType) -> Self {
        self.columns.push(Field { name: name.into(), data_type, nullable: true });
        self
    }

    /// How a part is written, with all columns that were announced.
    pub(super) fn part(&self) -> WriterSettings {
        let columns = self.columns.iter().chain(&self.writer.columns).cloned().collect();
        WriterSettings { columns, ..self.writer.clone() }
    }

    /// Checks everything; `dir` is for the error.
    pub(super) fn validate<R: Record>(&self, dir: &Path) -> Result<(), OpenError> {
        let size = "none; 128 MiB is the default";
        SettingError::check_min("part_bytes_max", self.part_bytes_max, 1, size)?;
        if self.part_age_max.is_zero() {
            let choices = "a time that is more than 0";
            return Err(SettingError::new("part_age_max", "0", choices, "10 min").into());
        }
        let mut names = HashSet::new();
        for field in R::DECLARED {
            let reason = if folded(&field.name) == PARTITION {
                "is what readers make of the names of the directories; rename it"
            } else if !names.insert(folded(&field.name)) {
                "has the same name as another one, apart from capital letters; Spark takes the two for one"
            } else {
                continue;
            };
            let reason = format!("column `{}` {reason}", field.name);
            return Err(OpenError::SchemaConflict { path: dir.to_path_buf(), reason });
        }
        for field in self.columns.iter().chain(&self.writer.columns) {
            let Field { name, data_type, .. } = field;
            if R::DECLARED.iter().any(|known| known.name == *name && known.data_type == *data_type)
            {
                continue;
            }
            let choices = if name.is_empty() {
                "a name"
            } else if folded(name) == PARTITION {
                "another name: readers make a column of that name of the directories"
            } else if !names.insert(folded(name)) {
                "names that differ in more than capital letters, each once"
            } else if has_suffix(name) && type_of(name) != *data_type {
                "another name: its suffix stands for another type"
            } else {
                continue;
            };
            return Err(SettingError::new("columns", name, choices, "none").into());
        }
        Ok(())
    }
}
