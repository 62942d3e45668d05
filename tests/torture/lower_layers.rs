//! T15: checkpoints that lie in a lower layer of overlayfs, as everything does that comes with a container's image.
//!
//! A directory of a lower layer can be neither renamed nor exchanged, so it is replaced and removed in place, in
//! many steps. A child does both, on an overlay over checkpoints that were saved before, and is killed before every
//! change. What it leaves must be what it had been promised, and everything must work again.
//!
//! Mounting takes root, or a namespace in which this process is root. The program starts itself again in a
//! namespace of its own, in which nothing stays mounted; where that is not possible, the row is skipped by name.

use crate::child;
use crate::trial::Trial;
use qstore_tests::promises::Promises;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Set for the process inside the namespace: how an overlay is mounted there.
const INSIDE: &str = "QSTORE_LOWER_LAYERS";
/// How that process ends when it cannot mount one.
const CANNOT_MOUNT: i32 = 77;
/// The namespaces that are tried, each with what an overlay in it needs.
const NAMESPACES: [(&[&str], &str); 2] =
    [(&["--mount"], ""), (&["--user", "--map-root-user", "--mount"], ",userxattr")];
/// `EXDEV`: a directory of a lower layer is renamed.
const CROSSES_LAYERS: i32 = 18;
/// The quick form kills before every tenth change; the seed decides where it starts.
const STEP: usize = 10;

pub(crate) fn run(trial: &Arc<Trial>) {
    if let Ok(options) = env::var(INSIDE) {
        return on_overlays(trial, &options);
    }
    let mut reasons = Vec::new();
    for (namespace, options) in NAMESPACES {
        let inside = Command::new("unshare")
            .args(namespace)
            .arg(env::current_exe().expect("a program knows its own path"))
            .args(env::args_os().skip(1))
            .env(INSIDE, options)
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(std::process::Child::wait_with_output);
        match inside {
            // It has reported everything, its end included.
            Ok(output) if output.status.success() => std::process::exit(0),
            Ok(output) if matches!(output.status.code(), Some(1 | CANNOT_MOUNT)) => {
                reasons.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            }
            Ok(output) => panic!("in a namespace: {output:?}"),
            Err(error) => reasons.push(format!("unshare: {error}")),
        }
    }
    trial.skip("overlayfs", &reasons.join("; "));
}

/// The two places of an upper layer: beside the lower one, or in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Upper {
    Beside,
    Tmpfs,
}

fn on_overlays(trial: &Trial, options: &str) {
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    let mut kills = Vec::new();
    for upper in [Upper::Beside, Upper::Tmpfs] {
        for scenario in child::scenarios().into_iter().filter(|name| name.starts_with("check")) {
            let name = format!("{scenario}/{upper:?}").to_lowercase();
            let lower = dir.path().join(name.replace('/', "-"));
            fs::create_dir_all(child::work(&lower)).expect("the directory is empty");
            child::prepare(&scenario, &lower);
            let place = |case: &str| Overlay::mount(dir.path(), case, &lower, upper, options);
            let overlay = match place(&name) {
                Ok(overlay) => overlay,
                Err(reason) if kills.is_empty() && upper == Upper::Beside => {
                    eprintln!("{reason}");
                    std::process::exit(CANNOT_MOUNT);
                }
                Err(reason) => {
                    trial.skip(&name, &reason);
                    continue;
                }
            };
            overlay.check_that_directories_are_fixed();
            let changes = child::changes(&scenario, &overlay.dir);
            drop(overlay);
            let all = trial.full || trial.is_replay();
            let (from, step) = if all { (0, 1) } else { (trial.seed as usize % STEP, STEP) };
            let these = (from..changes).step_by(step);
            kills.extend(these.map(|at| (scenario.clone(), format!("{name}/{at}"), at, upper)));
        }
    }
    trial.plan(kills.len());
    trial.side_by_side(&kills, |(scenario, name, at, upper)| {
        trial.case(name, || {
            let prepared = name.rsplit_once('/').expect("it has a number").0.replace('/', "-");
            let lower = dir.path().join(prepared);
            let overlay = Overlay::mount(dir.path(), name, &lower, *upper, options);
            let overlay = overlay.expect("one could be mounted before");
            let mut child = child::command(scenario, &overlay.dir, Some(*at));
            let status = child.stdout(Stdio::null()).status().expect("a child can be started");
            assert_eq!(status.signal(), Some(9), "the child ended with {status}");
            let acknowledged = Promises::last_logged(&child::promised(&overlay.dir));
            child::check(scenario, &overlay.dir, acknowledged);
        });
    });
}

/// A directory for a child whose working directory is an overlay. Dropping it unmounts everything.
struct Overlay {
    dir: PathBuf,
    mounted: Vec<PathBuf>,
}

impl Overlay {
    fn mount(
        base: &Path,
        case: &str,
        lower: &Path,
        upper: Upper,
        options: &str,
    ) -> Result<Self, String> {
        let dir = base.join("cases").join(case.replace('/', "-"));
        let (top, work) = (dir.join("top"), child::work(&dir));
        let create = |dir: &Path| fs::create_dir_all(dir).map_err(|error| error.to_string());
        create(&top)?;
        create(&work)?;
        let mut overlay = Self { dir, mounted: Vec::new() };
        if upper == Upper::Tmpfs {
            mount(&["-t", "tmpfs", "tmpfs"], &top)?;
            overlay.mounted.push(top.clone());
        }
        create(&top.join("upper"))?;
        create(&top.join("work"))?;
        let (lower, top) = (child::work(lower), top.display());
        let layers = format!(
            "lowerdir={},upperdir={top}/upper,workdir={top}/work,redirect_dir=off{options}",
            lower.display(),
        );
        mount(&["-t", "overlay", "overlay", "-o", &layers], &work)?;
        overlay.mounted.push(work);
        Ok(overlay)
    }

    /// Otherwise the row would try something else.
    fn check_that_directories_are_fixed(&self) {
        let home = child::work(&self.dir).join("checkpoints");
        let entries = fs::read_dir(&home).expect("the checkpoints are there");
        let trees = entries.map(|entry| entry.expect("it can be listed").path());
        for tree in trees.filter(|path| path.is_dir()) {
            let moved = fs::rename(&tree, home.join("moved"));
            let number = moved.err().and_then(|error| error.raw_os_error());
            assert_eq!(number, Some(CROSSES_LAYERS), "{}", tree.display());
        }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for dir in self.mounted.drain(..).rev() {
            let _ = Command::new("umount").arg("--lazy").arg(dir).status();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn mount(arguments: &[&str], dir: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(dir).output();
    let output = output.map_err(|error| format!("mount: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("it cannot be mounted").to_owned())
}
