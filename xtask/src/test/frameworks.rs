//! The Python environment with the frameworks that the Python package has modules for.
//!
//! It is made once under `target/frameworks-venv`, or is another Python that has them. What cannot be made is not an
//! error: the tests that need it are skipped, and say so.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process;
use crate::python::{self, CANDIDATES, Environment, Interpreter, cannot};

/// A Python that has the frameworks, torch among them.
const CHOSEN: &str = "QSTORE_FRAMEWORKS_PYTHON";

/// The name of the environment below `target/`.
const NAME: &str = "frameworks-venv";

/// Imported once before the environment is declared good.
const PROBE: &str = "import jax, keras, pennylane, qiskit, qiskit_algorithms, trio";

/// The Python with the frameworks; `None`, with a line that says why, if it cannot be had.
pub(super) fn prepare(root: &Path, target: &Path, chosen: Option<&OsStr>) -> Option<PathBuf> {
    if let Some(python) = env::var_os(CHOSEN) {
        return Some(python.into());
    }
    match make(root, target, chosen) {
        Ok(python) => Some(python),
        Err(error) => {
            let reason = error.message().unwrap_or_else(|| "see above".into());
            eprintln!("skipped: the frameworks of the Python package: {reason}");
            None
        }
    }
}

fn make(root: &Path, target: &Path, chosen: Option<&OsStr>) -> Result<PathBuf> {
    let path = root.join("tests").join("readers").join("frameworks.txt");
    let requirements = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    let interpreter = Interpreter::find(chosen, CANDIDATES)?;
    let environment = Environment { home: target.join(NAME) };
    let stamp = format!("{}\n{requirements}", interpreter.identity);
    let _turn = python::wait_for_turn(target, NAME)?;
    if !environment.is_ready(&stamp) {
        let home = environment.home.display();
        eprintln!("installing frameworks into {home} (about 250 MB to download, once)");
        environment.create(&interpreter)?;
        process::run(environment.pip_install().arg("--requirement").arg(&path))
            .map_err(|_| Error::Failed("pip could not install them, see above".into()))?;
        let mut probe = python::python(environment.python().as_os_str());
        // Keras looks for TensorFlow otherwise.
        process::run(probe.env("KERAS_BACKEND", "jax").args(["-c", PROBE])).map_err(|_| {
            Error::Failed(format!("they do not load in Python {}", interpreter.identity))
        })?;
        environment.declare_ready(&stamp)?;
    }
    Ok(environment.python())
}
