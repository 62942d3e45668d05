//! The figures that were asked for, before they were measured: the one place where they stand.
//!
//! The report and `docs/benchmarks.md` print all of them, whether they are met or not.

/// What a figure, or its ratio to another one, is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Asked for without a bound.
    Reported,
}

/// A figure that was asked for.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) topic: &'static str,
    pub(super) row: &'static str,
    /// The row it is divided by; of several, the best. None: the figure itself is bounded.
    pub(super) beside: &'static [&'static str],
    pub(super) bound: Bound,
}

const PARQUET: &str = "metrics file";
const HOT_PATH: &str = "hot path";
const CHECKPOINTS: &str = "checkpoints";
const JOBS: &str = "jobs";
const PYTHON: &str = "Python";
const VIEW: &str = "pictures";
const LIVE: &str = "live";
const COMMAND: &str = "runs and the command";

const fn goal(
    topic: &'static str,
    row: &'static str,
    beside: &'static [&'static str],
    bound: Bound,
) -> Goal {
    Goal { topic, row, beside, bound }
}

use Bound::{AtLeast, AtMost, Reported};

pub(super) const GOALS: &[Goal] = &[
    goal(PARQUET, "flush_ms_at_1e3", &[], Reported),
    goal(PARQUET, "flush_ms_at_1e5", &[], Reported),
    goal(PARQUET, "flush_ms_at_1e6", &["flush_ms_at_1e5"], AtMost(1.5)),
    goal(PARQUET, "flush_ms_at_1e7", &["flush_ms_at_1e5"], AtMost(1.3)),
    goal(PARQUET, "flush_ms_worst", &[], AtMost(250.0)),
    goal(PARQUET, "ingest_rows_per_s_gzip", &["raw_writer_rows_per_s_gzip"], AtLeast(0.85)),
    goal(PARQUET, "ingest_rows_per_s_zstd", &["raw_writer_rows_per_s_zstd"], AtLeast(0.60)),
    goal(PARQUET, "ingest_rows_per_s_lz4", &["raw_writer_rows_per_s_lz4"], AtLeast(0.40)),
    goal(
        PARQUET,
        "bytes_per_100k_rows_gzip",
        &["raw_writer_bytes_per_100k_rows_gzip"],
        AtMost(1.02),
    ),
    goal(PARQUET, "write_amplification_100", &[], AtMost(13.0)),
    goal(PARQUET, "write_amplification_1000", &[], AtMost(6.0)),
    // A row is copied once more, to both inodes, when sealed groups become one.
    goal(PARQUET, "write_amplification_1000_joined", &["write_amplification_1000"], AtMost(1.5)),
    goal(PARQUET, "disk_peak_over_live", &[], AtMost(2.2)),
    // It is not to grow with the file.
    goal(PARQUET, "peak_rss_mb_1e7", &["peak_rss_mb_1e6"], AtMost(1.1)),
    goal(PARQUET, "cpu_share_1000_rows_per_s", &[], AtMost(0.01)),
    goal(PARQUET, "log_step_1000_names", &["push_vector_of_1000"], AtMost(3.0)),
    goal(PARQUET, "flush_ms_wide_1000_at_1", &["pyarrow_new_file_ms_1000"], AtMost(1.0)),
    goal(PARQUET, "flush_ms_wide_1000_at_100", &["pyarrow_new_file_ms_1000"], AtMost(3.0)),
    goal(PARQUET, "flush_ms_wide_1000_at_1000", &["pyarrow_new_file_ms_1000"], AtMost(3.0)),
    goal(PARQUET, "flush_ms_wide_10000_at_1", &["pyarrow_new_file_ms_10000"], AtMost(1.0)),
    goal(PARQUET, "flush_ms_wide_10000_at_100", &["pyarrow_new_file_ms_10000"], AtMost(3.0)),
    goal(PARQUET, "flush_ms_wide_10000_at_1000", &["pyarrow_new_file_ms_10000"], AtMost(3.0)),
    goal(PARQUET, "flush_ms_sparse_10000", &["durable_replace_ms_sparse_footer"], AtMost(2.0)),
    goal(PARQUET, "cpu_share_sparse_10000", &[], AtMost(0.1)),
    goal(PARQUET, "dropped_sparse_10000", &[], AtMost(0.0)),
    goal(PARQUET, "peak_rss_mb_wide_10000", &[], AtMost(200.0)),
    goal(PARQUET, "open_ms_1e6", &[], AtMost(30.0)),
    goal(HOT_PATH, "push_row200", &["arrayqueue_push_row200"], AtMost(1.15)),
    goal(
        HOT_PATH,
        "push_row200_parked_consumer",
        &["arrayqueue_push_row200_parked_consumer"],
        AtMost(1.15),
    ),
    goal(
        HOT_PATH,
        "push_row200_two_producers",
        &["arrayqueue_push_row200_two_producers"],
        AtMost(1.15),
    ),
    goal(HOT_PATH, "push_sparse", &[], AtMost(500.0)),
    goal(HOT_PATH, "log_step", &[], AtMost(100.0)),
    goal(HOT_PATH, "log_step_p99", &[], AtMost(500.0)),
    // Ten times as fast as the best of those whose rows survive kill -9.
    goal(HOT_PATH, "log_step", &["csv_write_step", "sqlite_wal_step"], AtMost(0.1)),
    goal(HOT_PATH, "log_step_allocations", &[], AtMost(0.0)),
    // At most one wake-up in half a ring of 10 000.
    goal(HOT_PATH, "log_step_syscalls", &[], AtMost(0.000_2)),
    goal(HOT_PATH, "log_step_locks", &[], AtMost(0.000_2)),
    goal(HOT_PATH, "drops_100k_rows_per_s", &[], AtMost(0.0)),
    goal(HOT_PATH, "drops_100k_rows_per_s_core_busy", &[], AtMost(0.0)),
    goal(HOT_PATH, "pop_delivery_us", &[], Reported),
    goal(HOT_PATH, "drain_delivery_us", &[], Reported),
    goal(JOBS, "ledger_submit_ms", &["durable_replace_ms"], AtMost(4.0)),
    goal(JOBS, "ledger_unfinished_ms", &[], AtMost(50.0)),
    goal(JOBS, "ledger_kb", &[], AtMost(1_000.0)),
    goal(PYTHON, "py_log_step_17", &[], AtMost(0.6)),
    goal(PYTHON, "py_log_step_17_p99", &[], AtMost(1.5)),
    goal(PYTHON, "py_log_step_17", &["py_csv_flush_step"], AtMost(1.0 / 15.0)),
    goal(PYTHON, "py_log_step_17", &["py_original_log_step"], AtMost(1.0 / 25.0)),
    goal(PYTHON, "py_log_step_17", &["py_expman_log_vector"], AtMost(1.0)),
    goal(PYTHON, "py_log_step_4", &[], AtMost(0.45)),
    goal(PYTHON, "py_log_step_3_plus_10_names", &[], AtMost(1.3)),
    goal(PYTHON, "py_push", &["py_simple_queue_put"], Reported),
    goal(PYTHON, "py_rows_kept", &[], AtLeast(100.0)),
    goal(PYTHON, "py_import_ms", &[], AtMost(5.0)),
    goal(PYTHON, "py_save_stall_ms_1gb", &["py_copyto_ms_1gb"], AtMost(1.15)),
    goal(PYTHON, "py_save_stall_ms_1gb_torch", &["py_copyto_ms_1gb_torch"], AtMost(1.15)),
    goal(PYTHON, "py_save_first_reserved_ms_1gb", &["py_save_stall_ms_1gb"], AtMost(1.5)),
    goal(PYTHON, "py_save_staged_return_ms_64", &[], AtMost(0.3)),
    goal(PYTHON, "py_save_per_tensor_us", &[], AtMost(1.5)),
    goal(PYTHON, "py_save_per_tensor_us_torch", &[], AtMost(3.0)),
    goal(PYTHON, "py_await_save_loop_pause_ms", &[], AtMost(5.0)),
    goal(PYTHON, "py_await_save_copied_loop_pause_ms", &[], Reported),
    goal(PYTHON, "py_save_durable_s_100mb", &["library_save_durable_s_100mb"], AtMost(1.05)),
    goal(PYTHON, "py_save_durable_s_1gb", &["library_save_durable_s_1gb"], AtMost(1.05)),
    goal(PYTHON, "py_load_s_100mb", &["library_load_s_100mb"], AtMost(1.05)),
    goal(PYTHON, "py_load_s_1gb", &["library_load_s_1gb"], AtMost(1.05)),
    goal(CHECKPOINTS, "save_return_us_zero_copy_100mb", &[], AtMost(50.0)),
    goal(CHECKPOINTS, "save_return_us_zero_copy_1gb", &[], AtMost(50.0)),
    goal(CHECKPOINTS, "save_stall_ms_borrowed_100mb", &["memcpy_ms_100mb"], AtMost(1.5)),
    goal(CHECKPOINTS, "save_stall_ms_borrowed_1gb", &["memcpy_ms_1gb"], AtMost(1.5)),
    goal(CHECKPOINTS, "save_durable_s_lz4_100mb", &["safetensors_fsync_s_100mb"], AtMost(1.0)),
    goal(CHECKPOINTS, "save_durable_s_lz4_1gb", &["safetensors_fsync_s_1gb"], AtMost(1.0)),
    goal(CHECKPOINTS, "save_durable_s_zstd3_100mb", &["safetensors_fsync_s_100mb"], AtMost(1.5)),
    goal(CHECKPOINTS, "save_durable_s_zstd3_1gb", &["safetensors_fsync_s_1gb"], AtMost(1.5)),
    goal(CHECKPOINTS, "save_durable_s_none_100mb", &["safetensors_fsync_s_100mb"], AtMost(1.0)),
    goal(CHECKPOINTS, "save_durable_s_none_1gb", &["safetensors_fsync_s_1gb"], AtMost(1.0)),
    goal(
        CHECKPOINTS,
        "save_durable_s_dir_lz4_100mb",
        &["stock_zarrs_durable_s_lz4_100mb"],
        AtMost(0.6),
    ),
    goal(
        CHECKPOINTS,
        "save_durable_s_dir_lz4_1gb",
        &["stock_zarrs_durable_s_lz4_1gb"],
        AtMost(0.6),
    ),
    goal(CHECKPOINTS, "save_durable_s_lz4_100mb", &["zarr_python_s_lz4_100mb"], AtMost(0.1)),
    goal(CHECKPOINTS, "save_durable_s_lz4_1gb", &["zarr_python_s_lz4_1gb"], AtMost(0.1)),
    goal(CHECKPOINTS, "save_durable_s_zstd3_100mb", &["zarr_python_s_zstd3_100mb"], AtMost(0.1)),
    goal(CHECKPOINTS, "save_durable_s_zstd3_1gb", &["zarr_python_s_zstd3_1gb"], AtMost(0.1)),
    goal(CHECKPOINTS, "load_s_lz4_100mb", &["safetensors_load_s_100mb"], AtMost(1.3)),
    goal(CHECKPOINTS, "load_s_lz4_1gb", &["safetensors_load_s_1gb"], AtMost(1.3)),
    goal(CHECKPOINTS, "load_s_zstd3_100mb", &["safetensors_load_s_100mb"], AtMost(1.5)),
    goal(CHECKPOINTS, "load_s_zstd3_1gb", &["safetensors_load_s_1gb"], AtMost(1.5)),
    goal(CHECKPOINTS, "load_s_none_100mb", &["safetensors_load_s_100mb"], AtMost(1.15)),
    goal(CHECKPOINTS, "load_s_none_1gb", &["safetensors_load_s_1gb"], AtMost(1.15)),
    goal(CHECKPOINTS, "load_s_lz4_100mb", &["zarr_python_load_s_lz4_100mb"], AtMost(0.25)),
    goal(CHECKPOINTS, "load_s_lz4_1gb", &["zarr_python_load_s_lz4_1gb"], AtMost(0.25)),
    goal(CHECKPOINTS, "load_s_zstd3_100mb", &["zarr_python_load_s_zstd3_100mb"], AtMost(0.25)),
    goal(CHECKPOINTS, "load_s_zstd3_1gb", &["zarr_python_load_s_zstd3_1gb"], AtMost(0.25)),
    goal(CHECKPOINTS, "load_one_tensor_ms_100mb", &[], Reported),
    goal(CHECKPOINTS, "load_one_tensor_ms_1gb", &[], Reported),
    goal(CHECKPOINTS, "training_slowdown_workers1_100mb", &[], Reported),
    goal(CHECKPOINTS, "training_slowdown_workers2_100mb", &[], Reported),
    goal(CHECKPOINTS, "training_slowdown_workers1_1gb", &[], Reported),
    goal(CHECKPOINTS, "training_slowdown_workers2_1gb", &[], Reported),
    // Two chunks of 1 MiB for each of two workers.
    goal(CHECKPOINTS, "peak_extra_mb_100mb", &[], AtMost(4.2)),
    goal(CHECKPOINTS, "peak_extra_mb_1gb", &[], AtMost(4.2)),
    goal(VIEW, "plot_one_s_1e7", &[], AtMost(0.7)),
    goal(VIEW, "plot_one_s_1e7", &["duckdb_s_1e7"], AtMost(0.5)),
    goal(VIEW, "plot_one_s_1e6", &["duckdb_s_1e6"], AtMost(0.5)),
    goal(VIEW, "envelope_ms_1e7x20", &[], AtMost(50.0)),
    goal(VIEW, "exact_12_charts_s_1e7", &[], AtMost(2.0)),
    goal(VIEW, "second_look_12_ms_1e7", &[], AtMost(50.0)),
    goal(VIEW, "live_update_12_ms_1e7", &[], AtMost(20.0)),
    goal(VIEW, "pictures_equal_of_4", &[], AtLeast(4.0)),
    goal(VIEW, "spikes_shown_of_10000", &[], AtLeast(10_000.0)),
    goal(VIEW, "peak_rss_mb_1e7x20", &[], AtMost(200.0)),
    goal(LIVE, "page_data_s_1e7x20", &[], AtMost(0.2)),
    goal(LIVE, "page_painted_s_1e7x20", &[], AtMost(1.0)),
    goal(LIVE, "page_server_rss_mb_1e7x20", &[], AtMost(200.0)),
    goal(LIVE, "charts_20x4x4000_painted_s", &[], AtMost(0.7)),
    goal(LIVE, "idle_polls_without_body", &[], AtLeast(0.95)),
    goal(LIVE, "watch_cpu_share", &[], AtMost(0.02)),
    goal(LIVE, "watch_rss_mb", &[], AtMost(40.0)),
    goal(COMMAND, "ls_1000_runs_s", &[], AtMost(0.5)),
    goal(COMMAND, "tail_ms_1e7", &[], AtMost(30.0)),
    goal(COMMAND, "run_create_ms", &[], AtMost(20.0)),
    goal(COMMAND, "verify_s_1gb", &["read_and_checksum_s_1gb"], AtMost(1.3)),
];
