//! `cargo xtask wheel`: the wheel that people install, and proof that it installs and works by itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::package;
use crate::process;
use crate::python::{self, CANDIDATES, Environment, Interpreter, cannot};
use crate::workspace::Workspace;

pub(crate) const ARGUMENTS: &str = "[--target TRIPLE] [--native] [--python PYTHON]";
pub(crate) const ABOUT: &str = "build the release wheel into target/wheels, install it into an empty environment, use it; \
     --native links for this machine's own C library";

/// The tools that build it, pinned: a wheel must not change because they do.
const TOOLS: &[&str] = &["maturin==1.16.0", "ziglang==0.17.1"];

/// The environment of the tools, below `target/`.
const TOOLS_NAME: &str = "wheel-venv";

/// The environment that has nothing but the wheel, below `target/`.
const EMPTY_NAME: &str = "wheel-only-venv";

/// The oldest C library that the wheel runs with: glibc 2.28, of 2018.
const C_LIBRARY: &str = "manylinux_2_28";

/// Logs a step with only the wheel installed, and says what was imported besides the standard library.
const USE: &str = "\
import os, sys, tempfile
import qstore
path = os.path.join(tempfile.mkdtemp(), 'metrics.parquet')
with qstore.AsyncMetricsLogger(path) as logger:
    logger.log_step(epoch=0, step=1, train_loss=0.5)
assert open(path, 'rb').read()[-4:] == b'PAR1', path
foreign = {'numpy', 'torch', 'pandas', 'jax'} & set(sys.modules)
assert not foreign, f'importing qstore imports {foreign}'
print(f'qstore {qstore.__version__} logs, and imports nothing but itself')
";

#[derive(Default)]
struct Options {
    target: Option<String>,
    is_native: bool,
    python: Option<OsString>,
}

/// Builds, installs, uses.
pub(crate) fn run(workspace: &Workspace, arguments: lexopt::Parser) -> Result {
    let options = options(arguments)?;
    let target = workspace.target()?;
    let interpreter = Interpreter::find(options.python.as_deref(), CANDIDATES)?;
    let tools = tools(&target, &interpreter)?;
    let wheel = build(workspace, &target, &tools, &options)?;
    let bytes = fs::metadata(&wheel).map_err(|error| cannot("read", &wheel, &error))?.len();
    println!("{} ({:.1} MB)", wheel.display(), bytes as f64 / 1e6);
    if options.target.is_some() {
        println!("built for another machine, and so not run");
        return Ok(());
    }
    try_out(&target, &interpreter, &wheel)
}

fn options(mut arguments: lexopt::Parser) -> Result<Options> {
    use lexopt::Arg::Long;

    let mut options = Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("target") => {
                options.target = Some(arguments.value()?.to_string_lossy().into_owned());
            }
            Long("native") => options.is_native = true,
            Long("python") => options.python = Some(arguments.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// The environment with maturin and a linker that knows old C libraries.
fn tools(target: &Path, interpreter: &Interpreter) -> Result<Environment> {
    let environment = Environment { home: target.join(TOOLS_NAME) };
    let stamp = format!("{}\n{}", interpreter.identity, TOOLS.join("\n"));
    let _turn = python::wait_for_turn(target, TOOLS_NAME)?;
    if environment.is_ready(&stamp) {
        return Ok(environment);
    }
    environment.create(interpreter)?;
    process::run(environment.pip_install().args(TOOLS))
        .map_err(|_| Error::Failed("pip could not install the tools, see above".into()))?;
    environment.declare_ready(&stamp)?;
    Ok(environment)
}

/// Runs maturin, and returns the wheel, the only one in its directory.
fn build(
    workspace: &Workspace,
    target: &Path,
    tools: &Environment,
    options: &Options,
) -> Result<PathBuf> {
    let out = target.join("wheels");
    if out.exists() {
        fs::remove_dir_all(&out).map_err(|error| cannot("remove", &out, &error))?;
    }
    let mut maturin = python::python(tools.python().as_os_str());
    maturin.args(["-m", "maturin", "build", "--profile", "wheel", "--strip", "--out"]).arg(&out);
    if cfg!(target_os = "linux") && !options.is_native {
        maturin.args(["--zig", "--compatibility", C_LIBRARY]);
    }
    if let Some(triple) = &options.target {
        maturin.args(["--target", triple]);
    }
    // maturin looks for its linker in the environment that is active.
    let bin = tools.python().parent().map(Path::to_path_buf).unwrap_or_default();
    maturin.env("VIRTUAL_ENV", &tools.home).env("PATH", with_first(&bin)?);
    process::run(maturin.current_dir(package::home(workspace)))?;
    let entries = fs::read_dir(&out).map_err(|error| cannot("read", &out, &error))?;
    let mut wheels = entries.flatten().map(|entry| entry.path());
    wheels
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .ok_or_else(|| Error::Failed(format!("maturin left no wheel in {}", out.display())))
}

/// The `PATH`, with this directory first.
fn with_first(directory: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [directory.to_path_buf()].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).map_err(|error| Error::Failed(format!("cannot set PATH: {error}")))
}

/// Installs the wheel into an environment that has nothing else, without any index, and logs a step.
fn try_out(target: &Path, interpreter: &Interpreter, wheel: &Path) -> Result {
    let environment = Environment { home: target.join(EMPTY_NAME) };
    let _turn = python::wait_for_turn(target, EMPTY_NAME)?;
    environment.create(interpreter)?;
    process::run(environment.pip_install().arg("--no-index").arg(wheel))?;
    process::run(python::python(environment.python().as_os_str()).args(["-I", "-c", USE]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_interpreter_may_come_in_any_order() {
        let typed = ["--python", "python3.12", "--target", "aarch64-unknown-linux-gnu"];
        let options = options(lexopt::Parser::from_args(typed)).unwrap();
        assert_eq!(options.python.unwrap(), "python3.12");
        assert_eq!(options.target.unwrap(), "aarch64-unknown-linux-gnu");
        assert!(!options.is_native);
    }

    #[test]
    fn the_tools_come_first_in_the_path() {
        let path = with_first(Path::new("/tools/bin")).unwrap();
        assert_eq!(std::env::split_paths(&path).next().unwrap(), Path::new("/tools/bin"));
    }
}
