//! What a compaction does, as a file in the directory: for engines an error, for the next session a list.

use crate::error::CompactError;
use crate::log::dataset::names::Unit;
use qstore_storage::{FileSystem, StagedFile, read_up_to};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first words of the file, for a person who looks into it because an engine has named it.
const ABOUT: &str = "this rank is being compacted; read again in a few seconds. If this stays, its compaction was \
                     killed: run it again, or start the rank";

/// Longer than any plan.
const BYTES_MAX: u64 = 1 << 24;

/// One step of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Its own name.
    pub(super) name: PathBuf,
    /// Where the new part is written.
    pub(super) hidden: PathBuf,
    /// The name that the new part gets.
    pub(super) public: PathBuf,
    /// The parts that are in it.
    pub(super) replaces: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn new<'a>(
        first: &Unit,
        last: &Unit,
        replaces: impl Iterator<Item = &'a Unit>,
    ) -> Self {
        let stem = format!("{:05}-{:05}", first.first, last.last);
        Self {
            name: format!("part-{stem}.compacting.parquet").into(),
            hidden: format!(".compact-{stem}.parquet").into(),
            public: format!("part-{stem}.parquet").into(),
            replaces: replaces.map(|unit| unit.name.clone()).collect(),
        }
    }

    /// Puts it into the directory, durably.
    pub(super) fn show(&self, storage: &Arc<dyn FileSystem>) -> Result<(), CompactError> {
        let text = json!({
            "about": ABOUT,
            "hidden": self.hidden.to_string_lossy(),
            "public": self.public.to_string_lossy(),
            "replaces": self.replaces.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>(),
        });
        let temporary = PathBuf::from(format!("{}.plan", self.hidden.display()));
        let mut staged = StagedFile::create(storage, &temporary)?;
        staged.append(text.to_string().as_bytes())?;
        match staged.link_to(&self.name) {
            Err(error) if error.is_unsupported() => drop(staged.commit(&self.name)?),
            linked => linked?,
        }
        Ok(())
    }

    pub(super) fn read(storage: &dyn FileSystem, name: &Path) -> Result<Self, CompactError> {
        let bytes = read_up_to(storage, name, BYTES_MAX)?;
        let foreign = || CompactError::Other {
            path: name.to_path_buf(),
            reason: "it is not the plan of a compaction; move it away".into(),
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        // Names in this directory, whatever the file says.
        let of = |value: &Value| {
            let name = PathBuf::from(value.as_str()?);
            (name.file_name() == Some(name.as_os_str())).then_some(name)
        };
        let replaces = value["replaces"].as_array().ok_or_else(foreign)?;
        Ok(Self {
            name: name.to_path_buf(),
            hidden: of(&value["hidden"]).ok_or_else(foreign)?,
            public: of(&value["public"]).ok_or_else(foreign)?,
            replaces: replaces.iter().map(of).collect::<Option<_>>().ok_or_else(foreign)?,
        })
    }
}
