//! Runs cases: counts them, catches their panics, and prints both as lines of JSON.
//!
//! Every case has a name. `--case NAME` runs that one alone, whatever the row has to do to get there. So the name
//! must contain everything that decides the case, and a row must produce the same names every time.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{Stdout, Write, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of failures that are printed; more of the same do not help.
const FAILURES_SHOWN: u64 = 20;
const PAUSE: Duration = Duration::from_millis(100);

thread_local! {
    /// The last panic of this thread, as its hook received it.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A run of one row.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) seed: u64,
    pub(crate) full: bool,
    only: Option<String>,
    cases: AtomicU64,
    failures: AtomicU64,
    told: Mutex<Instant>,
    threads: usize,
    out: Mutex<Stdout>,
}

impl Trial {
    /// Parses the arguments after the name of the row; `None` if they are invalid.
    pub(crate) fn new(words: &[String]) -> Option<Self> {
        let (mut seed, mut full, mut only) = (0, false, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seed" => seed = words.next()?.parse().ok()?,
                "--full" => full = true,
                "--case" => only = Some(words.next()?.clone()),
                _ => return None,
            }
        }
        std::panic::set_hook(Box::new(|info| {
            LAST_PANIC.with_borrow_mut(|last| *last = info.to_string().replace('\n', " "));
        }));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Some(Self {
            seed,
            full,
            only,
            cases: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            told: Mutex::new(Instant::now()),
            threads,
            out: Mutex::new(stdout()),
        })
    }

    /// Announces the number of cases.
    pub(crate) fn plan(&self, cases: usize) {
        self.say(&json!({ "planned": cases }));
    }

    /// Whether a case with that name, or with a name that starts with it, should run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.starts_with(name))
    }

    /// Whether a single case is being repeated.
    pub(crate) fn is_replay(&self) -> bool {
        self.only.is_some()
    }

    /// Runs one case, unless a different one was requested. A panic is a failure.
    pub(crate) fn case(&self, name: &str, body: impl FnOnce()) {
        if self.only.as_ref().is_some_and(|only| only != name) {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(body));
        let done = self.cases.fetch_add(1, Ordering::Relaxed) + 1;
        if outcome.is_err() {
            let message = LAST_PANIC.with_borrow_mut(std::mem::take);
            if self.failures.fetch_add(1, Ordering::Relaxed) < FAILURES_SHOWN {
                self.say(&json!({ "failure": { "case": name, "message": message } }));
            }
        }
        if let Ok(mut told) = self.told.try_lock()
            && told.elapsed() > PAUSE
        {
            *told = Instant::now();
            self.say(&json!({ "done": done }));
        }
    }

    /// Reports that something is not run, and why.
    pub(crate) fn skip(&self, what: &str, reason: &str) {
        self.say(&json!({ "skipped": format!("{what}: {reason}") }));
    }

    /// Reports a measurement.
    pub(crate) fn note(&self, text: &str) {
        self.say(&json!({ "note": text }));
    }

    /// Works on all items, on every processor.
    pub(crate) fn side_by_side<T: Sync>(&self, items: &[T], work: impl Fn(&T) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        work(item);
                    }
                });
            }
        });
    }

    /// Prints the last line.
    pub(crate) fn end(&self) {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures > FAILURES_SHOWN {
            self.note(&format!("{failures} failures, of which {FAILURES_SHOWN} are shown"));
        }
        self.say(&json!({ "end": self.cases.load(Ordering::Relaxed) }));
    }

    fn say(&self, event: &Value) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // The reader of the output may be gone; the cases run to their end all the same.
        let _ = writeln!(out, "{event}");
    }
}
