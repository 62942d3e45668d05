//! zarr-python as a peer, where there is one: the interpreter that `cargo xtask test` makes for the
//! readers, or the one that `QSTORE_READERS` names.

use crate::Result;
use qstore_schema::Tensor;
use serde_json::json;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/zarr_peer.py");

/// The interpreter, if it is there.
pub(crate) fn interpreter() -> Option<PathBuf> {
    let made_by_xtask = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/readers-venv/bin/python");
    let path = env::var_os("QSTORE_READERS").map_or(made_by_xtask.into(), PathBuf::from);
    path.exists().then_some(path)
}

/// A process that holds the model and saves it when it is told to.
pub(crate) struct ZarrPython {
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl ZarrPython {
    /// Starts it, if there is an interpreter.
    pub(crate) fn start(scratch: &Path, tensors: &[(&str, &Tensor)]) -> Result<Option<Self>> {
        let Some(python) = interpreter() else { return Ok(None) };
        let (bytes, index) = (scratch.join("for-python"), scratch.join("for-python.json"));
        let mut file = File::create(&bytes)?;
        let mut names = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            file.write_all(tensor.data())?;
            names.push(json!([name, tensor.shape()]));
        }
        fs::write(&index, json!(names).to_string())?;
        let mut command = Command::new(python);
        command.arg(SCRIPT).arg("save").arg(bytes).arg(index);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = child.stdin.take().ok_or("it has no input")?;
        let said = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        Ok(Some(Self { child, told, said }))
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
pub(crate) fn load(dir: &Path) -> Result<f64> {
    let python = interpreter().ok_or("there is no interpreter")?;
    let output = Command::new(python).arg(SCRIPT).arg("load").arg(dir).output()?;
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(said.trim().parse().map_err(|_| format!("zarr-python failed: {wrong}"))?)
}
