//! `cargo xtask wheel`: the wheel that people install, and proof that it installs and works by itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The most that the wheel may take to download, and installed, in bytes: a guard against growth. The first is the goal of a
/// wheel that has the command as well.
const WHEEL_MAX: u64 = 6_000_000;
const INSTALLED_MAX: u64 = 14_000_000;

/// What the wheel was meant to take, in bytes. Shown beside what it takes.
const WHEEL_GOAL: u64 = 6_000_000;
const INSTALLED_GOAL: u64 = 8_000_000;

/// Logs, saves and loads with only the wheel installed, and says what was imported besides the standard library. The last
/// line is the directory of the package.
const USE: &str = "\
import array, os, sys, tempfile
import qstore
home = tempfile.mkdtemp()
path = os.path.join(home, 'metrics.parquet')
with qstore.AsyncMetricsLogger(path) as logger:
    logger.log_step(epoch=0, step=1, train_loss=0.5, accuracy=0.9)
assert open(path, 'rb').read()[-4:] == b'PAR1', path
assert '<table>' in logger._repr_html_()
state = {'w': array.array('d', [0.5, 1.5]), 'betas': (0.9, 2**70), 'key': b'123'}
with qstore.CheckpointManager(os.path.join(home, 'checkpoints')) as manager:
    assert manager.save(1, state, metadata={'loss': 0.5}).wait(60).kind == 'saved'
loaded = manager.load(1)['model_state']
assert memoryview(loaded['w']).tolist() == [0.5, 1.5] and loaded['betas'] == (0.9, 2**70), loaded
foreign = {'numpy', 'torch', 'pandas', 'jax'} & set(sys.modules)
assert not foreign, f'importing qstore imports {foreign}'
print(f'qstore {qstore.__version__} logs, saves and loads, and imports nothing but itself')
print(os.path.dirname(qstore.__file__))
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
    println!("{} ({})", wheel.display(), beside_goal(bytes, WHEEL_GOAL));
    limit(&wheel, bytes, WHEEL_MAX)?;
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

fn beside_goal(bytes: u64, goal: u64) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let verdict = if bytes <= goal { "met" } else { "missed" };
    format!("{:.2} MB; the goal of {:.0} MB is {verdict}", megabytes(bytes), megabytes(goal))
}

fn limit(path: &Path, bytes: u64, most: u64) -> Result {
    if bytes <= most {
        return Ok(());
    }
    Err(Error::Failed(format!("{} takes {bytes} bytes; the limit is {most}", path.display())))
}

/// The bytes of all files below a directory, but for what an interpreter has compiled.
fn size_of_tree(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    let entries = fs::read_dir(path).map_err(|error| cannot("read", path, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| cannot("read", path, &error))?.path();
        if path.is_dir() {
            let is_compiled = path.file_name() == Some(OsStr::new("__pycache__"));
            bytes += if is_compiled { 0 } else { size_of_tree(&path)? };
        } else {
            bytes += fs::metadata(&path).map_err(|error| cannot("read", &path, &error))?.len();
        }
    }
    Ok(bytes)
}

/// Installs the wheel into an environment that has nothing else, without any index, and uses it.
fn try_out(target: &Path, interpreter: &Interpreter, wheel: &Path) -> Result {
    let environment = Environment { home: target.join(EMPTY_NAME) };
    let _turn = python::wait_for_turn(target, EMPTY_NAME)?;
    environment.create(interpreter)?;
    process::run(environment.pip_install().arg("--no-index").arg(wheel))?;
    let in_python = |arguments: &[&str]| {
        let mut python = python::python(environment.python().as_os_str());
        python.arg("-I").args(arguments);
        python
    };
    let said = process::output(&mut in_python(&["-c", USE]))?;
    let said_text = String::from_utf8_lossy(&said.stdout);
    if !said.status.success() {
        let error = String::from_utf8_lossy(&said.stderr);
        return Err(Error::Failed(format!(
            "what was installed does not work:\n{said_text}{error}"
        )));
    }
    print!("{said_text}");
    let package = said_text.lines().last().unwrap_or_default();
    let package = Path::new(package);
    let bytes = size_of_tree(package)?;
    println!("installed: {}", beside_goal(bytes, INSTALLED_GOAL));
    limit(package, bytes, INSTALLED_MAX)?;
    let run = environment.home.join("demo");
    process::run(in_python(&["-m", "qstore.demo", "--epochs", "1", "--out"]).arg(&run))?;
    process::run(in_python(&["-m", "qstore", "ls"]).arg(&run))?;
    let script = environment.python().with_file_name("qstore");
    process::run(Command::new(script).arg("verify").arg(&run))
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
    fn a_wheel_that_is_too_large_is_an_error() {
        let path = Path::new("a.whl");
        limit(path, WHEEL_MAX, WHEEL_MAX).unwrap();
        let error = limit(path, WHEEL_MAX + 1, WHEEL_MAX).unwrap_err();
        assert!(error.message().unwrap().contains("the limit is 6000000"));
    }

    #[test]
    fn a_goal_is_met_up_to_its_last_byte() {
        assert_eq!(beside_goal(WHEEL_GOAL, WHEEL_GOAL), "6.00 MB; the goal of 6 MB is met");
        assert_eq!(beside_goal(9_271_000, INSTALLED_GOAL), "9.27 MB; the goal of 8 MB is missed");
    }

    #[test]
    fn the_size_of_a_directory_is_that_of_its_files() {
        let root = Workspace::locate().root().join("xtask").join("src");
        let len = |path: &Path| fs::metadata(path).unwrap().len();
        let files = ["session.rs", "wheel.rs"].map(|name| len(&root.join("package").join(name)));
        assert_eq!(size_of_tree(&root.join("package")).unwrap(), files.iter().sum::<u64>());
        assert!(size_of_tree(&root).unwrap() > files.iter().sum::<u64>());
    }

    #[test]
    fn the_tools_come_first_in_the_path() {
        let path = with_first(Path::new("/tools/bin")).unwrap();
        assert_eq!(std::env::split_paths(&path).next().unwrap(), Path::new("/tools/bin"));
    }
}
