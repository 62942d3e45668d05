//! `cargo xtask pictures`: the pictures of the documentation, made by the tests that check what is on them.
//!
//! The terminal is always drawn. The page needs a Chromium that `QSTORE_CHROMIUM` names, and node; without them its
//! pictures stay as they are, which it prints.

use std::env;
use std::fs;

use crate::error::{Error, Result};
use crate::process;
use crate::workspace::{Workspace, cargo_here};

pub(crate) const ARGUMENTS: &str = "";
pub(crate) const ABOUT: &str =
    "make the pictures of the documentation; those of the page need QSTORE_CHROMIUM";

/// The variables that name a directory to a test, the package of the test, and the test.
const TERMINAL: [&str; 3] =
    ["QSTORE_WATCH_PICTURES", "qstore-cli", "pictures_for_the_documentation"];
const PAGE: [&str; 3] =
    ["QSTORE_PAGE_PICTURES", "qstore-page", "the_pictures_of_the_page_can_be_made"];

/// Writes to `docs/pictures`.
pub(crate) fn run(workspace: &Workspace, mut arguments: lexopt::Parser) -> Result {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let dir = workspace.root().join("docs").join("pictures");
    fs::create_dir_all(&dir)
        .map_err(|error| Error::Failed(format!("{}: {error}", dir.display())))?;
    let mut wanted = vec![TERMINAL];
    if env::var_os("QSTORE_CHROMIUM").is_some() {
        wanted.push(PAGE);
    } else {
        println!("QSTORE_CHROMIUM names no Chromium: the pictures of the page stay as they are");
    }
    for [variable, package, test] in wanted {
        let mut cargo = cargo_here();
        cargo.args(["test", "--quiet", "--package", package, "--tests", test]);
        process::run(cargo.env(variable, &dir).current_dir(workspace.root()))?;
    }
    Ok(())
}
