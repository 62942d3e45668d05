//! File systems to run a test on: XFS, Btrfs, tmpfs, overlayfs, FUSE and the one that is here.
//!
//! Each is made and mounted for one test, by `tests/places/run_on.sh`, in a mount namespace that ends with
//! it. That takes root and a few programs; where they are missing, the file system is skipped by name.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The names of the file systems that can be mounted.
pub const NAMES: [&str; 6] =
    ["tmpfs", "xfs", "btrfs", "overlay-on-ext4", "overlay-on-tmpfs", "fuse"];

/// The variables that a test finds on such a file system.
const NAME: &str = "QSTORE_PLACE";
const BASE: &str = "QSTORE_PLACE_BASE";
const LOWER: &str = "QSTORE_PLACE_LOWER";

/// A directory on one of the file systems, for the body of a test.
#[derive(Debug)]
pub struct Place {
    /// The name of the file system; `here` for the one of the temporary directory.
    pub name: String,
    /// An empty directory on it.
    pub dir: PathBuf,
    /// Where the same files can be seen below it: the directory that FUSE shows, the upper layer.
    pub below: Option<PathBuf>,
}

/// Runs the body of a test here and on each file system that can be mounted. `test` is the full name of
/// the calling test, which is run again in a process of its own for each.
///
/// # Panics
/// When the body does, anywhere; the message names the file system.
pub fn on_each(test: &str, body: impl Fn(&Place)) {
    on(&NAMES, None, test, body);
}

/// The same on some of them, with a lower layer for overlayfs: what `lower` writes into a directory.
///
/// # Panics
/// As [`on_each`].
pub fn on(names: &[&str], lower: Option<&dyn Fn(&Path)>, test: &str, body: impl Fn(&Place)) {
    let scratch = tempfile::tempdir().expect("a temporary directory can be created");
    if let Some(mut place) = this_place(scratch.path()) {
        match lower {
            // It is at the root of the file system.
            Some(_) if env::var_os(LOWER).is_some() => place.dir = env::temp_dir(),
            // All tests are run on this file system, and no layer was prepared for this one.
            Some(lower) => lower(&place.dir),
            None => {}
        }
        return body(&place);
    }
    let here = Place { name: "here".into(), dir: scratch.path().join("here"), below: None };
    std::fs::create_dir(&here.dir).expect("a directory can be created");
    lower.inspect(|lower| lower(&here.dir));
    body(&here);
    let layer = scratch.path().join("lower");
    std::fs::create_dir(&layer).expect("a directory can be created");
    lower.inspect(|lower| lower(&layer));

    let (mut failures, mut cases) = (String::new(), 1);
    for name in names {
        let dir = scratch.path().join(name);
        let run = |program: &Path, arguments: &[&str]| -> Output {
            std::fs::create_dir_all(&dir).expect("a directory can be created");
            Command::new("sh")
                .args([&script(), Path::new(name), &dir, program])
                .args(arguments)
                .env(LOWER, &layer)
                .stdin(Stdio::null())
                .output()
                .expect("`sh` can be run")
        };
        let tried = run(Path::new("true"), &[]);
        let _ = std::fs::remove_dir_all(&dir);
        if !tried.status.success() {
            println!("not tested on {name}: {}", last_line(&tried.stderr));
            continue;
        }
        let this = env::current_exe().expect("this program has a path");
        cases += 1;
        let done = run(&this, &[test, "--exact", "--nocapture"]);
        let said = String::from_utf8_lossy(&done.stdout);
        if !done.status.success() || !said.contains(" 1 passed") {
            let wrong = String::from_utf8_lossy(&done.stderr);
            let _ = write!(failures, "\non {name}:\n{said}{wrong}");
        }
    }
    println!("{cases} cases");
    assert!(failures.is_empty(), "{test}{failures}");
}

/// The place that this process was started on.
fn this_place(scratch: &Path) -> Option<Place> {
    let name = env::var(NAME).ok().filter(|name| NAMES.contains(&&**name))?;
    let base = env::var_os(BASE).map(PathBuf::from);
    // What is below a directory of the mounted file system has the same name there.
    let inside = scratch.strip_prefix(env::temp_dir()).ok()?;
    let top = if name.starts_with("overlay") { "upper" } else { "" };
    let below = base.map(|base| base.join(top).join(inside));
    let below = below.filter(|_| name == "fuse" || name.starts_with("overlay"));
    Some(Place { name, dir: scratch.to_path_buf(), below })
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("places/run_on.sh")
}

fn last_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().last().unwrap_or("it cannot be mounted").to_owned()
}
