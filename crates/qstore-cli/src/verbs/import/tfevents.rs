//! Scalars of an event file: consecutive events of one step are one row.

use super::{Rows, malformed};
use crate::event_file::{Broken, Event, Events};
use crate::failure::Failure;
use crate::output::escape::shown_path;
use qstore_schema::{SmolStr, Value};
use std::fs;
use std::path::Path;

/// A row that is not complete yet.
#[derive(Default)]
struct Open {
    step: i64,
    values: Vec<(SmolStr, Value)>,
}

pub(super) fn read(path: &Path, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::reading(path, error))?;
    let mut open = Open::default();
    for event in Events::of(&bytes) {
        match event {
            Ok(event) => open.add(event, rows)?,
            // A writer that was killed leaves such an end; what is before it counts.
            Err(Broken::CutOff) => {
                let file = shown_path(path);
                rows.console
                    .note(format!("{file} ends within a record; what is before it was taken"));
                break;
            }
            Err(Broken::Checksum) => {
                return Err(malformed(path, "a record does not match its checksum"));
            }
            Err(Broken::Message) => return Err(malformed(path, "a record is not an event")),
        }
    }
    open.close(rows)
}

impl Open {
    fn add(&mut self, event: Event, rows: &mut Rows<'_, '_>) -> Result<(), Failure> {
        rows.left_out += event.others as u64;
        for (tag, value) in event.scalars {
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
