//! A metrics file of another program.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("metrics_foreign", bytes));
