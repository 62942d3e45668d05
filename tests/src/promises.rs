//! What a run has been promised so far, recorded as it happens, so that a test that stops it at any moment knows
//! what must be left.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// Numbers of rows, or of saves.
#[derive(Debug, Default)]
pub struct Promises {
    flushed: AtomicI64,
    synced: AtomicI64,
    begun: AtomicI64,
    log: Option<Mutex<File>>,
}

impl Promises {
    /// No promises yet. Later ones are also appended to a file, which outlives this process.
    ///
    /// # Panics
    /// When the file cannot be opened.
    pub fn logged(path: &Path) -> Self {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("the log of promises can be opened");
        Self { log: Some(Mutex::new(file)), ..Self::default() }
    }

    /// The last number that was acknowledged according to that file; 0 if none.
    pub fn last_logged(path: &Path) -> i64 {
        let bytes = std::fs::read(path).unwrap_or_default();
        let last = bytes.chunks_exact(8).next_back().and_then(|last| last.try_into().ok());
        last.map_or(0, i64::from_le_bytes)
    }

    /// Everything up to this number has been handed over.
    pub fn begin(&self, number: i64) {
        self.begun.store(number, SeqCst);
    }

    /// Everything up to this number is promised to survive the end of the process, and if `is_synced`, also a
    /// power cut.
    ///
    /// # Panics
    /// When it cannot be logged.
    pub fn acknowledge(&self, number: i64, is_synced: bool) {
        self.flushed.store(number, SeqCst);
        if is_synced {
            self.synced.store(number, SeqCst);
        }
        if let Some(log) = &self.log {
            let mut log = log.lock().expect("no thread panics while logging");
            log.write_all(&number.to_le_bytes()).expect("it can be logged");
        }
    }

    /// What must survive the end of the process.
    pub fn flushed(&self) -> i64 {
        self.flushed.load(SeqCst)
    }

    /// What must survive a power cut.
    pub fn synced(&self) -> i64 {
        self.synced.load(SeqCst)
    }

    /// What may exist.
    pub fn begun(&self) -> i64 {
        self.begun.load(SeqCst)
    }
}
