//! Golden files: small files of each version of the format, good and damaged, with a list of what must
//! be found in them. Every later version must read them, or refuse them with the error that is written
//! there.
//!
//! `tests/golden/v1` was made, once and for all, by `cargo run -p qstore-tests --example golden --
//! tests/golden/v1`. The list, `expected.json`, says of each file what was put into it, not what some
//! reader made of it.

mod checkpoints;
mod metrics;
mod plain_state;

pub use checkpoints::{check_checkpoint, make_checkpoints};
pub use metrics::{check_metrics, make_metrics};

use serde_json::Value;
use std::path::Path;

/// The name of the list.
pub const EXPECTED: &str = "expected.json";

/// What must become of a file that is refused: the kind of the error and a part of its message.
fn check_refusal<E: std::fmt::Debug + std::fmt::Display>(what: &str, error: &E, refusal: &Value) {
    let (kind, message) = (format!("{error:?}"), error.to_string());
    let kind = kind.split([' ', '(', '{']).next().unwrap_or_default();
    assert_eq!(kind, refusal["error"], "{what}: {message}");
    let says = refusal["says"].as_str().expect("a part of the message");
    assert!(message.contains(says), "{what}: {message}, not {says}");
}

/// The bytes of a golden file, changed.
fn damaged(whole: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    change(&mut bytes);
    bytes
}

/// Writes a golden file and the directories above it.
fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    let dir = path.parent().expect("it lies in the directory");
    std::fs::create_dir_all(dir).expect("the directory can be made");
    std::fs::write(path, bytes).expect("the file can be written");
}
