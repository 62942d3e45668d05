//! The workspace as the rules see it, read once.

use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::metadata::Metadata;
use super::source::Source;
use crate::error::{Error, Result};
use crate::process;
use crate::workspace::{Workspace, cargo_here};

/// The manifest of the workspace.
pub(super) const ROOT_MANIFEST: &str = "Cargo.toml";

/// Where Rust files are looked for.
const HOMES: &[&str] = &["benches", "crates", "demo", "fuzz", "tests", "xtask"];

/// Where Markdown is looked for, besides the top level.
const PAGES: &[&str] = &["crates", "demo", "docs", "fuzz", "tests"];

/// Where Python files are looked for.
const SCRIPTS: &[&str] = &["crates"];

/// A page of Markdown, or a file of Python.
pub(super) struct Page {
    /// From the top of the workspace, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
}

/// Everything the rules look at.
pub(super) struct Tree {
    root: PathBuf,
    /// The names at the top level.
    pub(super) top_level: Vec<String>,
    pub(super) root_manifest: Manifest,
    /// The manifests of the members.
    pub(super) manifests: Vec<Manifest>,
    pub(super) sources: Vec<Source>,
    pub(super) pages: Vec<Page>,
    /// The Python of the crates.
    pub(super) scripts: Vec<Page>,
    pub(super) metadata: Metadata,
}

impl Tree {
    /// Reads the workspace from disk and asks cargo about it.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let root = workspace.root();
        let metadata = Metadata::new(&workspace.metadata(&[
            "--all-features",
            // Without it cargo would download what only other platforms need.
            "--filter-platform",
            &host()?,
        ])?);
        let manifests: Result<_> = metadata
            .members
            .iter()
            .map(|package| Ok(Manifest::new(&package.manifest, &read(root, &package.manifest)?)))
            .collect();
        Ok(Self {
            root: root.to_path_buf(),
            top_level: names(root)?,
            root_manifest: Manifest::new(ROOT_MANIFEST, &read(root, ROOT_MANIFEST)?),
            manifests: manifests?,
            sources: sources(root)?,
            pages: pages(root)?,
            scripts: texts(root, vec![], SCRIPTS, "py")?,
            metadata,
        })
    }

    /// Is there a file or directory of this path?
    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The text of a file, if there is one.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// The platform we run on, as cargo calls it.
fn host() -> Result<String> {
    let version = process::read(cargo_here().args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Error::Failed("`cargo --version --verbose` names no host".into()))
}

fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for home in HOMES {
        collect(root, home, "rs", &mut paths)?;
    }
    let mut sources = Vec::new();
    for path in paths {
        sources.push(Source::new(&path, &read(root, &path)?));
    }
    // A module that is declared for tests only is test code, although its own file does not say so.
    let modules: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let is_within = |(_, module): &(usize, String)| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if modules.iter().any(is_within) {
            source.mark_as_test();
        }
    }
    Ok(sources)
}

fn pages(root: &Path) -> Result<Vec<Page>> {
    let mut top_level = names(root)?;
    top_level.retain(|name| has_extension(name, "md"));
    texts(root, top_level, PAGES, "md")
}

/// These files, and all below the directories that have the extension.
fn texts(
    root: &Path,
    mut paths: Vec<String>,
    homes: &[&str],
    extension: &str,
) -> Result<Vec<Page>> {
    for home in homes {
        collect(root, home, extension, &mut paths)?;
    }
    let read = |path: String| Ok(Page { text: read(root, &path)?, path });
    paths.into_iter().map(read).collect()
}

/// Adds the files with an extension below a directory; a directory that does not exist is another rule's
/// matter.
fn collect(root: &Path, directory: &str, extension: &str, paths: &mut Vec<String>) -> Result {
    if !root.join(directory).is_dir() {
        return Ok(());
    }
    for name in names(&root.join(directory))? {
        let path = format!("{directory}/{name}");
        if root.join(&path).is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(root, &path, extension, paths)?;
            }
        } else if has_extension(&name, extension) {
            paths.push(path);
        }
    }
    Ok(())
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let cannot = |error| Error::Failed(format!("cannot list {}: {error}", directory.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot)? {
        names.push(entry.map_err(cannot)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path))
        .map_err(|error| Error::Failed(format!("cannot read {path}: {error}")))
}
