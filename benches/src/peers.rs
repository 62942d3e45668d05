//! The peers that are Python packages: which of them are there, and with which interpreter.
//!
//! `cargo xtask bench --peers` makes their environment and names it in `QSTORE_PEERS`; the file
//! `installed.json` in it tells which package has which version, or why it could not be installed.
//! Without `--peers` there are none.

use crate::Result;
use crate::report::Absent;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

const VARIABLE: &str = "QSTORE_PEERS";

/// What became of a package.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Installed {
    Version(String),
    Reason(String),
}

/// The Python packages that can be measured.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    python: PathBuf,
    packages: BTreeMap<String, Installed>,
}

impl Peers {
    /// Those of the environment that the variable names, if it does.
    pub(crate) fn from_environment() -> Result<Self> {
        let Some(home) = env::var_os(VARIABLE).map(PathBuf::from) else {
            return Ok(Self::default());
        };
        let packages = serde_json::from_str(&fs::read_to_string(home.join("installed.json"))?)?;
        Ok(Self { python: home.join("bin").join("python"), packages })
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
        let packages = serde_json::from_str(text).unwrap();
        let peers = Peers { python: "bin/python".into(), packages };
        assert_eq!(peers.python_with(&["zarr"]), Some(Path::new("bin/python")));
        assert_eq!(peers.python_with(&["zarr", "aim"]), None);
        assert_eq!(peers.versions().collect::<Vec<_>>(), [("zarr", "3.1.6")]);
        let absent: Vec<_> = peers.absent().collect();
        assert_eq!(absent, [Absent { who: "aim".into(), why: "no wheel".into() }]);
        assert_eq!(Peers::default().python_with(&[]), None);
    }
}
