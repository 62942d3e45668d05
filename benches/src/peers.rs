//! The peers that are Python packages: which of them are there, and with which interpreter.
//!
//! `cargo xtask bench --peers` makes their environments and names them in `QSTORE_PEERS` and, torch's, in
//! `QSTORE_TORCH`; the file `installed.json` in each tells which package has which version, or why it
//! could not be installed. Without `--peers` there are none.

use crate::Result;
use crate::harness::absent::Absent;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Names the environment of all but torch.
pub(crate) const PEERS: &str = "QSTORE_PEERS";

/// Names the environment of torch.
pub(crate) const TORCH: &str = "QSTORE_TORCH";

/// What became of a package.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Installed {
    Version(String),
    Reason(String),
}

/// The Python packages of an environment that can be measured.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    python: PathBuf,
    packages: BTreeMap<String, Installed>,
}

impl Peers {
    /// Those of the environment that the variable names, if it does.
    pub(crate) fn from_environment(variable: &str) -> Result<Self> {
        let Some(home) = env::var_os(variable).map(PathBuf::from) else {
            return Ok(Self::default());
        };
        let installed = fs::read_to_string(home.join("installed.json"))?;
        Self::new(home.join("bin").join("python"), &installed)
    }

    /// Those that `installed.json` tells of.
    pub(crate) fn new(python: PathBuf, installed: &str) -> Result<Self> {
        Ok(Self { python, packages: serde_json::from_str(installed)? })
    }

    /// The interpreter, if all of these packages are there.
    pub(crate) fn python_with(&self, packages: &[&str]) -> Option<&Path> {
        let is_there =
            |name: &&str| matches!(self.packages.get(*name), Some(Installed::Version(_)));
        packages
            .iter()
            .all(is_there)
            .then_some(&self.python)
            .filter(|_| !self.packages.is_empty())
            .map(PathBuf::as_path)
    }

    /// Names and versions.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.packages.iter().filter_map(|(name, installed)| match installed {
            Installed::Version(version) => Some((name.as_str(), version.as_str())),
            Installed::Reason(_) => None,
        })
    }

    /// Those that could not be installed.
    pub(crate) fn absent(&self) -> impl Iterator<Item = Absent> {
        self.packages.iter().filter_map(|(name, installed)| match installed {
            Installed::Reason(why) => Some(Absent { who: name.clone(), why: why.clone() }),
            Installed::Version(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_missing_has_no_interpreter_and_a_reason() {
        let text = r#"{"zarr": {"version": "3.1.6"}, "aim": {"reason": "no wheel"}}"#;
        let peers = Peers::new("bin/python".into(), text).unwrap();
        assert_eq!(peers.python_with(&["zarr"]), Some(Path::new("bin/python")));
        assert_eq!(peers.python_with(&["zarr", "aim"]), None);
        assert_eq!(peers.versions().collect::<Vec<_>>(), [("zarr", "3.1.6")]);
        let absent: Vec<_> = peers.absent().collect();
        assert_eq!(absent, [Absent { who: "aim".into(), why: "no wheel".into() }]);
        assert_eq!(Peers::default().python_with(&[]), None);
    }
}
