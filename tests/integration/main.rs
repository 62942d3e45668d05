//! What can only be tested across crates, one topic a module.

#![forbid(unsafe_code)]

/// Readers that share no code with ours, and their chunks as rows.
mod arrow2;
/// Nonsense in, a clear error out, and nothing that was stored is touched.
mod bad_input;
/// Every element type, by zarr-python and TensorStore.
mod checkpoint_dtypes;
/// Checkpoints that other programs wrote.
mod checkpoint_foreign;
/// `kill -9` while checkpoints are saved, overwritten and removed.
mod checkpoint_kill;
/// The demo from outside: what it recorded, that it learns, that it resumes.
mod demo_run;
/// How a process can end, and what that costs.
mod endings;
/// Every storage operation of a run fails, or is the last one before a power cut.
mod faults;
/// A small file system that is filled up.
mod full_disk;
/// Files of every version of the format, good and damaged.
mod golden;
/// What `log_step` does not do.
mod hot_path;
/// `kill -9`, at any moment.
mod kill;
/// The same for a program that does nothing but write metrics.
mod kill_log;
/// The loss window that the pages promise.
mod loss_window;
/// Bytes that nobody vouches for, given to everything that reads.
mod malformed_input;
/// What readers that are not ours find in our files.
mod readers;
/// What the files of a demo must hold; used by `demo_run` and `kill`.
mod recorded;
/// Nothing that was pushed is lost by stopping.
mod stop;
/// Logging faster than the writer writes, with `?`.
mod tight_loop;
