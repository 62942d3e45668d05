//! What can only be tested across crates, one topic per module.

#![forbid(unsafe_code)]

/// arrow2 and parquet2, which share no code with ours, as readers and as a source of rows.
mod arrow2;
/// Bad input gets a clear error, and nothing stored is touched.
mod bad_input;
/// Checkpoints that were zipped by other programs.
mod checkpoint_by_path;
/// Every element type, read by zarr-python and TensorStore.
mod checkpoint_dtypes;
/// Checkpoints written by other programs.
mod checkpoint_foreign;
/// Zarr groups in every form: read exactly, or refused as unknown.
mod checkpoint_forms;
/// `kill -9` while checkpoints are saved, overwritten and removed.
mod checkpoint_kill;
/// Checkpoints in a lower layer of overlayfs.
mod checkpoint_overlay;
/// A scheduler, a random number generator and other parts of a checkpoint.
mod checkpoint_parts;
/// States of every shape, read by zarr-python, TensorStore and zarrs.
mod checkpoint_trees;
/// Datasets of ranks as engines see them.
mod datasets;
/// The demo as a user runs it: it learns, records and resumes.
mod demo_jobs;
mod demo_run;
/// The ways a process can end, and what each one loses.
mod endings;
/// Every storage operation of a run fails, or is the last one before a power cut.
mod faults;
/// What holds on every file system.
mod file_systems;
/// A second process follows a file while it is written.
mod follow;
/// Files of other programs, with every option that they have.
mod foreign_files;
/// A forked child leaves its parent's run alone, says so, and works with what it opens itself.
mod forks;
/// A small file system that runs full.
mod full_disk;
/// Files of every version of the format, valid and damaged.
mod golden;
/// What `log_step` does not do.
mod hot_path;
/// `kill -9` of the demo, at random moments.
mod kill;
/// `kill -9` of a program that only writes metrics.
mod kill_log;
/// The loss window that the pages promise.
mod loss_window;
/// Untrusted bytes, passed to everything that reads.
mod malformed_input;
/// What third-party readers find in our files.
mod readers;
/// The expected contents of the files of a demo; used by `demo_run` and `kill`.
mod recorded;
/// A second process works on the checkpoints of a live writer.
mod second_process;
/// The session of the README.
mod session;
/// Files of holes, which claim more than any machine has memory for.
mod sparse_files;
/// Stopping loses no accepted row.
mod stop;
/// Logging faster than the writer writes, with `?`.
mod tight_loop;
