//! Running other programs: shown to the person, or read by us.
//!
//! No program gets our standard input, so that nothing can stop to ask a question.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;

use crate::error::{Error, Result};

/// Runs a program whose output is for the person, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = status(command)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed(format!("`{}` ended with {status}; see above", line(command))))
}

/// Runs a program that is the whole of a command: when it fails it has said why, and its exit code
/// becomes ours.
pub(crate) fn run_in_our_place(command: &mut Command) -> Result {
    let status = status(command)?;
    if status.success() { Ok(()) } else { Err(Error::told_by(status)) }
}

/// Runs a program and returns what it printed; its complaints become part of the error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        return Err(Error::Failed(format!(
            "`{}` ended with {}:\n{}",
            line(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        )));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::Failed(format!("`{}` printed something not UTF-8", line(command))))
}

/// Runs a program quietly and returns everything about its end.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))
}

/// A command that another one starts, such as a script that prepares something for it: `outer`, followed by
/// the inner program and its arguments, with its variables and in its directory.
pub(crate) fn within(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(home) = inner.get_current_dir() {
        outer.current_dir(home);
    }
    outer
}

/// Runs a program, passing on what it prints line by line and handing each line to `listen` too.
///
/// `listen` is called from two threads, one per stream, each with a state of its own; both states
/// are returned.
pub(crate) fn overhear<S, F>(command: &mut Command, listen: F) -> Result<(ExitStatus, [S; 2])>
where
    S: Default + Send,
    F: Fn(&mut S, &str) + Sync,
{
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let heard = thread::scope(|scope| {
        let out = scope.spawn(|| pass_on(stdout, io::stdout(), &listen));
        let err = pass_on(stderr, io::stderr(), &listen);
        [out.join().unwrap_or_default(), err]
    });
    let status = child.wait().map_err(|error| cannot_start(command, &error))?;
    Ok((status, heard))
}

/// Runs a program without showing what it prints: each line of either stream is handed to `listen`.
pub(crate) fn listen(command: &mut Command, listen: impl Fn(&str) + Sync) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let hear = |(): &mut (), line: &str| listen(line.trim_end_matches('\n'));
    thread::scope(|scope| {
        scope.spawn(|| pass_on(stdout, io::sink(), &hear));
        pass_on(stderr, io::sink(), &hear);
    });
    child.wait().map_err(|error| cannot_start(command, &error))
}

fn pass_on<S: Default>(
    from: Option<impl Read>,
    mut to: impl Write,
    listen: &impl Fn(&mut S, &str),
) -> S {
    let mut state = S::default();
    let Some(from) = from else { return state };
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        // Our reader may have gone (`| head`); the program must still be read to its end.
        let _ = to.write_all(&bytes).and_then(|()| to.flush());
        listen(&mut state, &String::from_utf8_lossy(&bytes));
        bytes.clear();
    }
    state
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    command.stdin(Stdio::null()).status().map_err(|error| cannot_start(command, &error))
}

fn cannot_start(command: &Command, error: &io::Error) -> Error {
    Error::Failed(format!("cannot run `{}`: {error}", line(command)))
}

/// The command as a person would type it: `cargo`, not the path of the toolchain's cargo.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_stem().unwrap_or(command.get_program()).to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_as_typed() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["test", "--doc"]);
        assert_eq!(line(&command), "cargo test --doc");
    }

    #[test]
    fn a_stream_is_passed_on_unchanged_and_heard_line_by_line() {
        let text = &b"one\n\xfftwo\nthree"[..];
        let mut screen = Vec::new();
        let listen = |lines: &mut Vec<String>, line: &str| lines.push(line.trim_end().to_owned());
        let heard = pass_on(Some(text), &mut screen, &listen);
        assert_eq!(screen, text);
        assert_eq!(heard, ["one", "\u{fffd}two", "three"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.message().unwrap().contains("`no-such-program`"));
    }
}
