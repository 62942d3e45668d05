//! What is recorded of the process that a run is written by: arguments, directory, variables, source code.
//!
//! Secrets are left out by [`secrets`](crate::secrets). Nothing here fails: what cannot be found is not recorded.

use crate::git::GitQuery;
use crate::run_file::RunAttempt;
use crate::secrets;
use std::env;
use std::time::Instant;

/// A question to git that is under way, so that it costs no time of its own.
#[derive(Debug)]
pub(crate) struct Capture {
    git: Option<GitQuery>,
}

impl Capture {
    /// Begins to ask git, if that is wanted.
    pub(crate) fn begin(is_git_wanted: bool) -> Self {
        let cwd = env::current_dir().ok().filter(|_| is_git_wanted);
        Self { git: cwd.and_then(|cwd| GitQuery::begin(&cwd)) }
    }

    /// Fills in what was found. Waits for git until then at the latest; `None`: without a limit.
    pub(crate) fn fill(self, attempt: &mut RunAttempt, git_until: Option<Instant>) {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        attempt.argv = secrets::masked_arguments(env::args_os().map(text));
        attempt.cwd = env::current_dir().ok().map(|cwd| text(cwd.into()));
        let variables = env::vars_os().map(|(name, value)| (text(name), text(value)));
        attempt.env = secrets::permitted_variables(variables).collect();
        attempt.cpu = processor();
        attempt.git = self.git.map(|query| query.answer(git_until));
    }
}

/// The name of the processor. Linux only.
fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches(|c: char| c.is_whitespace() || c == ':').trim_end().to_owned())
}
