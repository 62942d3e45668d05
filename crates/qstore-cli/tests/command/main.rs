//! The command as its users see it: every verb, what it prints, how it ends, and what it leaves alone.

/// The fixture, and calls of the command in this process.
mod kit;
/// Makes the fixture.
mod maker;

/// What is exported is read back equal.
mod exchange;
/// Every exit code has a call that ends with it.
mod exit_codes;
/// Rows that follow are printed as they come.
mod following;
/// What each verb prints, as text and as JSON.
mod golden;
/// Help is short, and the manual and the completions know every verb.
mod help;
/// Names that are meant for the terminal are shown instead.
mod hostile;
/// The pages of the documentation show what the command prints.
mod pages;
/// What is drawn, on which axis.
mod pictures;
/// The program: pipes, signals, colors, the environment.
mod program;
/// `prune` at a power cut, and what it refuses.
mod prune;
/// A verb that reads leaves every byte and every time as it was.
mod read_only;
/// The page is served until Ctrl-C, and a report is one file.
#[cfg(feature = "serve")]
mod serving;
/// A screen as a picture for the documentation.
#[cfg(feature = "watch")]
mod terminal_picture;
/// The whole terminal: what is on it, keys, and the way back.
#[cfg(feature = "watch")]
mod watching;
