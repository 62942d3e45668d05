//! zarr-python and TensorStore as peers: a Python process that holds the model.

use crate::Result;
use crate::harness::this_program;
use crate::workload::model;
use qstore_schema::Tensor;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/zarr_peer.py");

/// A process that holds the model and saves it when it is told to.
pub(crate) struct ZarrPython {
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl ZarrPython {
    /// Starts it.
    pub(crate) fn start(
        python: &Path,
        scratch: &Path,
        tensors: &[(&str, &Tensor)],
    ) -> Result<Self> {
        let (bytes, index) = (scratch.join("for-python"), scratch.join("for-python.json"));
        model::write(&bytes, &index, tensors)?;
        let mut command = Command::new(python);
        command.arg(SCRIPT).arg("save").arg(bytes).arg(index);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = child.stdin.take().ok_or("it has no input")?;
        let said = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        Ok(Self { child, told, said })
    }

    /// Seconds that one save took.
    pub(crate) fn save(&mut self, codec: &str, dir: &Path) -> Result<f64> {
        writeln!(self.told, "{codec} {}", dir.display())?;
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().parse().map_err(|_| "zarr-python failed, see above")?)
    }
}

impl Drop for ZarrPython {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds that one load took, in a process of its own.
pub(crate) fn load(python: &Path, dir: &Path) -> Result<f64> {
    let mut command = Command::new(python);
    let command = command.arg(SCRIPT).arg("load").arg(dir);
    Ok(this_program::answer_of(command, "zarr-python")?.parse()?)
}
