//! How a run is created or resumed. Settings are data: nothing here touches a file.

use crate::run_file::{Direction, RunGoal};
use crate::secrets;
use qstore_ledger::Budget;
use qstore_logger::LoggerSettings;
use qstore_parquet::WriterSettings;
use qstore_settings::SettingError;
use qstore_zarr::CheckpointSettings;
use serde_json::{Map, Value};
use std::time::Duration;

/// Settings of a run, checked when it is created or resumed.
///
/// ```
/// use qstore_run::{Direction, RunSettings};
/// use std::time::Duration;
///
/// let settings = RunSettings::default()
///     .param("lr", 0.01)
///     .param("ansatz.layers", 3)
///     .seed(7)
///     .goal("val_loss", Direction::Min)
///     .tag("baseline")
///     .system_metrics(Duration::from_secs(10));
/// assert_eq!(settings.params["lr"], 0.01);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunSettings {
    /// The name of a new run and of its directory. Default: `run_001`, or the next number that is free.
    pub name: Option<String>,
    /// What it belongs to. Default none.
    pub group: Option<String>,
    /// Words to find it by. Default none. A run that is resumed keeps those it has and gets these as well.
    pub tags: Vec<String>,
    /// Free text. Default none.
    pub notes: String,
    /// The parameters of the training. Default none. Those of a run that is resumed stay; what is different is
    /// recorded with the attempt. A value under the name of a secret (`…token`, `…password`) is not recorded, nor
    /// are passwords in URLs.
    pub params: Map<String, Value>,
    /// What decides its random choices. Default none.
    pub seed: Option<u64>,
    /// What it is judged by. Default none.
    pub goal: Option<RunGoal>,
    /// How rows are logged.
    pub logger: LoggerSettings,
    /// How the metrics file is written. The run sets its `run_id`, `attempt` and `cut_row`.
    pub writer: WriterSettings,
    /// How checkpoints are saved and kept.
    pub checkpoints: CheckpointSettings,
    /// How often the processor, the memory, the disk and the GPUs are measured, into `system.parquet`. Default
    /// `None`: never. At least 100 ms. Linux only; GPUs of NVIDIA with the feature `nvml`.
    pub system_metrics: Option<Duration>,
    /// The budget of the jobs that the run sends to quantum computers. With one the run has a
    /// [ledger](crate::Run::ledger). Default `None`.
    pub ledger: Option<Budget>,
    /// Whether arguments, directory, variables and git are recorded. Default `true`.
    pub is_environment_recorded: bool,
    /// How long git may take to tell whether the source code was changed. Default 200 ms.
    pub git_timeout: Duration,
    /// The checkpoint to go on from, by its number. Default `None`: the newest that can be loaded.
    pub resume_from: Option<u64>,
    /// How long [`finish`](crate::Run::finish) waits for what is still to be written. Default 60 s.
    /// `Duration::MAX`: without a limit.
    pub finish_timeout: Duration,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            name: None,
            group: None,
            tags: Vec::new(),
            notes: String::new(),
            params: Map::new(),
            seed: None,
            goal: None,
            logger: LoggerSettings::default(),
            writer: WriterSettings::default(),
            checkpoints: CheckpointSettings::default(),
            system_metrics: None,
            ledger: None,
            is_environment_recorded: true,
            git_timeout: Duration::from_millis(200),
            resume_from: None,
            finish_timeout: Duration::from_secs(60),
        }
    }
}

