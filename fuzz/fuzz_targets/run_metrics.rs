//! The metrics file of a run.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("run_metrics", bytes));
