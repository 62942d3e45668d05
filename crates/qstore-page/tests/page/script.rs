//! The functions of the script that need no document, in node: numbers, axes, curves, and names that are hostile.

use super::programs::{node, scripts};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_pure_functions_of_the_script_hold_in_node() {
    let Some(node) = node("the_pure_functions_of_the_script_hold_in_node") else { return };
    // Declarations of one scope, as in the page.
    let pure = scripts(&["format.js", "axis.js", "curve.js"]);
    let chart = scripts(&["chart.js"]);
    let pens = chart.split("/** A chart in the page.").next().unwrap();
    let script = format!("{pure}{pens}{}", include_str!("pure.js"));
    let mut child = Command::new(node)
        .args(["--input-type=module", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("all hold"), "{text}");
}