impl RunSettings {
    /// The name of a new run and of its directory.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What it belongs to.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Adds a word to find it by.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Free text.
    #[must_use]
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = notes.into();
        self
    }

    /// Sets a parameter. JSON has no NaN and no infinities; they become null.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// What decides its random choices.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What it is judged by.
    #[must_use]
    pub fn goal(mut self, metric: impl Into<String>, direction: Direction) -> Self {
        self.goal = Some(RunGoal::new(metric, direction));
        self
    }

    /// How rows are logged.
    #[must_use]
    pub fn logger(mut self, settings: LoggerSettings) -> Self {
        self.logger = settings;
        self
    }

    /// How the metrics file is written.
    #[must_use]
    pub fn writer(mut self, settings: WriterSettings) -> Self {
        self.writer = settings;
        self
    }

    /// How checkpoints are saved and kept.
    #[must_use]
    pub fn checkpoints(mut self, settings: CheckpointSettings) -> Self {
        self.checkpoints = settings;
        self
    }

    /// How often the processor, the memory and the disk are measured.
    #[must_use]
    pub fn system_metrics(mut self, interval: Duration) -> Self {
        self.system_metrics = Some(interval);
        self
    }

    /// Keeps a ledger of the jobs that the run sends to quantum computers, with this budget;
    /// [`Budget::unlimited`] for none. The budget counts the jobs of all attempts.
    #[must_use]
    pub fn ledger(mut self, budget: Budget) -> Self {
        self.ledger = Some(budget);
        self
    }

    /// Whether arguments, directory, variables and git are recorded.
    #[must_use]
    pub fn record_environment(mut self, is_recorded: bool) -> Self {
        self.is_environment_recorded = is_recorded;
        self
    }

    /// How long git may take.
    #[must_use]
    pub fn git_timeout(mut self, timeout: Duration) -> Self {
        self.git_timeout = timeout;
        self
    }

    /// The checkpoint to go on from.
    #[must_use]
    pub fn resume_from(mut self, number: u64) -> Self {
        self.resume_from = Some(number);
        self
    }

    /// How long the end waits for what is still to be written.
    #[must_use]
    pub fn finish_timeout(mut self, timeout: Duration) -> Self {
        self.finish_timeout = timeout;
        self
    }

    /// The shortest interval of the system metrics.
    const INTERVAL_MIN: Duration = Duration::from_millis(100);

    pub(crate) fn validate(&self) -> Result<(), SettingError> {
        if let Some(name) = &self.name {
            let is_file_name = !name.is_empty() && name.len() <= 255 && !name.starts_with('.');
            if !is_file_name || name.contains(['/', '\0']) {
                let choices = "the name of a directory, which does not begin with a dot";
                return Err(SettingError::new("name", format!("`{name}`"), choices, "run_001"));
            }
        }
        if let Some(interval) =
            self.system_metrics.filter(|interval| *interval < Self::INTERVAL_MIN)
        {
            let value = format!("{interval:?}");
            return Err(SettingError::new("system_metrics", value, "at least 100 ms", "none"));
        }
        self.logger.validate()?;
        self.writer.validate()?;
        self.checkpoints.validate()
    }

    /// The parameters without secrets.
    pub(crate) fn recorded_params(&self) -> Map<String, Value> {
        let params = self.params.iter();
        params.map(|(name, value)| (name.clone(), secrets::masked_value(name, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_used_is_reported_by_name() {
        let default = RunSettings::default;
        assert!(default().validate().is_ok() && default().name("a b.c").validate().is_ok());
        for (settings, expected) in [
            (default().name(""), "name is ``"),
            (default().name("a/b"), "name is `a/b`"),
            (default().name(".hidden"), "name is `.hidden`"),
            (default().name(".."), "name is `..`"),
            (default().system_metrics(Duration::ZERO), "system_metrics is 0ns"),
            (default().logger(LoggerSettings::default().buffer_size(0)), "buffer_size is 0"),
            (default().writer(WriterSettings::default().flush_interval(0)), "flush_interval is 0"),
            (default().checkpoints(CheckpointSettings::default().workers(0)), "workers is 0"),
        ] {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_parameter_that_is_a_secret_is_not_recorded() {
        let settings = RunSettings::default()
            .param("hf_token", "abc")
            .param("data", "https://me:pw@host/x")
            .param("login", serde_json::json!({"password": "abc"}))
            .param("lr", 0.1);
        let params = settings.recorded_params();
        assert_eq!(params["hf_token"], "***");
        assert_eq!(params["data"], "https://host/x");
        assert_eq!(params["login"]["password"], "***");
        assert_eq!(params["lr"], 0.1);
    }
}
