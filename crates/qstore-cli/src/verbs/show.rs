//! `qstore show`: everything that is known of a run, a metrics file, a checkpoint or a directory of checkpoints,
//! without reading values unless they are asked for.

mod checkpoint;
mod checkpoints;
mod metrics;
mod run;

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::{Kind, Place};
use std::path::PathBuf;

/// Show everything that is known of a run, a metrics file or a checkpoint
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore show runs/run_003
  qstore show runs/run_003/checkpoints/epoch_0019.zarr.zip --tensors")]
pub struct Show {
    /// A run, a metrics file, a checkpoint, or a directory of checkpoints [default: the current directory]
    path: Option<PathBuf>,
    /// List the tensors of a checkpoint
    #[arg(long)]
    tensors: bool,
    /// Read the values, and show the least, the greatest, the mean and how many are NaN
    #[arg(long)]
    stats: bool,
}

impl Show {
    /// Runs the verb.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let place = Place::find(&console.path_or_default(self.path.as_ref()))?;
        match place.kind {
            Kind::Metrics => metrics::show(&place.path, console),
            Kind::Checkpoint => {
                checkpoint::show(&place.path, self.tensors || self.stats, self.stats, console)
            }
            Kind::Checkpoints => checkpoints::show(&place.path, console),
            Kind::Run => run::show(&place.path, console),
            Kind::Runs | Kind::Safetensors | Kind::Description | Kind::Other => {
                Err(place.refused("show", "a run, a metrics file, or checkpoints; see `qstore ls`"))
            }
        }
    }
}
