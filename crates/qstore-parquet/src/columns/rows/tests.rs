//! Rows that fit, rows that do not, and columns that change.

use super::*;
use crate::columns::column::HeldValues;
use proptest::collection::vec;
use proptest::prelude::*;
use qstore_schema::{Row, Timestamp, TimestampUnit, Value};

/// The largest integer up to which every one is a float, too.
const EXACT_MAX: i64 = 1 << 53;

fn none_stored() -> impl FnMut(usize) -> Result<i64, String> {
    |_| Ok(0)
}

fn push(rows: &mut Rows, row: impl std::borrow::Borrow<Row>) -> Result<Vec<Omission>, Rejection> {
    rows.push(row.borrow(), &mut none_stored())
}

/// Adds a row that must be kept with all its values.
fn keep(rows: &mut Rows, row: impl std::borrow::Borrow<Row>) {
    assert_eq!(push(rows, row), Ok(vec![]));
}

/// The columns by name, with one value per row.
fn shown(rows: &Rows) -> Vec<(String, Vec<Value>)> {
    let (columns, len) = (rows.copy(&(0..rows.len()), Vec::new()), rows.len());
    let shown = |column: Column| (column.field.name.to_string(), values(&column, len));
    columns.into_iter().map(shown).collect()
}

fn values(column: &Column, rows: usize) -> Vec<Value> {
    let time = |count: i64| match column.field.data_type {
        DataType::Timestamp { unit, is_utc: true } => Value::from(Timestamp::new(count, unit)),
        DataType::Timestamp { unit, .. } => Value::from(Timestamp::new(count, unit).local()),
        _ => Value::Int(count),
    };
    let mut values: Vec<Value> = match &column.values {
        HeldValues::Bool(list) => list.iter().map(|v| Value::Bool(*v)).collect(),
        HeldValues::Int(list) => list.iter().map(|v| time(*v)).collect(),
        HeldValues::Float(list) => list.iter().map(|v| Value::Float(*v)).collect(),
        HeldValues::Text(list) => list.iter().map(|v| Value::Text(v.clone())).collect(),
        HeldValues::List(list) => list.iter().map(|v| Value::from(&**v)).collect(),
    };
    if column.field.nullable {
        for (row, level) in column.present.levels(rows).iter().enumerate() {
            if *level == 0 {
                values.insert(row, Value::Null);
            }
        }
    }
    values
}

#[test]
fn a_missing_value_is_null_and_a_new_name_is_a_new_column() {
    let mut rows = Rows::new(&[], &[]);
    keep(&mut rows, Row::from([("a", 1.0)]));
    keep(&mut rows, Row::from([("b", "x")]));
    assert_eq!(
        rows.fields(),
        [Field::nullable("a", DataType::Float64), Field::nullable("b", DataType::Utf8),]
    );
    let copy = rows.copy(&(0..2), Vec::new());
    let [a, b] = &copy[..] else { panic!("two columns") };
    assert_eq!((a.present.levels(2), b.present.levels(2)), (vec![1, 0], vec![0, 1]));
    assert_eq!(b.values_of(&(1..2)), 0..1);
}

#[test]
fn an_empty_row_needs_a_column_to_be_null_in() {
    let mut rows = Rows::new(&[], &[]);
    assert_eq!(push(&mut rows, Row::new()), Err(Rejection::Empty));
    keep(&mut rows, Row::from([("a", 1.0)]));
    keep(&mut rows, Row::new());
    assert_eq!(shown(&rows), [("a".into(), vec![Value::Float(1.0), Value::Null])]);
}

/// Regression: the first value decided the type of a metric, and every later row with a value of another
/// kind was rejected with everything else in it.
#[test]
fn a_value_of_another_kind_goes_into_a_sibling_column_whichever_kind_came_first() {
    let all = [
        Value::Float(0.5),
        Value::Text("warmup".into()),
        Value::Bool(true),
        Value::from([0.5, f64::INFINITY]),
        Value::from(Timestamp::micros(7)),
    ];
    let name = |value: &Value| match value {
        Value::Float(_) => "number",
        Value::Text(_) => "text",
        Value::List(_) => "list",
        Value::Timestamp(_) => "time",
        _ => "flag",
    };
    for first in 0..all.len() {
        let order: Vec<_> = (0..all.len()).map(|n| &all[(first + n) % all.len()]).collect();
        let mut rows = Rows::new(&[], &[]);
        for value in order.iter().chain(&order) {
            keep(&mut rows, Row::from([("lr", (*value).clone())]));
        }
        for (n, (column, values)) in shown(&rows).iter().enumerate() {
            let expected = if n == 0 { "lr".into() } else { format!("lr__{}", name(order[n])) };
            assert_eq!(*column, expected);
            for (row, value) in values.iter().enumerate() {
                let is_its_own = row % all.len() == n;
                assert_eq!(*value, if is_its_own { order[n].clone() } else { Value::Null });
            }
        }
        assert_eq!(rows.columns().len(), all.len());
    }
}

