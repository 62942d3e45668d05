//! A row type of your own: declare its columns once, then show the values.
//!
//! Run it with `cargo run -p qstore-schema --example own_record`.

use qstore_schema::{DataType, Field, FieldVisitor, Record, SmolStr, ValueRef};

/// What one calibration of a device yields.
struct Calibration {
    qubit: i64,
    t1_us: f64,
    readout_error: Option<f64>,
}

impl Record for Calibration {
    const DECLARED: &'static [Field] = &[
        Field::required("qubit", DataType::Int64),
        Field::required("t1_us", DataType::Float64),
        Field::nullable("readout_error", DataType::Float64),
    ];

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        visitor.declared(0, ValueRef::Int(self.qubit));
        visitor.declared(1, ValueRef::Float(self.t1_us));
        visitor.declared(2, self.readout_error.map_or(ValueRef::Null, ValueRef::Float));
    }
}

/// A sink of three lines: it prints what it is shown.
struct Print;

impl FieldVisitor for Print {
    fn declared(&mut self, index: usize, value: ValueRef<'_>) {
        println!("  {:<14} {value:?}", Calibration::DECLARED[index].name);
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
