//! The root `zarr.json` of a checkpoint whose checksums agree.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("zarr_json", bytes));
