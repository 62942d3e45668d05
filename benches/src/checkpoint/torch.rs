//! torch.save and DCP, PyTorch's distributed checkpoints, as peers.
//!
//! DCP runs in one process, without a process group. Where torch is missing or does not run, all its
//! rows are named with the reason.

use super::sized;
use crate::harness::round_robin::Contender;
use crate::harness::row::Measure;
use crate::harness::this_program;
use crate::peers::Peers;
use crate::rivals::python_peer::{self, PythonPeer, TORCH};
use crate::workload::model::Size;
use crate::{Result, Run};
use qstore_schema::Tensor;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "torch";

/// Needs all the libraries that torch wants.
const IMPORT: &str = "import torch.distributed.checkpoint";

/// A way to save or load: the row's name, the word for the script, the file, the note.
type Way = (&'static str, &'static str, &'static str, &'static str);

const SAVES: [Way; 3] = [
    (
        "torch_save_s",
        "save",
        "torch.pt",
        "torch.save, file synced, renamed, directory synced; not compressed, crc32; one thread",
    ),
    (
        "torch_save_unsynced_s",
        "save-unsynced",
        "torch-unsynced.pt",
        "torch.save to a new file and no more; not compressed, crc32; nothing is synced; one thread",
    ),
    (
        "dcp_save_s",
        "dcp",
        "dcp",
        "torch.distributed.checkpoint.save, FileSystemWriter, one process without a group; not \
         compressed, no checksum; both files synced (sync_files, its default), no directory; one \
         thread writes",
    ),
];

const LATER: Way = (
    "dcp_async_save_return_ms",
    "dcp-async",
    "dcp-async",
    "torch.distributed.checkpoint.async_save until it returns: every tensor copied into new memory, \
     one thread writes later; nothing is durable yet; the threads it takes by itself copy",
);

const LOADS: [Way; 2] = [
    (
        "torch_load_s",
        "save",
        "torch.pt",
        "torch.load(weights_only=True, mmap=False), each tensor in new memory of its own; nothing \
         verified; new process, file in the page cache; one thread",
    ),
    (
        "dcp_load_s",
        "dcp",
        "dcp",
        "torch.distributed.checkpoint.load into tensors that are there already, their memory touched, \
         which the clock leaves out; nothing verified; new process, file in the page cache; one thread \
         reads, the threads it takes by itself copy",
    ),
];

/// A process that saves with torch, and its interpreter for the loads.
#[derive(Debug)]
pub(crate) struct Torch {
    python: PathBuf,
    model: [PathBuf; 2],
    process: RefCell<PythonPeer>,
}

impl Torch {
    /// Starts it, or says why it cannot be measured.
    pub(crate) fn start(
        run: &Run<'_>,
        scratch: &Path,
        size: Size,
        tensors: &[(&str, &Tensor)],
    ) -> Result<Option<Self>> {
        let python = match interpreter(&run.torch) {
            Ok(python) => python.to_owned(),
            Err(why) => {
                // Without `--peers`, all that is Python is named together.
                if run.peers.versions().next().is_some() {
                    let ways = SAVES.iter().chain(&LOADS).chain([&LATER]);
                    let rows: Vec<_> = ways.map(|(name, ..)| sized(name, size)).collect();
                    run.skip(&rows.join(", "), why);
                }
                return Ok(None);
            }
        };
        let model = python_peer::model_files(scratch, tensors)?;
        let process = RefCell::new(PythonPeer::start(TORCH, &python, &model)?);
        Ok(Some(Self { python, model, process }))
    }

    /// Saves that end when all is written.
    pub(crate) fn saves<'a>(
        &'a self,
        scratch: &'a Path,
        size: Size,
    ) -> impl Iterator<Item = Contender<'a>> {
        SAVES.into_iter().map(move |(name, how, file, note)| {
            let measure = Measure::peer(sized(name, size), "s", note);
            let path = scratch.join(file);
            Contender::new(measure, move || self.process.borrow_mut().save(how, &path))
        })
    }

    /// The save that goes on behind the caller's back, with what the caller waits for.
    pub(crate) fn save_later(&self, scratch: &Path, size: Size) -> Contender<'_> {
        let (name, how, file, note) = LATER;
        let measure = Measure::peer(sized(name, size), "ms", note);
        let path = scratch.join(file);
        Contender::new(measure, move || Ok(self.process.borrow_mut().save(how, &path)? * 1e3))
    }

    /// Loads of what was saved.
    pub(crate) fn loads<'a>(
        &'a self,
        scratch: &'a Path,
        size: Size,
    ) -> impl Iterator<Item = Contender<'a>> {
        LOADS.into_iter().map(move |(name, how, file, note)| {
            let measure = Measure::peer(sized(name, size), "s", note);
            let path = scratch.join(file);
            let [bytes, index] = &self.model;
            Contender::new(measure, move || {
                let what = [Path::new(how), &path, bytes, index];
                python_peer::load(TORCH, &self.python, what)
            })
        })
    }
}

/// The interpreter that has torch, or why there is none.
fn interpreter(peers: &Peers) -> Result<&Path, String> {
    let Some(python) = peers.python_with(&[PACKAGE]) else {
        let absent = peers.absent().find(|absent| absent.who == PACKAGE);
        let why = absent.map(|absent| format!("torch cannot be installed: {}", absent.why));
        return Err(why.unwrap_or_else(|| "torch was not installed for this run".into()));
    };
    // A wheel can be installed where it does not run.
    match this_program::answer_of(Command::new(python).args(["-c", IMPORT]), PACKAGE) {
        Ok(_) => Ok(python),
        Err(error) => {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            Err(format!("torch is installed, but does not run: {last}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_torch_has_a_reason() {
        let none = interpreter(&Peers::default()).unwrap_err();
        assert_eq!(none, "torch was not installed for this run");
        let text = r#"{"torch": {"reason": "no wheel"}}"#;
        let failed = Peers::new("python".into(), text).unwrap();
        assert_eq!(interpreter(&failed).unwrap_err(), "torch cannot be installed: no wheel");
        let text = r#"{"torch": {"version": "2"}}"#;
        let broken = Peers::new("no-such-python".into(), text).unwrap();
        let why = interpreter(&broken).unwrap_err();
        assert!(why.starts_with("torch is installed, but does not run: torch cannot"), "{why}");
    }
}
