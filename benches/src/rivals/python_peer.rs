//! A peer in Python: a process that holds the model and saves it on request; it loads in a
//! process of its own each time. The scripts are in `benches/python`.

use crate::Result;
use crate::harness::this_program;
use crate::workload::model;
use qstore_schema::Tensor;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A script that knows the peers of one environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// The name in the message of a failure.
    pub(crate) name: &'static str,
    path: &'static str,
}

/// zarr-python and TensorStore.
pub(crate) const ZARR: Script = Script {
    name: "zarr-python",
    path: concat!(env!("CARGO_MANIFEST_DIR"), "/python/zarr_peer.py"),
};

/// torch.save and DCP.
pub(crate) const TORCH: Script =
    Script { name: "torch", path: concat!(env!("CARGO_MANIFEST_DIR"), "/python/torch_peer.py") };

/// A process that holds the model and saves it on request.
#[derive(Debug)]
pub(crate) struct PythonPeer {
    name: &'static str,
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl PythonPeer {
    /// Starts it.
    pub(crate) fn start(script: Script, python: &Path, model: &[PathBuf; 2]) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(script.path).arg("save").args(model);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = child.stdin.take().ok_or("it has no input")?;
        let said = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        Ok(Self { name: script.name, child, told, said })
    }

    /// Seconds that one save took.
    pub(crate) fn save(&mut self, how: &str, path: &Path) -> Result<f64> {
        writeln!(self.told, "{how} {}", path.display())?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().parse().map_err(|_| format!("{} failed, see above", self.name))?)
    }
}

impl Drop for PythonPeer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The model in files that the scripts read; written once.
pub(crate) fn model_files(scratch: &Path, tensors: &[(&str, &Tensor)]) -> Result<[PathBuf; 2]> {
    let (bytes, index) = (scratch.join("for-python"), scratch.join("for-python.json"));
    // The index is written last.
    if !index.exists() {
        model::write(&bytes, &index, tensors)?;
    }
    Ok([bytes, index])
}

/// Seconds that one load took, in a process of its own.
pub(crate) fn load<A: AsRef<OsStr>>(
    script: Script,
    python: &Path,
    what: impl IntoIterator<Item = A>,
) -> Result<f64> {
    let mut command = Command::new(python);
    let command = command.arg(script.path).arg("load").args(what);
    Ok(this_program::answer_of(command, script.name)?.parse()?)
}
