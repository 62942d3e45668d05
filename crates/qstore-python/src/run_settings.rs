//! The settings of a run, as Python passes them.

use crate::settings;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use qstore_run::{Direction, RunSettings};
use serde_json::{Map, Value};
use std::time::Duration;

/// All of them, in a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    name: Option<String>,
    group: Option<String>,
    tags: Vec<String>,
    notes: String,
    /// An object of JSON.
    params: String,
    seed: Option<u64>,
    /// The metric, and `min` or `max`.
    goal: Option<(String, String)>,
    metrics: settings::Metrics,
    checkpoints: settings::Checkpoints,
    /// In seconds.
    system_metrics: Option<f64>,
    record_environment: bool,
    git_timeout: f64,
    resume_from: Option<u64>,
    /// In seconds; `None` is without a limit.
    finish_timeout: Option<f64>,
}

impl Settings {
    /// The settings that they mean.
    ///
    /// # Errors
    /// `ValueError`, which names the setting.
    pub(crate) fn parsed(self) -> PyResult<RunSettings> {
        let (ring, writer) = self.metrics.parsed()?;
        let mut settings = RunSettings::default()
            .notes(self.notes)
            .logger(ring)
            .writer(writer)
            .checkpoints(self.checkpoints.parsed()?)
            .record_environment(self.record_environment)
            .git_timeout(settings::seconds("git_timeout", self.git_timeout, "0.2")?)
            .finish_timeout(match self.finish_timeout {
                Some(seconds) => settings::seconds("finish_timeout", seconds, "60.0")?,
                None => Duration::MAX,
            });
        settings.name = self.name;
        settings.group = self.group;
        settings.tags = self.tags;
        settings.params = params(&self.params)?;
        settings.seed = self.seed;
        settings.resume_from = self.resume_from;
        if let Some((metric, direction)) = self.goal {
            settings = settings.goal(metric, self::direction("goal", &direction)?);
        }
        if let Some(interval) = self.system_metrics {
            let interval = settings::seconds("system_metrics", interval, "None")?;
            settings = settings.system_metrics(interval);
        }
        Ok(settings)
    }
}

fn params(json: &str) -> PyResult<Map<String, Value>> {
    let not_json = |error| PyValueError::new_err(format!("params are not JSON: {error}"));
    serde_json::from_str(json).map_err(not_json)
}

/// Which values of a metric are good.
///
/// # Errors
/// `ValueError` for anything but `min` and `max`.
pub(crate) fn direction(setting: &str, name: &str) -> PyResult<Direction> {
    settings::choice(setting, name, [("min", Direction::Min), ("max", Direction::Max)])
}
