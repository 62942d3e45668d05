//! Bytes that nobody vouches for, given to everything that reads: the oracle, and what is read.
//!
//! Each [`Target`] takes any bytes. Whatever they are, it must come back within a second, without a
//! panic, and with no more memory than a fixed amount and a small multiple of what it was given (for
//! a checkpoint also what its own list of tensors says, since that can be looked at before anything is
//! loaded). The fuzzers in `fuzz/` call the same functions; [`mutation`] makes inputs without one.

mod bombs;
mod checkpoint;
mod judge;
mod metrics;
pub mod mutation;
mod parts;
mod state;

pub use bombs::{Bomb, bombs};
pub use judge::{Limits, judge, judge_again};

/// Something that reads.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called, on the command line as well.
    pub name: &'static str,
    /// What the bytes are taken for.
    pub about: &'static str,
    /// Reads them.
    pub read: fn(&[u8]),
    /// Inputs to begin with, all of them good.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "metrics",
        about: "a metrics file as it is: opened, validated, read, continued",
        read: metrics::read_as_is,
        seeds: metrics::seeds,
    },
    Target {
        name: "metrics_sealed",
        about: "a metrics file whose seal is made right again, with and without our checksums",
        read: metrics::read_sealed,
        seeds: metrics::seeds,
    },
    Target {
        name: "checkpoint_zip",
        about: "a checkpoint of one file as it is: listed, opened, loaded, verified",
        read: checkpoint::read_zip,
        seeds: checkpoint::zip_seeds,
    },
    Target {
        name: "checkpoint_parts",
        about: "the entries of a checkpoint, given a manifest that agrees with them, in both layouts",
        read: checkpoint::read_parts,
        seeds: checkpoint::parts_seeds,
    },
    Target {
        name: "manifest",
        about: "a manifest, as it is and with its checksum made right",
        read: checkpoint::read_manifest,
        seeds: checkpoint::manifest_seeds,
    },
    Target {
        name: "zarr_json",
        about: "the root's zarr.json of a checkpoint whose checksums agree",
        read: checkpoint::read_root,
        seeds: checkpoint::root_seeds,
    },
    Target {
        name: "zarr_group",
        about: "a Zarr group of somebody else",
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
        name: "names",
        about: "names of tensors, which must stay inside the checkpoint and come back",
        read: state::read_names,
        seeds: state::names_seeds,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
