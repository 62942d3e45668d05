//! A Zarr group of somebody else.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("zarr_group", bytes));
