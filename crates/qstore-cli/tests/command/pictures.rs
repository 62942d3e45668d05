//! What `plot` draws, on which axis, and what it says about what it cannot draw.

use super::kit::{call, enter, scratch};
use qstore_cli::Exit;
use std::fs;

fn document(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn without_an_axis_values_that_have_no_step_are_drawn_over_epochs() {
    enter();
    let x = |arguments: &[&str]| {
        let all: Vec<_> = ["plot", "--json", "runs/run_003"].iter().chain(arguments).collect();
        let called = call(&all);
        assert_eq!(called.exit, Exit::Done, "{arguments:?}: {}", called.err);
        document(&called.out)["series"][0]["x"].as_str().unwrap().to_owned()
    };
    assert_eq!(x(&[]), "epoch");
    assert_eq!(x(&["-y", "train_loss"]), "step");
    assert_eq!(x(&["-y", "train_loss", "-x", "row"]), "row");
    // A window without rows does not change what x is.
    let called = call(&["plot", "runs/run_003", "-y", "train_loss", "--from", "5000"]);
    assert_eq!(called.exit, Exit::Missing);
    assert!(
        called.err.contains("nothing to draw: no row of `train_loss` is on this axis"),
        "{}",
        called.err
    );
    let called = call(&["plot", "runs/run_003", "-x", "step"]);
    assert!(called.err.contains("try -x epoch, or a wider --from/--to"), "{}", called.err);
}

#[test]
fn rows_without_steps_are_drawn_over_epochs_if_all_runs_have_them() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    fs::write(copy.path().join("rows.csv"), "epoch,train_loss\n0,0.5\n1,0.25\n").unwrap();
    assert_eq!(call(&["import", &at("rows.csv"), &at("runs/other")]).exit, Exit::Done);
    for runs in [&["runs/other"][..], &["runs/other", "runs/run_003"]] {
        let runs: Vec<_> = runs.iter().map(|run| at(run)).collect();
        let mut all = vec!["plot", "--json", "-y", "train_loss"];
        all.extend(runs.iter().map(String::as_str));
        let called = call(&all);
        assert_eq!(called.exit, Exit::Done, "{}", called.err);
        assert_eq!(document(&called.out)["series"][0]["x"], "epoch");
    }
}

#[test]
fn a_column_that_is_not_drawn_is_reported() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let run = at("runs/run_003");
    let called = call(&["plot", &run, "-y", "train_loss,misspelled"]);
    assert_eq!((called.exit, &*called.out), (Exit::Missing, ""));
    assert!(called.err.contains("column `misspelled`"), "{}", called.err);
    // One on another axis, and one that only the other run has.
    let called = call(&["plot", &run, "-y", "train_loss,val_loss"]);
    assert_eq!(called.exit, Exit::Done);
    assert!(called.err.contains("no row of `val_loss` is on this axis"), "{}", called.err);
    fs::write(copy.path().join("rows.csv"), "step,lr\n1,0.5\n2,0.25\n").unwrap();
    assert_eq!(call(&["import", &at("rows.csv"), &at("runs/other")]).exit, Exit::Done);
    let called = call(&["plot", &run, &at("runs/other"), "-y", "train_loss,lr"]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    assert!(called.err.contains("run_003 has no column `lr`"), "{}", called.err);
    assert!(called.err.contains("other has no column `train_loss`"), "{}", called.err);
    assert!(
        called.out.contains("⣿ run_003 train_loss") && called.out.contains("⣿ other lr"),
        "{}",
        called.out
    );
}

#[test]
fn an_svg_names_the_runs_and_the_column() {
    let copy = scratch();
    let at = |path: &str| copy.path().join(path).display().to_string();
    let (one, other, svg) = (at("runs/run_003"), at("runs/run_004"), at("loss.svg"));
    let called = call(&["plot", &one, &other, "-y", "train_loss", "--svg", &svg]);
    assert_eq!(called.exit, Exit::Done, "{}", called.err);
    let text = fs::read_to_string(&svg).unwrap();
    for name in [">train_loss</text>", ">run_003</text>", ">run_004</text>"] {
        assert!(text.contains(name), "{name} is missing");
    }
}
