//! A file of JSON lines.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("json_lines", bytes));
