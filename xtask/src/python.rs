//! Python: which one there is, and environments of our own below `target/`.
//!
//! An environment is made once and made again when what it is made from or the interpreter changes.
//! Invariant: the stamp is written last, so an environment whose making was interrupted has none and is
//! never used; and it is removed first.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;

/// Names the interpreter when the command line does not.
const CHOICE: &str = "QSTORE_PYTHON3";

/// The oldest Python for which every pinned reader has a wheel; zarr 3.1 sets it.
const OLDEST: (u32, u32) = (3, 11);

/// Tried in this order when nobody has chosen. The plain name first: it is what a person means.
pub(crate) const CANDIDATES: &[&str] =
    &["python3", "python3.13", "python3.12", "python3.11", "python3.14", "python"];

/// Two runs at the same time would make the same environment; the second waits here until the
/// returned file is dropped.
pub(crate) fn wait_for_turn(target: &Path, name: &str) -> Result<File> {
    let path = target.join(format!("{name}.lock"));
    fs::create_dir_all(target).map_err(|error| cannot("create", target, &error))?;
    let file = File::create(&path).map_err(|error| cannot("create", &path, &error))?;
    file.lock().map_err(|error| cannot("lock", &path, &error))?;
    Ok(file)
}

/// A Python that is new enough.
pub(crate) struct Interpreter {
    pub(crate) program: OsString,
    /// Version and place, so that an environment is not reused under another interpreter.
    pub(crate) identity: String,
}

impl Interpreter {
    /// The one that was chosen, or the first of the candidates that will do.
    pub(crate) fn find(chosen: Option<&OsStr>, candidates: &[&str]) -> Result<Self> {
        if let Some(program) = chosen.map(OsStr::to_owned).or_else(|| env::var_os(CHOICE)) {
            return Self::ask(&program);
        }
        let mut first_error = None;
        for candidate in candidates {
            match Self::ask(OsStr::new(candidate)) {
                Ok(interpreter) => return Ok(interpreter),
                // What is wrong with `python3` is worth more than that `python3.14` is missing.
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| Error::Failed("no Python".into())))
    }

    fn ask(program: &OsStr) -> Result<Self> {
        let (major, minor) = OLDEST;
        let remedy = format!(
            "this needs Python {major}.{minor} or later: install it, \
             or name one with `--python PATH` or {CHOICE}=PATH"
        );
        let mut python = python(program);
        python.args(["-c", "import sys; print(sys.version.split()[0], sys.base_prefix)"]);
        let identity = process::read(&mut python).map_err(|_| {
            Error::Failed(format!("`{}` does not run; {remedy}", program.display()))
        })?;
        let identity = identity.trim().to_owned();
        if version(&identity).is_none_or(|version| version < OLDEST) {
            let found = identity.split(' ').next().unwrap_or_default();
            return Err(Error::Failed(format!(
                "`{}` is Python {found}; {remedy}",
                program.display()
            )));
        }
        Ok(Self { program: program.to_owned(), identity })
    }
}

/// An environment.
pub(crate) struct Environment {
    pub(crate) home: PathBuf,
}

impl Environment {
    fn stamp(&self) -> PathBuf {
        self.home.join("made-from.txt")
    }

    /// Its interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        if cfg!(windows) {
            self.home.join("Scripts").join("python.exe")
        } else {
            self.home.join("bin").join("python")
        }
    }

    /// Made completely, from the same things, and its interpreter still there.
    pub(crate) fn is_ready(&self, stamp: &str) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|made_from| made_from == stamp)
            && process::output(python(self.python().as_os_str()).args(["-c", "pass"]))
                .is_ok_and(|output| output.status.success())
    }

    /// Creates it again, empty.
    pub(crate) fn create(&self, interpreter: &Interpreter) -> Result {
        if self.home.exists() {
            // The stamp goes first: removing, too, can be interrupted.
            let _ = fs::remove_file(self.stamp());
            fs::remove_dir_all(&self.home).map_err(|error| cannot("remove", &self.home, &error))?;
        }
        process::run(python(&interpreter.program).args(["-m", "venv"]).arg(&self.home)).map_err(
            |_| {
                let program = interpreter.program.display();
                Error::Failed(format!(
                    "`{program} -m venv` failed, see above. On Debian and Ubuntu the module is a \
                     package of its own: apt install python3-venv"
                ))
            },
        )
    }

    /// Its `pip install`, which takes wheels only: building pyarrow from source would take an hour and
    /// then fail.
    pub(crate) fn pip_install(&self) -> Command {
        let mut pip = python(self.python().as_os_str());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        pip.args(["--only-binary", ":all:"]);
        pip
    }

    /// Says that it is complete.
    pub(crate) fn declare_ready(&self, stamp: &str) -> Result {
        fs::write(self.stamp(), stamp).map_err(|error| cannot("write", &self.stamp(), &error))
    }
}

/// A Python that looks at nothing but its own environment.
pub(crate) fn python(program: &OsStr) -> Command {
    let mut python = Command::new(program);
    python.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    python
}

/// `3.11.7 /usr` → (3, 11)
fn version(identity: &str) -> Option<(u32, u32)> {
    let mut numbers = identity.split(['.', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What could not be done to which path.
pub(crate) fn cannot(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("3.11.7 /usr"), Some((3, 11)));
        assert!(version("3.9.18 /usr").unwrap() < OLDEST);
        assert!(version("3.13.0rc1 C:\\Python").unwrap() >= OLDEST);
        assert_eq!(version("hello"), None);
    }

    #[test]
    fn a_missing_interpreter_is_named_with_the_remedy() {
        let error =
            Interpreter::find(Some(OsStr::new("no-such-python")), CANDIDATES).err().unwrap();
        let message = error.message().unwrap();
        assert!(message.contains("`no-such-python`") && message.contains(CHOICE), "{message}");
    }

    #[test]
    fn an_environment_without_its_stamp_is_not_ready() {
        let environment = Environment { home: env::temp_dir().join("qstore-no-such-venv") };
        assert!(!environment.is_ready("stamp"));
    }
}
