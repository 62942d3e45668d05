//! Where a run is written and looked at: the file system, the machine, the process.
//!
//! Whether a writer lives depends on them and on nothing else, so that a test can have any machine it wants.

use qstore_os::ProcessMark;
use qstore_storage::{FileSystem, LocalFs};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// The machine and the process.
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// The name of the machine or container.
    fn host(&self) -> Option<String>;

    /// A random number that the machine has from its start to the next one.
    fn boot_id(&self) -> Option<String>;

    /// This process.
    fn process(&self) -> ProcessMark;

    /// Whether a process of this machine, since its start, is still there; `None` if that is not known.
    fn is_alive(&self, process: &ProcessMark) -> Option<bool>;

    /// The time.
    fn now(&self) -> SystemTime;
}

/// This machine and this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThisMachine;

impl Surroundings for ThisMachine {
    fn host(&self) -> Option<String> {
        qstore_os::host_name()
    }

    fn boot_id(&self) -> Option<String> {
        qstore_os::boot_id()
    }

    fn process(&self) -> ProcessMark {
        ProcessMark::this()
    }

    fn is_alive(&self, process: &ProcessMark) -> Option<bool> {
        process.is_alive()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A file system, and a machine that uses it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunPlace {
    /// The file system.
    pub files: Arc<dyn FileSystem>,
    /// The machine and the process.
    pub surroundings: Arc<dyn Surroundings>,
}

impl RunPlace {
    /// A place on this file system and this machine.
    #[must_use]
    pub fn new(files: Arc<dyn FileSystem>, surroundings: Arc<dyn Surroundings>) -> Self {
        Self { files, surroundings }
    }
}

/// The local file system of this machine.
impl Default for RunPlace {
    fn default() -> Self {
        Self { files: Arc::new(LocalFs::new()), surroundings: Arc::new(ThisMachine) }
    }
}
