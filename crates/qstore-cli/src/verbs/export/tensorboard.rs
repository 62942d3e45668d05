//! Rows as scalars for TensorBoard: one event a row, with a scalar for each number.
//!
//! Scalars there are 32-bit floats. The step is the column `step`; a row that sums up an epoch has the step of the
//! row before it. The time is the column `timestamp`.

use super::row_sink::RowSink;
use super::target::Target;
use crate::console::Console;
use crate::event_file::{Event, VERSION};
use crate::failure::Failure;
use crate::metric::PLACES;
use qstore_schema::{Field, SmolStr, Value};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Tensorboard {
    dir: PathBuf,
    is_forced: bool,
    names: Vec<SmolStr>,
    target: Option<Target>,
    step: i64,
    rows: i64,
}

impl Tensorboard {
    /// A file of events in that directory.
    pub(super) fn new(dir: &Path, is_forced: bool) -> Self {
        let dir = dir.to_path_buf();
        Self { dir, is_forced, names: Vec::new(), target: None, step: 0, rows: 0 }
    }

    fn begin_file(&mut self, wall_time: f64, console: &mut Console<'_>) -> Result<Target, Failure> {
        // TensorBoard goes by `tfevents` in the name, and reads files in the order of their names.
        let name = format!("events.out.tfevents.{:010}.qstore", wall_time as u64);
        let mut target = Target::open(&self.dir.join(name), self.is_forced)?;
        let first = Event { wall_time, version: Some(VERSION.into()), ..Event::default() };
        target.write(&first.record(), console)?;
        Ok(target)
    }
}

impl RowSink for Tensorboard {
    fn begin(&mut self, fields: &[Field], _: &mut Console<'_>) -> Result<(), Failure> {
        self.names = fields.iter().map(|field| field.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, row: &[Value], console: &mut Console<'_>) -> Result<(), Failure> {
        let named = || self.names.iter().zip(row);
        let find = |wanted: &str| named().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let wall_time = match find("timestamp") {
            Some(Value::Float(seconds)) => *seconds,
            _ => 0.0,
        };
        let step = match find("step") {
            Some(Value::Int(step)) if *step >= 0 => *step,
            Some(_) => self.step,
            // Without a column of steps, rows are counted.
            None => self.rows,
        };
        let scalars = named().filter(|(name, _)| !PLACES.contains(&name.as_str()));
        let scalars = scalars.filter_map(|(name, value)| Some((name.clone(), number(value)?)));
        let event = Event { wall_time, step, scalars: scalars.collect(), ..Event::default() };
        let mut target = match self.target.take() {
            Some(target) => target,
            None => self.begin_file(wall_time, console)?,
        };
        (self.step, self.rows) = (step, self.rows + 1);
        if !event.scalars.is_empty() {
            target.write(&event.record(), console)?;
        }
        self.target = Some(target);
        Ok(())
    }

    fn finish(mut self: Box<Self>, console: &mut Console<'_>) -> Result<u64, Failure> {
        let target = match self.target.take() {
            Some(target) => target,
            None => self.begin_file(0.0, console)?,
        };
        target.finish(console)
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}