/// A time is kept in the unit of its column if nothing of it is lost, else in a column of its own; a local
/// time is never taken for one in UTC. A number is a count of the unit, as it is in files of others.
#[test]
fn a_time_that_its_column_cannot_hold_exactly_goes_into_a_sibling_column() {
    let (milli, micro) = (Timestamp::millis(5), Timestamp::micros(5_001));
    let (same, local) = (Timestamp::nanos(5_000_000), Timestamp::millis(5).local());
    let mut rows = Rows::new(&[], &[]);
    for value in [milli, same, micro, local].map(Value::from).into_iter().chain([Value::Int(6)]) {
        keep(&mut rows, Row::from([("at", value)]));
    }
    let values = |row: usize, time: Timestamp| {
        (0..5).map(|n| if n == row { time.into() } else { Value::Null }).collect::<Vec<_>>()
    };
    let mut own = values(0, milli);
    (own[1], own[4]) = (milli.into(), Timestamp::millis(6).into());
    let expected = [
        ("at".into(), own),
        ("at__time".into(), values(2, micro)),
        ("at__time__time".into(), values(3, local)),
    ];
    assert_eq!(shown(&rows), expected);
    // A float is not a count, and the column of times does not become one of floats.
    keep(&mut rows, Row::from([("at", 0.5)]));
    assert_eq!(rows.fields()[3].name, "at__number");
    let times = rows.fields()[0].data_type;
    assert_eq!(times, DataType::Timestamp { unit: TimestampUnit::Millis, is_utc: true });
}

#[test]
fn a_number_that_its_column_cannot_hold_exactly_goes_into_a_sibling_column() {
    let large = EXACT_MAX + 1;
    let (int, float) = (Value::Int, Value::Float);
    for (written, column, sibling) in [
        // A large integer came first.
        ([int(large), float(0.5), int(7)], [int(large), Value::Null, int(7)], float(0.5)),
        // A float came first.
        ([float(0.5), int(large), int(7)], [float(0.5), Value::Null, float(7.0)], int(large)),
    ] {
        let mut rows = Rows::new(&[], &[]);
        for value in written {
            keep(&mut rows, Row::from([("seed", value)]));
        }
        let siblings = vec![Value::Null, sibling, Value::Null];
        let position = siblings.iter().position(|value| *value != Value::Null);
        assert_eq!(position, Some(1));
        assert_eq!(
            shown(&rows),
            [
                ("seed".into(), column.to_vec()),
                // The last row is in the first column.
                ("seed__number".into(), siblings),
            ]
        );
    }
}

#[test]
fn an_undeclared_integer_column_becomes_one_of_floats_unless_a_value_would_change() {
    let mut rows = Rows::new(&[], &[]);
    keep(&mut rows, Row::from([("loss", 0_i64)]));
    keep(&mut rows, Row::from([("loss", 0.5)]));
    keep(&mut rows, Row::from([("loss", 3_i64)]));
    assert_eq!(rows.columns()[0].values, HeldValues::Float(vec![0.0, 0.5, 3.0]));
    assert_eq!(rows.columns()[0].field.data_type, DataType::Float64);

    // A stored integer would change, or it cannot be read at the moment.
    for stored in [Ok(-EXACT_MAX - 1), Err("the disk is gone".to_owned())] {
        let mut rows = Rows::new(&[], &[]);
        keep(&mut rows, Row::from([("id", 1_i64)]));
        let row = Row::from([("id", 0.5)]);
        assert_eq!(rows.push(&row, &mut |_| stored.clone()), Ok(vec![]));
        assert_eq!(rows.columns()[0].values, HeldValues::Int(vec![1]));
        assert_eq!(rows.columns()[1].values, HeldValues::Float(vec![0.5]));
    }
}

