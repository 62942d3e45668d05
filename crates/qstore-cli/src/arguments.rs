//! The command line, in one place: its help, the completions and the manual are made from it.

use crate::verbs::compare::Compare;
use crate::verbs::completions::{Completions, Man};
use crate::verbs::diff::Diff;
use crate::verbs::explain::{Explain, Prune};
use crate::verbs::export::Export;
use crate::verbs::import::Import;
use crate::verbs::jobs::Jobs;
use crate::verbs::ls::Ls;
use crate::verbs::pin::{Pin, Unpin};
use crate::verbs::plot::Plot;
use crate::verbs::recover::Recover;
#[cfg(feature = "serve")]
use crate::verbs::report::Report;
#[cfg(feature = "serve")]
use crate::verbs::serve::Serve;
use crate::verbs::show::Show;
use crate::verbs::tag::{Note, Tag};
use crate::verbs::tail::Tail;
use crate::verbs::verify::Verify;
#[cfg(feature = "watch")]
use crate::verbs::watch::Watch;
use clap::{ColorChoice, Parser, Subcommand};

/// Look at training runs: list, show, plot, compare, verify and export them
#[derive(Debug, Parser)]
#[command(
    name = "qstore",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:
  qstore ls runs -m val_loss:min
  qstore verify runs/run_003

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damage found, 4 nothing of that
name, 5 a writer is at work, 6 --fail-if was crossed, 130 interrupted."
)]
pub(crate) struct Arguments {
    /// Print one JSON document instead of text
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) json: bool,
    /// When to use colors [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true,
        hide_default_value = true
    )]
    pub(crate) color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Ls(Ls),
    Show(Show),
    Tail(Tail),
    Plot(Plot),
    Compare(Compare),
    #[cfg(feature = "watch")]
    Watch(Watch),
    #[cfg(feature = "serve")]
    Serve(Serve),
    #[cfg(feature = "serve")]
    Report(Report),
    Verify(Verify),
    Explain(Explain),
    Diff(Diff),
    Export(Export),
    Import(Import),
    Prune(Prune),
    Pin(Pin),
    Unpin(Unpin),
    Jobs(Jobs),
    Tag(Tag),
    Note(Note),
    Recover(Recover),
    Completions(Completions),
    Man(Man),
}
