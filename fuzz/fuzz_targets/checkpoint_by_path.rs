//! A checkpoint opened by its path.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("checkpoint_by_path", bytes));
