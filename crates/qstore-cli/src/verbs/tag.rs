//! `qstore tag` and `qstore note`: words to find a run by, and a text about it, in its `run.json`.
//!
//! Both may be changed while the run goes on: the file is replaced as a whole, under its lock.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::escape::{shown, shown_path};
use crate::output::json;
use crate::place::{Kind, Place};
use qstore_run::{RunFile, RunReader, edit_run_json};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Add tags to a run, or remove some
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore tag runs/run_003 +best -baseline
  qstore tag runs/run_003

Options come before the run: qstore tag --json RUN +TAG")]
pub struct Tag {
    /// The run
    run: PathBuf,
    /// +TAG adds, -TAG removes; without any, they are listed
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    tags: Vec<String>,
}

/// Write a text about a run, or show it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore note runs/run_003 'diverged after the change of optimizer'
  qstore note runs/run_003 --append 'see run_004'")]
pub struct Note {
    /// The run
    run: PathBuf,
    /// The text; an empty one removes it
    text: Option<String>,
    /// Add a line to the text that is there
    #[arg(long)]
    append: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    path: String,
    tags: &'a [String],
    notes: &'a str,
}

impl Tag {
    /// Runs the verb.
    ///
    /// # Errors
    /// If the run has no `run.json`, or it cannot be written.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let changes: Vec<Change> =
            self.tags.iter().map(|tag| Change::parse(tag)).collect::<Result<_, _>>()?;
        let file = change(&self.run, "tag", !changes.is_empty(), |file| {
            for change in &changes {
                change.apply(&mut file.tags);
            }
        })?;
        if console.is_json() {
            report(&self.run, &file, "tag", console)?;
        } else {
            let tags =
                if file.tags.is_empty() { "no tags".to_owned() } else { file.tags.join(", ") };
            console.line(format!("{}: {}", shown_path(&self.run), shown(&tags)))?;
        }
        Ok(Exit::Done)
    }
}

/// A tag to add or to remove.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Add(String),
    Remove(String),
}

impl Change {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (tag, change): (&str, fn(String) -> Self) = match text.strip_prefix('-') {
            Some(tag) => (tag, Self::Remove),
            None => (text.strip_prefix('+').unwrap_or(text), Self::Add),
        };
        if tag.trim().is_empty() {
            return Err(Failure::usage(format!("`{text}` is not a tag; write +TAG or -TAG")));
        }
        Ok(change(tag.to_owned()))
    }

    fn apply(&self, tags: &mut Vec<String>) {
        match self {
            Self::Add(tag) if tags.contains(tag) => {}
            Self::Add(tag) => tags.push(tag.clone()),
            Self::Remove(tag) => tags.retain(|known| known != tag),
        }
    }
}

impl Note {
    /// Runs the verb.
    ///
    /// # Errors
    /// As [`Tag::run`].
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let file = change(&self.run, "note", self.text.is_some(), |file| {
            let Some(text) = &self.text else { return };
            if !self.append || file.notes.is_empty() {
                file.notes.clone_from(text);
            } else {
                file.notes = format!("{}\n{text}", file.notes);
            }
        })?;
        if console.is_json() {
            report(&self.run, &file, "note", console)?;
        } else if file.notes.is_empty() {
            console.line(format!("{} has no notes", shown_path(&self.run)))?;
        } else {
            file.notes.lines().try_for_each(|line| console.line(shown(line)))?;
        }
        Ok(Exit::Done)
    }
}

/// Changes the description of a run, or only reads it.
fn change(
    run: &Path,
    verb: &'static str,
    is_change: bool,
    change: impl FnOnce(&mut RunFile),
) -> Result<RunFile, Failure> {
    let place = Place::find(run)?;
    if place.kind != Kind::Run {
        return Err(place.refused(verb, "a run"));
    }
    if is_change {
        Ok(edit_run_json(run, change)?)
    } else {
        Ok(RunReader::open(run)?.run_json().clone())
    }
}

fn report(
    run: &Path,
    file: &RunFile,
    verb: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let body = Body { path: json::path(run), tags: &file.tags, notes: &file.notes };
    console.document(verb, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_added_once_and_removed() {
        let mut tags = vec!["old".to_owned()];
        for text in ["+best", "best", "-old", "-never", "+a b"] {
            Change::parse(text).unwrap().apply(&mut tags);
        }
        assert_eq!(tags, ["best", "a b"]);
        assert!(Change::parse("+").is_err() && Change::parse("- ").is_err());
    }
}
