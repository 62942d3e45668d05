//! Scalars of an event file: consecutive events of one step are one row. A tag that is called as the columns of the
//! step and the time is stored as `scalar.step` and `scalar.timestamp`, which is reported.

use super::{Rows, malformed};
use crate::event_file::{Broken, Event, Events};
use crate::failure::Failure;
use crate::output::escape::shown_path;
use qstore_schema::{SmolStr, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a tag is prefixed with that would be taken for the step or the time of its row.
const PREFIX: &str = "scalar.";

/// A row that is not complete yet.
#[derive(Default)]
struct Open {
    step: i64,
    values: Vec<(SmolStr, Value)>,
    /// Tags that have the name of another column.
    renamed: BTreeSet<SmolStr>,
}

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let file = shown_path(path);
    let bytes = fs::read(path).map_err(|error| Failure::reading(path, error))?;
    let mut open = Open::default();
    for event in Events::of(&bytes) {
        match event {
            Ok(event) => open.add(event, rows)?,
            // A writer that was killed leaves such an end; what is before it counts.
            Err(Broken::CutOff) => {
                rows.console
                    .note(format!("{file} ends within a record; what is before it was taken"));
                break;
            }
            Err(Broken::Checksum) => {
                let reason = "a record does not match its checksum".to_owned();
                return Err(Failure::Damaged { path: path.to_path_buf(), reason });
            }
            Err(Broken::Message) => return Err(malformed(path, "a record is not an event")),
        }
    }
    for tag in &open.renamed {
        rows.console.note(format!("{file}: the tag `{tag}` is the column `{PREFIX}{tag}`"));
    }
    open.close(rows)
}

impl Open {
    fn add(&mut self, event: Event, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
        rows.left_out += event.others as u64;
        for (mut tag, value) in event.scalars {
            if matches!(&*tag, "step" | "timestamp") {
                let name = SmolStr::from_iter([PREFIX, &*tag]);
                self.renamed.insert(std::mem::replace(&mut tag, name));
            }
            let is_known = self.values.iter().any(|(name, _)| *name == tag);
            if event.step != self.step || is_known {
                self.close(rows)?;
            }
            if self.values.is_empty() {
                self.step = event.step;
                self.values.push(("step".into(), Value::from(event.step)));
                self.values.push(("timestamp".into(), Value::from(event.wall_time)));
            }
            self.values.push((tag, Value::from(value)));
        }
        Ok(())
    }

    fn close(&mut self, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() { Ok(()) } else { rows.push(values) }
    }
}
