//! `qstore jobs`: the ledger of a run's jobs on quantum computers, and what they cost per day and device.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::json::{self, Number};
use crate::output::table::{Align, Cell, Table};
use crate::output::{amount, moment};
use crate::place::Place;
use qstore_ledger::{Job, JobState, LedgerError, read_jobs};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Show the jobs that a run sent to quantum computers, and what they cost
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore jobs runs/run_003
  qstore jobs runs/run_003 --open
  qstore jobs runs/run_003 --since 7d")]
pub struct Jobs {
    /// A run, or a ledger [default: the current directory]
    run: Option<PathBuf>,
    /// Only jobs to which something may still happen
    #[arg(long)]
    open: bool,
    /// Only jobs whose request may have arrived although no identifier is known
    #[arg(long)]
    in_doubt: bool,
    /// Only jobs that were intended within this time: 90m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Duration>,
}

#[derive(Serialize)]
struct Body {
    path: String,
    jobs: Vec<Row>,
    days: Vec<Spent>,
    cost_usd: Number,
    reserved_usd: Number,
}

#[derive(Serialize)]
struct Row {
    key: String,
    state: &'static str,
    in_doubt: bool,
    provider: String,
    device: String,
    provider_job: Option<String>,
    intended: String,
    attempt: i64,
    epoch: Option<i64>,
    step: Option<i64>,
    batch: String,
    circuits: i64,
    shots: i64,
    est_usd: Option<Number>,
    cost_usd: Option<Number>,
    queue_position: Option<i64>,
    queue_ms: Option<Number>,
    exec_ms: Option<Number>,
    result: Option<String>,
    error: Option<String>,
}

/// What the jobs that were intended on a day cost on a device.
#[derive(Serialize, Default)]
struct Spent {
    day: String,
    provider: String,
    device: String,
    jobs: u64,
    cost_usd: f64,
    reserved_usd: f64,
}

impl Jobs {
    /// Runs the verb.
    ///
    /// # Errors
    /// If there is no ledger, or it cannot be read.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let path = Place::find(&console.path_or_default(self.run.as_ref()))?.jobs("jobs")?;
        let mut jobs = read_jobs(&path).map_err(|error| failure(error, &path))?;
        let earliest = self.since.map(|since| console.now().checked_sub(since));
        jobs.retain(|job| {
            let is_recent = earliest.is_none_or(|earliest| {
                earliest.is_none_or(|earliest| intended(job).is_some_and(|time| time >= earliest))
            });
            is_recent && (!self.open || job.is_open()) && (!self.in_doubt || job.in_doubt)
        });
        if console.is_json() {
            let days = days(&jobs);
            let body = Body {
                path: json::path(&path),
                cost_usd: Number(days.iter().map(|day| day.cost_usd).sum()),
                reserved_usd: Number(days.iter().map(|day| day.reserved_usd).sum()),
                jobs: jobs.iter().map(Row::of).collect(),
                days,
            };
            console.document("jobs", &body)?;
            return Ok(Exit::Done);
        }
        if jobs.is_empty() {
            console.line("no jobs")?;
            return Ok(Exit::Done);
        }
        console.table(table(&jobs, console.now()), "widen the terminal, or use --json")?;
        console.line("")?;
        console.table(costs(&days(&jobs)), "")?;
        let doubtful = jobs.iter().filter(|job| job.in_doubt).count();
        if doubtful > 0 {
            console.note(format!(
                "{doubtful} in doubt, unless the process that sends them is at work: look for their keys at the \
                 provider before anything is sent again"
            ));
        }
        Ok(Exit::Done)
    }
}

impl Row {
    fn of(job: &Job) -> Self {
        let known = &job.known;
        let text = |text: &Option<_>| text.as_ref().map(ToString::to_string);
        Self {
            key: job.key.to_string(),
            state: job.state.as_str(),
            in_doubt: job.in_doubt,
            provider: known.provider.to_string(),
            device: known.device.to_string(),
            provider_job: job.provider_job().map(str::to_owned),
            intended: intended(job).map_or(String::new(), moment::utc),
            attempt: known.attempt,
            epoch: known.epoch,
            step: known.step,
            batch: known.batch.to_string(),
            circuits: known.circuits,
            shots: known.shots,
            est_usd: known.est_usd.map(Number),
            cost_usd: known.cost_usd.map(Number),
            queue_position: known.queue_position,
            queue_ms: known.queue_ms.map(Number),
            exec_ms: known.exec_ms.map(Number),
            result: text(&known.result),
            error: text(&known.error),
        }
    }
}

