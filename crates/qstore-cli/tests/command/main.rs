//! The command as its users see it: every verb, what it prints, how it ends, and what it leaves alone.

/// The fixture, and calls of the command in this process.
mod kit;
/// Makes the fixture.
mod maker;

/// Every exit code has a call that ends with it.
mod exit_codes;
/// What each verb prints, as text and as JSON.
mod golden;
/// Help is short, and the manual and the completions know every verb.
mod help;
/// Names that are meant for the terminal are shown instead.
mod hostile;
/// `prune` at a power cut, and what it refuses.
mod prune;
/// A verb that reads leaves every byte and every time as it was.
mod read_only;
