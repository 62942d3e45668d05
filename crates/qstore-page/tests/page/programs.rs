//! Programs that may not be on this machine. A test without its program is skipped, and says so.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The directory of the page.
pub(crate) fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("page")
}

/// Node, if it is on the path.
pub(crate) fn node(test: &str) -> Option<PathBuf> {
    let found = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path).map(|dir| dir.join("node")).find(|node| node.is_file())
    });
    if found.is_none() {
        println!("skipped: {test} needs node");
    }
    found
}

/// Chromium, if `QSTORE_CHROMIUM` names it.
pub(crate) fn chromium(test: &str) -> Option<PathBuf> {
    let found = env::var_os("QSTORE_CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {test} needs a Chromium that QSTORE_CHROMIUM names");
    }
    found
}

/// Some files of the page, one after the other.
pub(crate) fn scripts(names: &[&str]) -> String {
    names.iter().map(|name| fs::read_to_string(page().join(name)).unwrap()).collect()
}

/// The rules of accessibility, if `QSTORE_AXE` names `axe.min.js`.
pub(crate) fn axe(test: &str) -> Option<PathBuf> {
    let found = env::var_os("QSTORE_AXE").map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {test} needs axe.min.js of axe-core, which QSTORE_AXE names");
    }
    found
}
