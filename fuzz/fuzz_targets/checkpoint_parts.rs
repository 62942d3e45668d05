//! The entries of a checkpoint, with a manifest that agrees with them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qstore_fuzz::check("checkpoint_parts", bytes));
