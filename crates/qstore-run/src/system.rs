//! System metrics: what the process and the machine use, measured now and then into a file of its own.
//!
//! One thread measures, appends and flushes. A measurement is four small reads from `/proc` and one question to
//! the file system, and what the drivers of GPUs tell.

mod gpu;

use crate::error::{Result, RunError};
use gpu::Gpus;
use qstore_os::ForkCheck;
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::FileSystem;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A thread that measures.
#[derive(Debug)]
pub(crate) struct SystemMetrics {
    shared: Arc<Shared>,
    /// `None` once it has ended.
    thread: Option<JoinHandle<()>>,
    /// How long dropping this waits for the thread.
    drop_timeout: Duration,
    home: ForkCheck,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    must_end: bool,
    has_ended: bool,
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
        let meter = Meter { files, dir: dir.to_path_buf(), before: None, gpus: None };
        let work = {
            let shared = Arc::clone(&shared);
            move || {
                let _ended = Ended(&shared);
                priority.apply();
                run(&shared, log, meter, interval);
            }
        };
        let thread = thread::Builder::new().name("qstore-system".into()).spawn(work);
        let thread = Some(thread.map_err(RunError::Spawn)?);
        let drop_timeout = Duration::from_secs(5);
        Ok(Self { shared, thread, drop_timeout, home: ForkCheck::new() })
    }

    /// Asks the thread to end after a last measurement, and does not wait for it.
    pub(crate) fn request_end(&self) {
        self.shared.lock().must_end = true;
        self.shared.changed.notify_all();
    }

    /// Ends the thread, after a last measurement, and returns its first error.
    ///
    /// # Errors
    /// [`RunError::SystemTimedOut`] if it has not ended by then. It goes on, and this can be called again.
    pub(crate) fn stop(&mut self, timeout: Duration) -> Result<Option<String>> {
        self.request_end();
        let is_running = |state: &mut State| !state.has_ended;
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, timeout, is_running);
        let has_ended = waited.unwrap_or_else(PoisonError::into_inner).0.has_ended;
        if !has_ended {
            // The caller has waited already.
            self.drop_timeout = Duration::ZERO;
            return Err(RunError::SystemTimedOut { waited: timeout });
        }
        // It only has to return.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            return Ok(Some("the thread of the system metrics panicked".into()));
        }
        Ok(self.shared.lock().first_error.clone())
    }
}

/// The run could not be opened, or was dropped without an end.
impl Drop for SystemMetrics {
    fn drop(&mut self) {
        if self.home.is_forked() {
            // The thread belongs to the parent: it can be neither joined nor detached here.
            mem::forget(self.thread.take());
        } else if self.thread.is_some() {
            let _ = self.stop(self.drop_timeout);
        }
    }
}

/// Notes that the thread has ended, also by a panic.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().has_ended = true;
        self.0.changed.notify_all();
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

    /// Waits until it is time, if it ever is, or until the thread must end; returns whether it must.
    fn wait_until(&self, time: Option<Instant>) -> bool {
        let mut state = self.lock();
        loop {
            let left = |time: Instant| time.saturating_duration_since(Instant::now());
            let left = time.map_or(Duration::MAX, left);
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
    let mut flush_at = Instant::now();
    let mut next = Some(flush_at);
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
        next = next.and_then(|next| next.checked_add(interval)).map(|next| next.max(now));
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
    /// `None` before the first measurement, which looks for them in the thread.
    gpus: Option<Gpus>,
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
        let (status, io) = (read("status"), read("io"));
        for (text, field, column, unit) in [
            (&status, "VmRSS:", "rss_bytes", 1024),
            (&io, "read_bytes:", "read_bytes", 1),
            (&io, "write_bytes:", "write_bytes", 1),
        ] {
            let value = text.as_ref().and_then(|text| number_after(text, field));
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
        self.gpus.get_or_insert_with(Gpus::find).measure(&mut row);
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
    use qstore_storage::testing::{Gate, Watched};
    use qstore_storage::{LocalFs, MemoryFs};

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
        assert_eq!(system.stop(Duration::MAX).unwrap(), None);
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

    const PATH: &str = "/system.parquet";

    fn start(files: &Arc<dyn FileSystem>) -> Result<SystemMetrics> {
        let (dir, writer) = (Path::new("/"), WriterSettings::default());
        SystemMetrics::start(Arc::clone(files), Path::new(PATH), dir, writer, Duration::MAX)
    }

    /// As when the run cannot be opened because of something else.
    #[test]
    fn a_dropped_one_leaves_neither_a_thread_nor_a_lock() {
        let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
        let system = start(&files).unwrap();
        assert!(start(&files).is_err(), "it has the lock");
        drop(system);
        start(&files).unwrap();
    }

    #[test]
    fn a_disk_that_hangs_does_not_make_the_end_hang() {
        let watched = Watched::new(&MemoryFs::new());
        let mut system = start(&watched.shared()).unwrap();
        let gate = Arc::new(Gate::default());
        let hung = Arc::clone(&gate);
        watched.set(move |_, _, _| {
            hung.pass();
            Ok(())
        });
        let stopped = system.stop(Duration::from_millis(1));
        assert!(matches!(stopped, Err(RunError::SystemTimedOut { .. })), "{stopped:?}");
        gate.open();
        assert_eq!(system.stop(Duration::MAX).unwrap(), None);
    }
}