/// A row type with one declared column.
struct Step(Vec<(&'static str, Value)>);

impl Record for Step {
    const DECLARED: &'static [Field] = &[Field::required("step", DataType::Int64)];

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        for (name, value) in &self.0 {
            match *name {
                "step" => visitor.declared(0, &Self::DECLARED[0], value.as_ref()),
                name => visitor.extra(&name.trim_start_matches('!').into(), value.as_ref()),
            }
        }
    }
}

/// Only a declared column rejects a row, and a rejected row leaves no trace: no value, no column, no
/// widening.
#[test]
fn a_row_is_rejected_for_a_declared_column_only_and_leaves_no_trace() {
    let mut rows = Rows::new(Step::DECLARED, Step::DECLARED);
    let push = |rows: &mut Rows, row| rows.push(&Step(row), &mut none_stored());
    let (one, name) = (Value::Int(1), SmolStr::from("step"));
    push(&mut rows, vec![("step", one.clone()), ("n", one.clone())]).unwrap();
    let before = shown(&rows);

    let traces = [("n", Value::Float(0.5)), ("new", one.clone()), ("n", "x".into())];
    let clash = |found| Rejection::Clash { name: name.clone(), expected: DataType::Int64, found };
    for (bad, expected) in [
        (vec![], Rejection::Missing { name: name.clone() }),
        (vec![("step", Value::Null)], Rejection::Missing { name: name.clone() }),
        (vec![("step", Value::Float(0.5))], clash("a float")),
        (vec![("step", Value::Text("1".into()))], clash("a text")),
        (
            vec![("step", one.clone()), ("!step", one.clone())],
            Rejection::Twice { name: name.clone() },
        ),
        (vec![("!step", true.into()), ("step", one.clone())], clash("a boolean")),
    ] {
        for row in [[&traces[..], &bad].concat(), [&bad[..], &traces].concat()] {
            assert_eq!(push(&mut rows, row), Err(expected.clone()));
            assert_eq!(shown(&rows), before);
        }
    }
    let fields = rows.fields();
    assert_eq!(fields[1].data_type, DataType::Int64, "not widened");
    // The next row may use the names again, with other types.
    push(&mut rows, vec![("step", one.clone()), ("new", true.into()), ("n__text", one)]).unwrap();
    assert_eq!(rows.columns().len(), 4);
}

#[test]
fn a_value_that_cannot_be_stored_is_omitted_and_reported_and_its_row_is_kept() {
    let omitted = |column: &str, why| Ok(vec![Omission { column: column.into(), why }]);
    let mut rows = Rows::new(&[], &[]);
    let unnamed = Row::from([("a", 1.0), ("", 2.0)]);
    assert_eq!(push(&mut rows, unnamed), omitted("", Why::Unnamed));

    let twice = Step(vec![("step", 1.into()), ("a", 1.0.into()), ("a", 2.0.into())]);
    let mut rows = Rows::new(Step::DECLARED, Step::DECLARED);
    assert_eq!(rows.push(&twice, &mut none_stored()), omitted("a", Why::Twice));
    assert_eq!(rows.columns()[1].values, HeldValues::Float(vec![1.0]), "the first one is kept");

    // A metric that has the name of the sibling already.
    let mut rows = Rows::new(&[], &[]);
    keep(&mut rows, Row::from([("lr", 0.1), ("lr__text", 2.0)]));
    keep(&mut rows, Row::from([("lr", "warmup")]));
    assert_eq!(rows.fields()[2].name, "lr__text__text");
    // A declared column takes the values of its own field only.
    let clash = Why::NoColumnFits("a text");
    let declared = [Field::nullable("lr__text", DataType::Utf8)];
    let mut rows = Rows::new(&declared, &declared);
    keep(&mut rows, Row::from([("lr", 0.1)]));
    assert_eq!(push(&mut rows, Row::from([("lr", "warmup")])), omitted("lr", clash));
}

#[test]
fn values_beyond_the_last_column_are_omitted() {
    let mut rows = Rows::new(&[], &[]);
    let wide: Row = (0..COLUMNS_MAX + 3).map(|n| (n.to_string(), 1.0)).collect();
    let omitted = push(&mut rows, wide).unwrap();
    assert_eq!((rows.len(), rows.columns().len(), omitted.len()), (1, COLUMNS_MAX, 3));
    let no_sibling = push(&mut rows, Row::from([("0", "text")])).unwrap();
    assert_eq!(no_sibling, [Omission { column: "0".into(), why: Why::TooManyColumns }]);
}

#[test]
fn newer_rows_are_kept_when_older_ones_are_dropped() {
    let mut rows = Rows::new(&[], &[]);
    for n in 0..6_i64 {
        keep(&mut rows, Row::from([("n", (n % 2 == 0).then_some(n))]));
    }
    rows.forget(3);
    let column = &rows.copy(&(0..3), Vec::new())[0];
    assert_eq!(column.values, HeldValues::Int(vec![4]));
    assert_eq!(column.present.levels(3), [0, 1, 0]);
    rows.forget(3);
    keep(&mut rows, Row::from([("n", 7_i64)]));
    assert_eq!(shown(&rows), [("n".into(), vec![Value::Int(7)])]);
}

/// Whatever order names come in, a value is in the column of its name.
#[test]
fn names_in_another_order_or_for_the_first_time_find_their_columns() {
    let mut rows = Rows::new(Step::DECLARED, Step::DECLARED);
    let orders: [&[&'static str]; 6] = [
        &["a", "b", "c"],
        &["a", "b", "c"],
        &["c", "a", "b"],
        &["b", "d"],
        &["d", "a", "b", "c", "e"],
        &["a", "b", "c", "d", "e"],
    ];
    for (row, names) in orders.iter().enumerate() {
        let values = names.iter().map(|name| (*name, Value::from((*name).to_owned() + "!")));
        let step = [("step", Value::Int(row as i64))].into_iter();
        assert_eq!(rows.push(&Step(step.chain(values).collect()), &mut none_stored()), Ok(vec![]));
    }
    for (name, values) in &shown(&rows)[1..] {
        for (value, names) in values.iter().zip(orders) {
            let is_set = names.contains(&name.as_str());
            assert_eq!(*value, if is_set { (name.clone() + "!").into() } else { Value::Null });
        }
    }
    assert_eq!(rows.columns().len(), 6);
}

#[test]
fn the_edition_is_another_whenever_the_columns_are() {
    let mut rows = Rows::new(&[], &[]);
    let mut seen = vec![(rows.edition(), rows.fields())];
    for row in [
        Row::from([("n", 1_i64)]),
        Row::from([("n", 2_i64)]),
        Row::from([("n", 0.5)]),
        Row::from([("n", 0.25)]),
        Row::from([("n", "x")]),
        Row::from([("m", 1_i64)]),
    ] {
        keep(&mut rows, row);
        seen.push((rows.edition(), rows.fields()));
    }
    for (edition, fields) in &seen {
        assert!(seen.iter().all(|(other, others)| (edition == other) == (fields == others)));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![-3..3_i64, EXACT_MAX - 1..EXACT_MAX + 2, any::<i64>()].prop_map(Value::Int),
        prop_oneof![-2.0..2.0_f64, Just(f64::INFINITY)].prop_map(Value::Float),
        "[ab]{0,2}".prop_map(|text| Value::Text(text.into())),
        vec(-2.0..2.0_f64, 0..4).prop_map(Value::from),
    ]
}

/// The same value, whether a number is stored as an integer or as a float.
fn is_same(stored: &Value, logged: &Value) -> bool {
    match (stored, logged) {
        (Value::Float(stored), Value::Int(logged)) => {
            *stored as i64 == *logged && (*logged as f64) as i64 == *logged
        }
        _ => stored == logged,
    }
}

proptest! {
    /// Whatever an undeclared metric is set to, row after row: each value is in the column of that name or
    /// in one of its siblings, and everything else of that row is null there.
    #[test]
    fn no_value_of_an_undeclared_metric_is_lost(
        logged in vec(vec(any_value(), 2), 1..12),
        forgotten in 0..6_usize,
    ) {
        let mut rows = Rows::new(&[], &[]);
        keep(&mut rows, Row::from([("first", 0_i64)]));
        for values in &logged {
            let names = ["x", "y"].into_iter();
            keep(&mut rows, names.zip(values.clone()).collect::<Row>());
        }
        let forgotten = forgotten.min(rows.len());
        rows.forget(forgotten);
        let shown = shown(&rows);
        for (row, values) in logged.iter().enumerate().skip(forgotten.saturating_sub(1)) {
            let Some(row) = (row + 1).checked_sub(forgotten) else { continue };
            for (name, value) in ["x", "y"].iter().zip(values) {
                let found: Vec<_> = shown
                    .iter()
                    .filter(|(column, _)| column.split("__").next() == Some(name))
                    .map(|(_, values)| &values[row])
                    .filter(|value| **value != Value::Null)
                    .collect();
                match (&found[..], value) {
                    ([], Value::Null) => {}
                    ([found], value) => prop_assert!(is_same(found, value), "{found:?} {value:?}"),
                    _ => prop_assert!(false, "{value:?} became {found:?}"),
                }
            }
        }
    }
}
