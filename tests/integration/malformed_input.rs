//! Malformed files, states and names: either an error or the contents, quickly and in little memory.
//!
//! `QSTORE_MALFORMED` is the number of inputs of each kind (400 by default), and `QSTORE_SEED` the number of the
//! first. A failure prints the number of its input, and `QSTORE_CASE` repeats that one. The same functions are
//! fuzzed for longer in `fuzz/`.

use qstore_tests::malformed::{Limits, TARGETS, Target, bombs, judge_again, mutation, target};

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |text| text.parse().expect("a whole number"))
}

fn check(target: Target) {
    // The Parquet library panics on some inputs; these panics are caught and only noise here.
    std::panic::set_hook(Box::new(|_| {}));
    let case = std::env::var("QSTORE_CASE").is_ok();
    let seed = number(if case { "QSTORE_CASE" } else { "QSTORE_SEED" }, 1);
    let seeds = (target.seeds)();
    let limits = Limits::default();
    for good in &seeds {
        judge_again(target, good, limits).unwrap_or_else(|error| fail(target, seed, 0, &error));
    }
    let count = if case { 1 } else { number("QSTORE_MALFORMED", 400) };
    for number in 0..count {
        let input = mutation::input(target, &seeds, seed.wrapping_add(number), 0);
        let verdict = judge_again(target, &input, limits);
        verdict
            .unwrap_or_else(|error| fail(target, seed.wrapping_add(number), input.len(), &error));
    }
    println!("{count} cases: {}", target.name);
}

fn fail(target: Target, seed: u64, len: usize, error: &str) {
    let _ = std::panic::take_hook();
    let name = target.name;
    panic!(
        "{name}: {error} ({len} bytes); again: QSTORE_CASE={seed} \
         cargo nextest run -p qstore-tests malformed_input::{name}"
    );
}

#[test]
fn small_inputs_that_decode_to_something_huge() {
    std::panic::set_hook(Box::new(|_| {}));
    let limits = Limits { memory: 64 << 20, ..Limits::default() };
    let mut failed = Vec::new();
    for (name, what, input) in bombs() {
        let verdict = judge_again(target(name).expect("its name"), &input, limits);
        failed.extend(verdict.err().map(|error| format!("{name}, {what}: {error}")));
    }
    let _ = std::panic::take_hook();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// One test per target, so that they run in parallel and have names.
macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(target(stringify!($name)).expect("its name"));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|target| target.name));
        }
    };
}

tests! {
    metrics metrics_sealed metrics_foreign checkpoint_zip checkpoint_by_path checkpoint_parts manifest
    zarr_json zarr_group safetensors run_json run_metrics jobs events csv json_lines names
}
