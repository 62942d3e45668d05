//! A metrics file whose seal is made right again.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("metrics_sealed", bytes));