fn table(jobs: &[Job], now: SystemTime) -> Table {
    let mut table = Table::new()
        .column("key", Align::Left)
        .column("state", Align::Left)
        .kept()
        .column("provider's job", Align::Left)
        .column("device", Align::Left)
        .column("step", Align::Right)
        .column("shots", Align::Right)
        .column("usd", Align::Right)
        .kept()
        .column("intended", Align::Left)
        .column("error", Align::Left);
    for job in jobs {
        let known = &job.known;
        let state = match job.state {
            _ if job.in_doubt => Cell::new("in doubt").doubtful(),
            JobState::Done => Cell::new("done").good(),
            JobState::Failed => Cell::new("failed").bad(),
            JobState::Queued => match known.queue_position {
                Some(position) => Cell::new(format!("queued at {position}")),
                None => Cell::new("queued"),
            },
            state => Cell::new(state.as_str()),
        };
        let usd = match (known.cost_usd, known.est_usd) {
            (Some(cost), _) => Cell::new(format!("{cost:.2}")),
            (None, Some(estimate)) if job.is_open() => Cell::new(format!("~{estimate:.2}")).faint(),
            _ => Cell::new(""),
        };
        table.row([
            Cell::new(job.key.as_str()),
            state,
            Cell::new(job.provider_job().unwrap_or_default()),
            Cell::new(&known.device),
            Cell::new(known.step.map_or(String::new(), amount::integer)),
            Cell::new(amount::integer(known.circuits.saturating_mul(known.shots))),
            usd,
            Cell::new(intended(job).map_or(String::new(), |time| moment::age(now, time))),
            Cell::new(known.error.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

fn costs(days: &[Spent]) -> Table {
    let mut table = Table::new()
        .column("day", Align::Left)
        .column("provider", Align::Left)
        .column("device", Align::Left)
        .column("jobs", Align::Right)
        .column("usd", Align::Right)
        .column("reserved", Align::Right);
    let row = |day: &Spent| {
        let usd = |usd: f64| Cell::new(format!("{usd:.2}"));
        [
            Cell::new(&day.day),
            Cell::new(&day.provider),
            Cell::new(&day.device),
            Cell::new(amount::count(day.jobs)),
            usd(day.cost_usd),
            usd(day.reserved_usd),
        ]
    };
    for day in days {
        table.row(row(day));
    }
    if days.len() > 1 {
        table.row(row(&Spent {
            day: "all".into(),
            jobs: days.iter().map(|day| day.jobs).sum(),
            cost_usd: days.iter().map(|day| day.cost_usd).sum(),
            reserved_usd: days.iter().map(|day| day.reserved_usd).sum(),
            ..Spent::default()
        }));
    }
    table
}

fn days(jobs: &[Job]) -> Vec<Spent> {
    let mut days: BTreeMap<(String, &str, &str), Spent> = BTreeMap::new();
    for job in jobs {
        let known = &job.known;
        let day = moment::civil(job.intended_at.floor() as i64)[..10].to_owned();
        let entry =
            days.entry((day.clone(), &known.provider, &known.device)).or_insert_with(|| Spent {
                day,
                provider: known.provider.to_string(),
                device: known.device.to_string(),
                ..Spent::default()
            });
        let (cost, reserved) = job.committed_usd();
        entry.jobs += 1;
        entry.cost_usd += cost;
        entry.reserved_usd += reserved;
    }
    days.into_values().collect()
}

fn intended(job: &Job) -> Option<SystemTime> {
    moment::of_seconds(job.intended_at)
}

fn failure(error: LedgerError, path: &Path) -> Failure {
    match error {
        LedgerError::Read(error) => Failure::Metrics(error),
        error => Failure::Malformed { path: path.to_path_buf(), reason: error.to_string() },
    }
}

/// `90m`, `12h`, `7d`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write a number and m, h or d, such as 12h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let minutes: u64 = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(minutes * 60).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(time("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(time("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(time("7d"), Ok(Duration::from_secs(604_800)));
        for text in ["", "d", "7", "7y", "-1d", "1.5h", "é", "99999999999999999999d"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time(&format!("{}d", u64::MAX)).is_err());
    }
}
