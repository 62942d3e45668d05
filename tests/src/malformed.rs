//! Untrusted bytes, passed to everything that reads: the targets, and the judge.
//!
//! Each [`Target`] takes arbitrary bytes. Whatever they are, it must return within a second, without a panic,
//! and within a fixed amount of memory plus a small multiple of its input (for a checkpoint also what its list
//! of tensors declares, since that can be inspected before anything is loaded). The fuzzers in `fuzz/` call the
//! same functions; [`mutation`] makes inputs without a fuzzer, [`claims`] those with a length that is too large.

mod bombs;
mod checkpoint;
pub mod claims;
mod imports;
mod jobs;
mod judge;
mod metrics;
pub mod mutation;
mod parts;
mod run;
mod state;

pub use bombs::{Bomb, bombs};
pub use judge::{Limits, judge, judge_again};

/// Code that reads untrusted bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also on the command line.
    pub name: &'static str,
    /// What the bytes are interpreted as.
    pub about: &'static str,
    /// Reads them.
    pub read: fn(&[u8]),
    /// Valid inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 17] = [
    Target {
        name: "metrics",
        about: "a metrics file as it is: opened, validated, read, continued",
        read: metrics::read_as_is,
        seeds: metrics::seeds,
    },
    Target {
        name: "metrics_sealed",
        about: "a metrics file whose seal is recomputed, with and without our checksums",
        read: metrics::read_sealed,
        seeds: metrics::seeds,
    },
    Target {
        name: "metrics_foreign",
        about: "a metrics file of another program: encodings and codecs that are only read",
        read: metrics::read_as_is,
        seeds: metrics::foreign_seeds,
    },
    Target {
        name: "checkpoint_zip",
        about: "a single-file checkpoint as it is: listed, opened, loaded, verified",
        read: checkpoint::read_zip,
        seeds: checkpoint::zip_seeds,
    },
    Target {
        name: "checkpoint_by_path",
        about: "a checkpoint opened by its path, as it is or packed by another program",
        read: checkpoint::read_by_path,
        seeds: checkpoint::by_path_seeds,
    },
    Target {
        name: "checkpoint_parts",
        about: "the entries of a checkpoint with a matching manifest, in both layouts",
        read: checkpoint::read_parts,
        seeds: checkpoint::parts_seeds,
    },
    Target {
        name: "manifest",
        about: "a manifest, as it is and with its checksum recomputed",
        read: checkpoint::read_manifest,
        seeds: checkpoint::manifest_seeds,
    },
    Target {
        name: "zarr_json",
        about: "the root zarr.json of a checkpoint whose checksums match",
        read: checkpoint::read_root,
        seeds: checkpoint::root_seeds,
    },
    Target {
        name: "zarr_group",
        about: "a Zarr group written by another program",
        read: checkpoint::read_group,
        seeds: checkpoint::group_seeds,
    },
    Target {
        name: "safetensors",
        about: "a safetensors file",
        read: state::read_safetensors,
        seeds: state::safetensors_seeds,
    },
    Target {
        name: "run_json",
        about: "the record of a run: read, looked at, changed, resumed from",
        read: run::read_run_json,
        seeds: run::run_json_seeds,
    },
    Target {
        name: "run_metrics",
        about: "the metrics file of a run, as it is and with its seal recomputed: losses, rows that count, resumed",
        read: run::read_metrics,
        seeds: run::metrics_seeds,
    },
    Target {
        name: "jobs",
        about: "a ledger of jobs: read, answered, continued",
        read: jobs::read_jobs,
        seeds: jobs::seeds,
    },
    Target {
        name: "events",
        about: "an event file of TensorBoard that is imported, as it is and as one record",
        read: imports::read_events,
        seeds: imports::event_seeds,
    },
    Target {
        name: "csv",
        about: "a CSV file that is imported",
        read: imports::read_csv,
        seeds: imports::csv_seeds,
    },
    Target {
        name: "json_lines",
        about: "a file of JSON lines that is imported",
        read: imports::read_json_lines,
        seeds: imports::json_lines_seeds,
    },
    Target {
        name: "names",
        about: "tensor names, which must stay inside the checkpoint and survive a round trip",
        read: state::read_names,
        seeds: state::names_seeds,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
