//! The state of the source code: commit, branch and origin are read from the files of git; whether something was
//! changed only git itself can tell, and it is asked in a process of its own.
//!
//! Nothing is changed: git is asked not to refresh its index, and to run no program of the repository. The one
//! exception are the clean filters that its user has configured, which git runs to compare a file that was touched.

use crate::run_file::GitState;
use crate::secrets;
use serde_json::Map;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A repository whose state is being asked for.
#[derive(Debug)]
pub(crate) struct GitQuery {
    state: GitState,
    changes: Option<Child>,
}

impl GitQuery {
    /// Begins to ask about the repository that a directory is in, if there is one and it has a commit.
    pub(crate) fn begin(dir: &Path) -> Option<Self> {
        let top = dir.ancestors().find(|dir| dir.join(".git").exists())?;
        let state = state_of(&git_dir(top)?)?;
        let mut git = Command::new("git");
        // `diff-index` would report a file that was only touched.
        git.args(["--no-optional-locks", "-c", "core.fsmonitor=false", "diff", "--quiet"]);
        git.args(["--no-ext-diff", "--no-textconv", "--ignore-submodules", "HEAD", "--"]);
        git.current_dir(top);
        git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { state, changes: git.spawn().ok() })
    }

    /// The state, with whatever is known until then; `None`: without a limit.
    pub(crate) fn answer(mut self, until: Option<Instant>) -> GitState {
        let mut state = self.state.clone();
        while let Some(child) = &mut self.changes {
            match child.try_wait() {
                Ok(Some(status)) => {
                    // 1 is a difference; anything else is an error.
                    state.is_dirty = status.code().filter(|code| *code < 2).map(|code| code == 1);
                    self.changes = None;
                }
                Ok(None) if until.is_none_or(|until| Instant::now() < until) => {
                    thread::sleep(Duration::from_millis(1));
                }
                _ => break,
            }
        }
        state
    }
}

/// Nobody waits for the answer anymore, perhaps because the run could not be opened.
impl Drop for GitQuery {
    fn drop(&mut self) {
        if let Some(mut child) = self.changes.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `.git`, which in a worktree is a file that names the directory.
fn git_dir(top: &Path) -> Option<PathBuf> {
    let path = top.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    let text = fs::read_to_string(&path).ok()?;
    Some(top.join(text.trim().strip_prefix("gitdir:")?.trim()))
}

fn state_of(git: &Path) -> Option<GitState> {
    // A worktree has a head of its own, and everything else in common with the others.
    let common = fs::read_to_string(git.join("commondir"));
    let common = common.map_or_else(|_| git.to_path_buf(), |dir| git.join(dir.trim()));
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let (commit, branch) = match head.trim().strip_prefix("ref:").map(str::trim) {
        None => (head.trim().to_owned(), None),
        Some(name) => {
            let commit = loose(&common, name).or_else(|| packed(&common, name))?;
            (commit, Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()))
        }
    };
    let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let remote = fs::read_to_string(common.join("config")).ok().and_then(|text| origin(&text));
    is_commit.then(|| GitState { commit, branch, is_dirty: None, remote, other: Map::new() })
}

fn loose(common: &Path, name: &str) -> Option<String> {
    Some(fs::read_to_string(common.join(name)).ok()?.trim().to_owned())
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let refs = fs::read_to_string(common.join("packed-refs")).ok()?;
    let pairs = refs.lines().filter_map(|line| line.split_once(' '));
    pairs.into_iter().find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
}

/// The URL of `origin` in a configuration.
fn origin(config: &str) -> Option<String> {
    let mut is_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            is_origin = line == "[remote \"origin\"]";
        } else if let Some((name, value)) = line.split_once('=')
            && is_origin
            && name.trim() == "url"
        {
            return Some(secrets::without_secrets(value.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository(head: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("HEAD"), head).unwrap();
        for (name, text) in files {
            fs::write(git.join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn commit_branch_and_origin_are_read_from_files() {
        let config = "[core]\n\turl = x\n[remote \"origin\"]\n\turl = https://me:pw@host/a.git\n";
        let commit = format!("{COMMIT}\n");
        let loose = [("refs/heads/main", commit.as_str()), ("config", config)];
        let dir = repository("ref: refs/heads/main\n", &loose);
        let state = state_of(&git_dir(dir.path()).unwrap()).unwrap();
        assert_eq!((state.commit.as_str(), state.branch.as_deref()), (COMMIT, Some("main")));
        assert_eq!(state.remote.as_deref(), Some("https://host/a.git"));

        let packed = format!("# pack-refs\n{COMMIT} refs/heads/a/b\n");
        let dir = repository("ref: refs/heads/a/b\n", &[("packed-refs", &packed)]);
        let state = state_of(&git_dir(dir.path()).unwrap()).unwrap();
        assert_eq!((state.commit.as_str(), state.branch.as_deref()), (COMMIT, Some("a/b")));

        let dir = repository(&commit, &[]);
        assert_eq!(state_of(&git_dir(dir.path()).unwrap()).unwrap().branch, None);
        // A repository without a commit.
        let dir = repository("ref: refs/heads/main\n", &[]);
        assert_eq!(state_of(&git_dir(dir.path()).unwrap()), None);
    }

    #[test]
    fn a_worktree_has_its_own_head_and_the_branches_of_all() {
        let commit = format!("{COMMIT}\n");
        let main = repository("ref: refs/heads/main\n", &[("refs/heads/other", &commit)]);
        let git = main.path().join(".git/worktrees/w");
        fs::create_dir_all(&git).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/other\n").unwrap();
        fs::write(git.join("commondir"), "../..\n").unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join(".git"), format!("gitdir: {}\n", git.display())).unwrap();
        let state = state_of(&git_dir(tree.path()).unwrap()).unwrap();
        assert_eq!((state.commit.as_str(), state.branch.as_deref()), (COMMIT, Some("other")));
    }

    #[test]
    fn changes_are_what_git_says_and_no_answer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments);
            git.current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
            git.status().is_ok_and(|status| status.success())
        };
        let file = dir.path().join("file");
        fs::write(&file, "one").unwrap();
        if !git(&["init"]) || !git(&["add", "."]) || !git(&["commit", "-m", "x"]) {
            println!("not tested: there is no git");
            return;
        }
        let later = None;
        let is_dirty = |until| GitQuery::begin(dir.path()).unwrap().answer(until).is_dirty;
        assert_eq!(is_dirty(later), Some(false));
        // Only its time changes, as when a branch is checked out and back.
        let touched = fs::File::options().append(true).open(&file).unwrap();
        touched.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
        drop(touched);
        assert_eq!(is_dirty(later), Some(false));
        fs::write(&file, "another").unwrap();
        assert_eq!(is_dirty(later), Some(true));
        let sub = dir.path().join("sub");
        fs::create_dir(&sub).unwrap();
        assert_eq!(GitQuery::begin(&sub).unwrap().answer(later).is_dirty, Some(true));
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(GitQuery::begin(elsewhere.path()).is_none());
        // Without an answer there is no process left, either.
        let query = GitQuery::begin(dir.path()).unwrap();
        let pid = query.changes.as_ref().unwrap().id();
        drop(query);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
