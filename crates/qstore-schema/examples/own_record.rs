//! Defines a row type, and reads its rows by column name.
//!
//! Run it with `cargo run -p qstore-schema --example own_record`.

use qstore_schema::{Field, FieldVisitor, Record, SmolStr, ValueRef, record};

record! {
    /// The result of calibrating one qubit.
    struct Calibration by qubit {
        qubit: i64,
        t1_us: f64,
        readout_error: Option<f64>,
    }
}

/// A sink of three lines: it prints what it receives.
struct Print;

impl FieldVisitor for Print {
    fn declared(&mut self, _: usize, field: &'static Field, value: ValueRef<'_>) {
        println!("  {:<14} {value:?}", field.name);
    }

    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
        println!("  {name:<14} {value:?} (not declared)");
    }
}

fn main() {
    for calibration in [
        Calibration { qubit: 0, t1_us: 112.5, readout_error: Some(0.013) },
        Calibration { qubit: 1, t1_us: 87.0, readout_error: None },
    ] {
        println!("a calibration:");
        calibration.visit(&mut Print);
    }
}
