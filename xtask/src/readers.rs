//! The Python environment with the independent readers: pandas, pyarrow, polars, DuckDB, DataFusion,
//! fastparquet, zarr-python and TensorStore.
//!
//! It is made once under `target/readers-venv` and made again when `tests/readers/requirements.txt`
//! or the interpreter changes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process;
use crate::python::{self, CANDIDATES, Environment, Interpreter, cannot};

/// The name of the environment below `target/`.
const NAME: &str = "readers-venv";

/// Imported once before the environment is declared good: a wheel can install and not load.
const PROBE: &str = "import datafusion, duckdb, fastparquet, numpy, pandas, polars, pyarrow.parquet, tensorstore, zarr";

/// Makes the environment or finds the one made before, and returns the path of its Python.
pub(crate) fn prepare(root: &Path, target: &Path, chosen: Option<&OsStr>) -> Result<PathBuf> {
    let requirements_path = root.join("tests").join("readers").join("requirements.txt");
    let requirements = fs::read_to_string(&requirements_path)
        .map_err(|error| cannot("read", &requirements_path, &error))?;
    let interpreter = Interpreter::find(chosen, CANDIDATES)?;
    let environment = Environment { home: target.join(NAME) };
    let stamp = format!("{}\n{requirements}", interpreter.identity);

    let _turn = python::wait_for_turn(target, NAME)?;
    if environment.is_ready(&stamp) {
        eprintln!("reusing {}", environment.home.display());
    } else {
        eprintln!(
            "installing the readers into {} (about 150 MB to download, once)",
            environment.home.display()
        );
        make(&environment, &interpreter, &requirements_path)?;
        environment.declare_ready(&stamp)?;
    }
    Ok(environment.python())
}

fn make(environment: &Environment, interpreter: &Interpreter, requirements: &Path) -> Result {
    environment.create(interpreter)?;
    let mut pip = environment.pip_install();
    process::run(pip.arg("--requirement").arg(requirements)).map_err(|_| {
        Error::Failed(format!(
            "pip could not install {}, see above. It needs the network once, and wheels for this \
             Python ({}); another Python is chosen with `--python PATH`",
            requirements.display(),
            interpreter.identity
        ))
    })?;
    let mut probe = python::python(environment.python().as_os_str());
    process::run(probe.args(["-c", PROBE])).map_err(|_| {
        Error::Failed("the readers are installed but do not load, see above".to_owned())
    })
}
