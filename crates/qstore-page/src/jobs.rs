//! The jobs of a run on quantum computers: what they cost, how long they waited, which are open.

use crate::number::Number;
use qstore_ledger::{Job, JobState, LedgerError, read_jobs};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The newest jobs that are listed one by one.
const JOBS_MAX: usize = 200;

/// The ledger of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Jobs {
    count: usize,
    open: usize,
    in_doubt: usize,
    failed: usize,
    shots: u64,
    cost_usd: f64,
    reserved_usd: f64,
    queue_ms: Option<f64>,
    exec_ms: Option<f64>,
    devices: Vec<OnDevice>,
    /// The newest first.
    list: Vec<JobBody>,
}

#[derive(Debug, Default, Serialize)]
struct OnDevice {
    provider: String,
    device: String,
    jobs: u64,
    shots: u64,
    cost_usd: f64,
    reserved_usd: f64,
}

#[derive(Debug, Serialize)]
struct JobBody {
    key: String,
    state: &'static str,
    in_doubt: bool,
    provider: String,
    device: String,
    provider_job: Option<String>,
    intended: Number,
    step: Option<i64>,
    epoch: Option<i64>,
    shots: u64,
    cost_usd: Option<Number>,
    est_usd: Option<Number>,
    queue_position: Option<i64>,
    queue_ms: Option<Number>,
    exec_ms: Option<Number>,
    error: Option<String>,
}

pub(crate) fn jobs(run: &Path) -> Result<Option<Jobs>, LedgerError> {
    let path = run.join("jobs.parquet");
    if !path.is_file() {
        return Ok(None);
    }
    let all = read_jobs(&path)?;
    let mut jobs = Jobs { count: all.len(), ..Jobs::default() };
    let mut devices: BTreeMap<(String, String), OnDevice> = BTreeMap::new();
    for job in &all {
        let known = &job.known;
        let shots = shots(job);
        let (cost, reserved) = job.committed_usd();
        jobs.open += usize::from(job.is_open());
        jobs.in_doubt += usize::from(job.in_doubt);
        jobs.failed += usize::from(job.state == JobState::Failed);
        jobs.shots = jobs.shots.saturating_add(shots);
        jobs.cost_usd += cost;
        jobs.reserved_usd += reserved;
        for (sum, more) in
            [(&mut jobs.queue_ms, known.queue_ms), (&mut jobs.exec_ms, known.exec_ms)]
        {
            if let Some(more) = more.filter(|more| more.is_finite()) {
                *sum = Some(sum.unwrap_or(0.0) + more);
            }
        }
        let key = (known.provider.to_string(), known.device.to_string());
        let device = devices.entry(key.clone()).or_insert_with(|| OnDevice {
            provider: key.0,
            device: key.1,
            ..OnDevice::default()
        });
        device.jobs += 1;
        device.shots = device.shots.saturating_add(shots);
        device.cost_usd += cost;
        device.reserved_usd += reserved;
    }
    jobs.devices = devices.into_values().collect();
    jobs.list = all.iter().rev().take(JOBS_MAX).map(JobBody::of).collect();
    Ok(Some(jobs))
}

fn shots(job: &Job) -> u64 {
    let shots = job.known.circuits.max(0).saturating_mul(job.known.shots.max(0));
    u64::try_from(shots).unwrap_or(0)
}

impl JobBody {
    fn of(job: &Job) -> Self {
        let known = &job.known;
        Self {
            key: job.key.to_string(),
            state: job.state.as_str(),
            in_doubt: job.in_doubt,
            provider: known.provider.to_string(),
            device: known.device.to_string(),
            provider_job: job.provider_job().map(str::to_owned),
            intended: Number(job.intended_at * 1_000.0),
            step: known.step,
            epoch: known.epoch,
            shots: shots(job),
            cost_usd: known.cost_usd.map(Number),
            est_usd: known.est_usd.map(Number),
            queue_position: known.queue_position,
            queue_ms: known.queue_ms.map(Number),
            exec_ms: known.exec_ms.map(Number),
            error: known.error.as_ref().map(ToString::to_string),
        }
    }
}
