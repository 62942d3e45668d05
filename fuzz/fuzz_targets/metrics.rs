//! A metrics file as it is.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("metrics", bytes));
