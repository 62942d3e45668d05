//! System metrics: what the process and the machine use, measured now and then into a file of its own.
//!
//! One thread measures, appends and flushes. A measurement is four small reads from `/proc` and one question to
//! the file system. GPUs are not measured.

use crate::error::{Result, RunError};
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::FileSystem;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A thread that measures.
#[derive(Debug)]
pub(crate) struct SystemMetrics {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    must_end: bool,
    first_error: Option<String>,
}

impl SystemMetrics {
    /// Starts to measure into the file at `path`.
    pub(crate) fn start(
        files: Arc<dyn FileSystem>,
        path: &Path,
        dir: &Path,
        writer: WriterSettings,
        interval: Duration,
    ) -> Result<Self> {
        let priority = writer.priority;
        let log = MetricsLog::<Row>::open_in(Arc::clone(&files), path, writer)?;
        let shared = Arc::new(Shared::default());
        let meter = Meter { files, dir: dir.to_path_buf(), before: None };
        let work = {
            let shared = Arc::clone(&shared);
            move || {
                priority.apply();
                run(&shared, log, meter, interval);
            }
        };
        let thread = thread::Builder::new().name("qstore-system".into()).spawn(work);
        Ok(Self { shared, thread: Some(thread.map_err(RunError::Spawn)?) })
    }

    /// Ends the thread, after a last measurement, and returns its first error.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.shared.lock().must_end = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            return Some("the thread of the system metrics panicked".into());
        }
        self.shared.lock().first_error.clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<E: std::fmt::Display>(&self, outcome: std::result::Result<(), E>) {
        if let Err(error) = outcome {
            self.lock().first_error.get_or_insert(error.to_string());
        }
    }

    /// Waits until it is time, or until the thread must end; returns whether it must.
    fn wait_until(&self, time: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let left = time.saturating_duration_since(Instant::now());
            if state.must_end || left.is_zero() {
                return state.must_end;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn run(shared: &Shared, mut log: MetricsLog<Row>, mut meter: Meter, interval: Duration) {
    /// Often enough to be looked at, and rarely enough to cost nothing.
    const FLUSH_EVERY: Duration = Duration::from_secs(60);
    let mut next = Instant::now();
    let mut flush_at = next;
    loop {
        let must_end = shared.wait_until(next);
        let now = Instant::now();
        log.append(&meter.measure(now), now);
        if must_end {
            break;
        }
        if now >= flush_at {
            shared.note(log.flush());
            flush_at = now + FLUSH_EVERY;
        }
        // What a suspended machine has missed is not made up for.
        next = (next + interval).max(now);
    }
    shared.note(log.close());
}

/// Measures, and remembers what it needs for the differences.
#[derive(Debug)]
struct Meter {
    files: Arc<dyn FileSystem>,
    dir: PathBuf,
    /// The processor time at the last measurement, in ticks.
    before: Option<(Instant, u64)>,
}

impl Meter {
    fn measure(&mut self, now: Instant) -> Row {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut row = Row::from([("timestamp", time.as_secs_f64())]);
        let read = |name: &str| fs::read_to_string(Path::new("/proc/self").join(name)).ok();
        if let Some(usage) = read("stat").and_then(|stat| Usage::parse(&stat)) {
            if let Some((then, ticks)) = self.before {
                let seconds = (now - then).as_secs_f64();
                let used = usage.ticks.saturating_sub(ticks) as f64 / TICKS_PER_SECOND;
                if seconds > 0.0 {
                    row.set("cpu_percent", used / seconds * 100.0);
                }
            }
            self.before = Some((now, usage.ticks));
            row.set("threads", usage.threads as i64);
        }
        let fields =
            [("status", "VmRSS:", "rss_bytes", 1024), ("io", "read_bytes:", "read_bytes", 1)];
        for (file, field, column, unit) in
            fields.into_iter().chain([("io", "write_bytes:", "write_bytes", 1)])
        {
            let value = read(file).and_then(|text| number_after(&text, field));
            if let Some(value) = value {
                row.set(column, (value * unit) as i64);
            }
        }
        if let Ok(meminfo) = fs::read_to_string("/proc/meminfo")
            && let Some(kib) = number_after(&meminfo, "MemAvailable:")
        {
            row.set("memory_available_bytes", (kib * 1024) as i64);
        }
        if let Ok(Some(bytes)) = self.files.available(&self.dir) {
            row.set("disk_free_bytes", i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        row
    }
}

/// `USER_HZ`, which is 100 on every architecture that Linux tells it to.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of this process in ticks, and its threads.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    ticks: u64,
    threads: u64,
}

impl Usage {
    fn parse(stat: &str) -> Option<Self> {
        // The name, in parentheses, may have spaces; the third field of the file comes after it.
        let fields: Vec<_> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { ticks: field(14)? + field(15)?, threads: field(20)? })
    }
}

fn number_after(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_parquet::{MetricsFile, Values};
    use qstore_storage::LocalFs;

    #[test]
    fn the_files_of_the_system_are_understood() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194560 1 0 0 0 250 30 0 0 20 0 12 0 4711 1 1";
        assert_eq!(Usage::parse(stat), Some(Usage { ticks: 280, threads: 12 }));
        assert_eq!(Usage::parse("7 (a) R 1"), None);
        assert_eq!(number_after("VmPeak: 1 kB\nVmRSS:\t  20 kB\n", "VmRSS:"), Some(20));
        assert_eq!(number_after("VmRSS: x\n", "VmRSS:"), None);
    }

    #[test]
    fn a_measurement_is_in_the_file_at_the_end_at_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("system.parquet");
        let files = Arc::new(LocalFs::new());
        let hour = Duration::from_secs(3600);
        let writer = WriterSettings::default();
        let mut system = SystemMetrics::start(files, &path, dir.path(), writer, hour).unwrap();
        assert_eq!(system.stop(), None);
        let file = MetricsFile::open(&path).unwrap();
        assert!(file.rows() >= 1 && file.is_closed());
        #[cfg(target_os = "linux")]
        {
            let table = file.read(&["rss_bytes", "disk_free_bytes"], 0..1).unwrap();
            for column in &table.columns {
                let Values::Int(values) = &column.values else { panic!("{column:?}") };
                assert!(values[0].is_some_and(|value| value > 1 << 16), "{column:?}");
            }
        }
    }
}
