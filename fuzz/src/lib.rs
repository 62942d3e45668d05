//! What every fuzzer does: one target of `qstore_tests::malformed`, judged as in the tests, but by a
//! slower clock, since a build with sanitizers is slow.

use qstore_tests::malformed::{Limits, judge, target};
use std::sync::Once;
use std::time::Duration;

/// Gives the bytes to the target of that name.
///
/// # Panics
/// When the target did something it must not.
pub fn check(name: &str, bytes: &[u8]) {
    static QUIET: Once = Once::new();
    // libFuzzer ends the process at every panic; those of the Parquet library are contained, and only
    // what leaves a target counts.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let target = target(name).expect("the fuzzers are called after their targets");
    let limits = Limits { time: Duration::from_secs(20), ..Limits::default() };
    if let Err(error) = judge(target, bytes, limits) {
        eprintln!("{name}: {error}");
        std::process::abort();
    }
}
