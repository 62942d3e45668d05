//! Rows that fit, rows that do not, and columns that change.

use super::*;
use qstore_schema::Row;

/// The largest integer up to which every one is a float, too.
const EXACT_MAX: i64 = 1 << 53;

fn none_stored() -> impl FnMut(usize) -> Result<i64, String> {
    |_| Ok(0)
}

fn push(rows: &mut Rows, row: impl std::borrow::Borrow<Row>) -> Result<(), Rejection> {
    rows.push(row.borrow(), &mut none_stored())
}

#[test]
fn a_missing_value_is_null_and_a_new_name_is_a_new_column() {
    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("a", 1.0)])).unwrap();
    push(&mut rows, Row::from([("b", "x")])).unwrap();
    assert_eq!(
        rows.fields(),
        [Field::nullable("a", DataType::Float64), Field::nullable("b", DataType::Utf8),]
    );
    let [a, b] = rows.columns() else { panic!("two columns") };
    assert_eq!((&a.levels[..], &b.levels[..]), (&[1, 0][..], &[0, 1][..]));
    assert_eq!(b.values_of(&(1..2)), 0..1);
}

#[test]
fn an_empty_row_needs_a_column_to_be_null_in() {
    let mut rows = Rows::new(&[], &[]);
    assert_eq!(push(&mut rows, Row::new()), Err(Rejection::Empty));
    push(&mut rows, Row::from([("a", 1.0)])).unwrap();
    push(&mut rows, Row::new()).unwrap();
    assert_eq!(rows.columns()[0].levels, [1, 0]);
}

#[test]
fn a_row_that_does_not_fit_leaves_no_trace() {
    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("a", 1.0)])).unwrap();
    let mut bad = Row::from([("new", 2.0)]);
    bad.set("a", "text");
    let clash = Rejection::Clash { name: "a".into(), expected: DataType::Float64, found: "a text" };
    assert_eq!(push(&mut rows, bad), Err(clash));
    assert_eq!((rows.len(), rows.columns().len()), (1, 1));
    push(&mut rows, Row::from([("new", true)])).unwrap();
    assert_eq!(rows.columns()[1].field.data_type, DataType::Bool);
}

/// Regression: the widening was kept although its row was rejected, so that the next large integer,
/// which fits a column of integers, was rejected as well.
#[test]
fn a_rejected_row_widens_nothing() {
    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("n", 1_i64), ("m", 2)])).unwrap();
    push(&mut rows, Row::from([("text", "x")])).unwrap();
    let mut bad = Row::from([("n", 0.5)]);
    bad.set("text", 3_i64);
    assert!(matches!(push(&mut rows, bad), Err(Rejection::Clash { .. })));
    assert_eq!(rows.columns()[0].field.data_type, DataType::Int64);
    push(&mut rows, Row::from([("n", EXACT_MAX + 1)])).unwrap();
    assert_eq!(rows.columns()[0].values, HeldValues::Int(vec![1, EXACT_MAX + 1]));
    let unreadable = rows.push(&Row::from([("m", 0.5)]), &mut |_| Err("gone".into()));
    assert!(matches!(unreadable, Err(Rejection::Unreadable { .. })));
}

#[test]
fn an_undeclared_integer_column_widens_once_unless_a_value_would_change() {
    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("loss", 0_i64)])).unwrap();
    push(&mut rows, Row::from([("loss", 0.5)])).unwrap();
    push(&mut rows, Row::from([("loss", 3_i64)])).unwrap();
    assert_eq!(rows.columns()[0].values, HeldValues::Float(vec![0.0, 0.5, 3.0]));
    assert_eq!(rows.columns()[0].field.data_type, DataType::Float64);

    let large = EXACT_MAX + 1;
    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("id", large)])).unwrap();
    let refused = Rejection::NotExact { name: "id".into(), number: large };
    assert_eq!(push(&mut rows, Row::from([("id", 0.5)])), Err(refused));

    let mut rows = Rows::new(&[], &[]);
    push(&mut rows, Row::from([("id", 1_i64)])).unwrap();
    let row = Row::from([("id", 0.5)]);
    assert!(matches!(rows.push(&row, &mut |_| Ok(-large)), Err(Rejection::NotExact { .. })));
    assert_eq!(rows.columns()[0].values, HeldValues::Int(vec![1]));
}

#[test]
fn a_declared_column_never_changes() {
    let declared = [Field::required("step", DataType::Int64)];
    let mut rows = Rows::new(&declared, &declared);
    assert!(matches!(push(&mut rows, Row::from([("step", 0.5)])), Err(Rejection::Clash { .. })));
    assert!(matches!(push(&mut rows, Row::new()), Err(Rejection::Missing { .. })));
    let null = Row::from([("step", None::<i64>)]);
    assert!(matches!(push(&mut rows, null), Err(Rejection::Missing { .. })));
    assert_eq!(rows.columns()[0].values, HeldValues::Int(vec![]));
}

#[test]
fn a_column_that_is_set_twice_is_refused() {
    struct Twice;
    impl Record for Twice {
        const DECLARED: &'static [Field] = &[Field::required("step", DataType::Int64)];
        fn visit(&self, visitor: &mut impl FieldVisitor) {
            visitor.declared(0, &Self::DECLARED[0], ValueRef::Int(1));
            visitor.extra(&"step".into(), ValueRef::Int(2));
        }
    }
    let mut rows = Rows::new(Twice::DECLARED, Twice::DECLARED);
    let twice = Rejection::Twice { name: "step".into() };
    assert_eq!(rows.push(&Twice, &mut none_stored()), Err(twice));
    assert_eq!(rows.columns()[0].values.len(), 0);
}

#[test]
fn a_value_without_a_name_is_refused() {
    let mut rows = Rows::new(&[], &[]);
    let unnamed = Row::from([("a", 1.0), ("", 2.0)]);
    assert_eq!(push(&mut rows, unnamed), Err(Rejection::Unnamed));
    assert_eq!((rows.len(), rows.columns().len()), (0, 0));
}

#[test]
fn values_beyond_the_last_column_are_left_out_and_counted() {
    let mut rows = Rows::new(&[], &[]);
    let wide: Row = (0..COLUMNS_MAX + 3).map(|n| (n.to_string(), 1.0)).collect();
    push(&mut rows, wide).unwrap();
    assert_eq!((rows.len(), rows.columns().len()), (1, COLUMNS_MAX));
    assert_eq!(rows.columns_rejected(), 3);
}

#[test]
fn newer_rows_are_kept_when_older_ones_are_dropped() {
    let mut rows = Rows::new(&[], &[]);
    for n in 0..6_i64 {
        push(&mut rows, Row::from([("n", (n % 2 == 0).then_some(n))])).unwrap();
    }
    rows.forget(3);
    let column = &rows.columns()[0];
    assert_eq!((&column.values, &column.levels[..]), (&HeldValues::Int(vec![4]), &[0, 1, 0][..]));
}
