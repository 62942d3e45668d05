//! Rows from the chunks of `arrow2`: the feature `arrow2`.
//!
//! A chunk is columnar, while a metrics file is appended to row by row, as is the ring in front of it.
//! So a chunk becomes dynamic rows here and is handled like all others: it can be pushed into a buffer,
//! counted, and rejected with a reason. For data that is complete and columnar already, a Parquet
//! writer is the better tool.
//!
//! Rows are made one at a time, and nothing of a chunk is copied except its texts and lists.

use ::arrow2::array::{
    Array, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, Utf8Array,
};
use ::arrow2::chunk::Chunk;
use ::arrow2::datatypes::{DataType, Field, TimeUnit};
use ::arrow2::offset::Offset;
use ::arrow2::types::NativeType;
use qstore_schema::{Row, SmolStr, Timestamp, TimestampUnit, Value};

/// A chunk that cannot become rows. No row was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` of the chunk cannot be taken: {reason}")]
#[non_exhaustive]
pub struct ChunkError {
    /// Which column.
    pub column: String,
    /// Why not, and what to do.
    pub reason: String,
}

/// Finds the value of a column in a row.
type Getter<'a> = Box<dyn Fn(usize) -> Value + 'a>;

/// The rows of an arrow2 chunk, whose columns `fields` describes in order.
///
/// Booleans, integers, floats, texts, timestamps and lists of floats become what a metrics file holds:
/// integers and floats of every width become 64-bit ones, exactly. A null leaves its name out of the row, which reads as null again.
///
/// ```
/// use arrow2::array::{Array, Float32Array, Int64Array};
/// use arrow2::chunk::Chunk;
/// use arrow2::datatypes::{DataType, Field};
/// use qstore_parquet::{MetricsLog, WriterSettings, arrow2_rows};
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// let fields =
///     [Field::new("step", DataType::Int64, false), Field::new("loss", DataType::Float32, true)];
/// let columns: Vec<Box<dyn Array>> = vec![
///     Int64Array::from_slice([1, 2]).boxed(),
///     Float32Array::from([Some(0.5), None]).boxed(),
/// ];
/// let chunk = Chunk::new(columns);
/// let mut log = MetricsLog::open(dir.path().join("metrics.parquet"), WriterSettings::default())?;
/// for row in arrow2_rows(&fields, &chunk)? {
///     log.append(&row, Instant::now());
/// }
/// log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ChunkError`] when a column has a type that a metrics file does not have, when an unsigned integer
/// is too large for a signed one, when an element of a list is null, and when names and columns do not
/// match. No row is made then.
pub fn arrow2_rows<'a>(
    fields: &[Field],
    chunk: &'a Chunk<Box<dyn Array>>,
) -> Result<impl ExactSizeIterator<Item = Row> + use<'a>, ChunkError> {
    let refuse = |column: &str, reason| Err(ChunkError { column: column.into(), reason });
    let arrays = chunk.arrays();
    if fields.len() != arrays.len() {
        let reason = format!("there are {} names for {} columns", fields.len(), arrays.len());
        return refuse(fields.get(arrays.len()).map_or("", |field| &field.name), reason);
    }
    let mut columns: Vec<(SmolStr, Getter<'a>)> = Vec::with_capacity(arrays.len());
    for (Field { name, .. }, array) in fields.iter().zip(arrays) {
        if name.is_empty() || columns.iter().any(|(known, _)| known == name) {
            return refuse(name, "every column needs a unique name".into());
        }
        match getter(&**array) {
            Ok(getter) => columns.push((name.into(), getter)),
            Err(reason) => return refuse(name, reason),
        }
    }
    let row = move |index| {
        let values = columns.iter().map(|(name, getter)| (name.clone(), getter(index)));
        values.filter(|(_, value)| *value != Value::Null).collect()
    };
    Ok((0..chunk.len()).map(row))
}

fn getter(array: &dyn Array) -> Result<Getter<'_>, String> {
    match array.data_type() {
        DataType::Boolean => {
            let array = known::<BooleanArray>(array);
            Ok(Box::new(move |row| array.get(row).into()))
        }
        DataType::Int8 => Ok(numbers::<i8>(array, |number| Value::Int(number.into()))),
        DataType::Int16 => Ok(numbers::<i16>(array, |number| Value::Int(number.into()))),
        DataType::Int32 => Ok(numbers::<i32>(array, Value::from)),
        DataType::Int64 => Ok(numbers::<i64>(array, Value::from)),
        DataType::UInt8 => Ok(numbers::<u8>(array, |number| Value::Int(number.into()))),
        DataType::UInt16 => Ok(numbers::<u16>(array, |number| Value::Int(number.into()))),
        DataType::UInt32 => Ok(numbers::<u32>(array, Value::from)),
        DataType::UInt64 => {
            let all = known::<PrimitiveArray<u64>>(array).iter().flatten();
            if let Some(large) = all.copied().find(|number| i64::try_from(*number).is_err()) {
                return Err(format!("{large} is too large for a signed 64-bit integer"));
            }
            // Just checked: none of them changes its value.
            Ok(numbers::<u64>(array, |number| Value::Int(number as i64)))
        }
        DataType::Float32 => Ok(numbers::<f32>(array, Value::from)),
        DataType::Float64 => Ok(numbers::<f64>(array, Value::from)),
        DataType::Utf8 => Ok(texts::<i32>(array)),
        DataType::LargeUtf8 => Ok(texts::<i64>(array)),
        DataType::Timestamp(unit, zone) => times(array, *unit, zone.is_some()),
        DataType::List(_) => lists::<ListArray<i32>>(array, |list, row| list.value(row)),
        DataType::LargeList(_) => lists::<ListArray<i64>>(array, |list, row| list.value(row)),
        DataType::FixedSizeList(..) => {
            lists::<FixedSizeListArray>(array, |list, row| list.value(row))
        }
        other => Err(format!(
            "its type is {other:?}; cast it to a boolean, an integer, a float, a text, a timestamp or \
             a list of floats first"
        )),
    }
}

fn numbers<T: NativeType>(array: &dyn Array, value: fn(T) -> Value) -> Getter<'_> {
    let array = known::<PrimitiveArray<T>>(array);
    Box::new(move |row| array.get(row).map_or(Value::Null, value))
}

fn texts<O: Offset>(array: &dyn Array) -> Getter<'_> {
    let array = known::<Utf8Array<O>>(array);
    Box::new(move |row| array.get(row).into())
}

fn times(array: &dyn Array, unit: TimeUnit, is_utc: bool) -> Result<Getter<'_>, String> {
    // A metrics file has no seconds.
    let (unit, factor) = match unit {
        TimeUnit::Second => (TimestampUnit::Millis, 1_000),
        TimeUnit::Millisecond => (TimestampUnit::Millis, 1),
        TimeUnit::Microsecond => (TimestampUnit::Micros, 1),
        TimeUnit::Nanosecond => (TimestampUnit::Nanos, 1),
    };
    let array = known::<PrimitiveArray<i64>>(array);
    if let Some(large) = array.iter().flatten().find(|count| count.checked_mul(factor).is_none()) {
        return Err(format!("{large} seconds are too many for a count of milliseconds"));
    }
    Ok(Box::new(move |row| {
        let time = array.get(row).map(|count| Timestamp::new(count * factor, unit));
        time.map(|time| if is_utc { time } else { time.local() }).into()
    }))
}

/// Lists of floats, none of which is null.
fn lists<A: Array>(
    array: &dyn Array,
    list: fn(&A, usize) -> Box<dyn Array>,
) -> Result<Getter<'_>, String> {
    let array = known::<A>(array);
    for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
        elements(&*list(array, row))?;
    }
    // Just checked: each has elements of such a type.
    let value = move |row| elements(&*list(array, row)).map_or(Value::Null, Value::from);
    Ok(Box::new(move |row| if array.is_valid(row) { value(row) } else { Value::Null }))
}

fn elements(list: &dyn Array) -> Result<Vec<f64>, String> {
    if list.null_count() > 0 {
        return Err("an element of a list is null; replace it by NaN first".into());
    }
    match list.data_type() {
        DataType::Float64 => {
            Ok(known::<PrimitiveArray<f64>>(list).values_iter().copied().collect())
        }
        DataType::Float32 => {
            Ok(known::<PrimitiveArray<f32>>(list).values_iter().map(|v| f64::from(*v)).collect())
        }
        other => Err(format!("it has lists of {other:?}; cast their elements to floats first")),
    }
}

fn known<A: 'static>(array: &dyn Array) -> &A {
    array.as_any().downcast_ref().expect("an array has the type that its data type names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::arrow2::array::{
        Float16Array, Float32Array, Int8Array, Int64Array, MutableListArray, MutablePrimitiveArray,
        TryExtend, UInt64Array,
    };

    fn rows(fields: &[(&str, DataType)], arrays: Vec<Box<dyn Array>>) -> Result<Vec<Row>, String> {
        let field =
            |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
        let fields: Vec<_> = fields.iter().map(field).collect();
        let chunk = Chunk::new(arrays);
        let rows = arrow2_rows(&fields, &chunk).map(Iterator::collect);
        rows.map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_of_a_file_is_accepted_and_a_null_is_left_out() {
        let columns: Vec<Box<dyn Array>> = vec![
            BooleanArray::from([Some(true), None]).boxed(),
            Int8Array::from([None, Some(-8)]).boxed(),
            UInt64Array::from([Some(i64::MAX as u64), Some(0)]).boxed(),
            Float32Array::from([Some(0.1), None]).boxed(),
            Utf8Array::<i64>::from([Some("a text"), Some("")]).boxed(),
        ];
        let fields = [
            ("flag", DataType::Boolean),
            ("small", DataType::Int8),
            ("large", DataType::UInt64),
            ("loss", DataType::Float32),
            ("text", DataType::LargeUtf8),
        ];
        let mut first = Row::from([("flag", Value::Bool(true)), ("large", i64::MAX.into())]);
        first.set("loss", f64::from(0.1_f32)).set("text", "a text");
        let second =
            Row::from([("small", Value::from(-8)), ("large", 0.into()), ("text", "".into())]);
        assert_eq!(rows(&fields, columns), Ok(vec![first, second]));
    }

    /// One list column, as arrow2 makes it.
    fn list<T: NativeType>(rows: Vec<Option<Vec<Option<T>>>>) -> Box<dyn Array> {
        let mut array = MutableListArray::<i32, MutablePrimitiveArray<T>>::new();
        array.try_extend(rows).unwrap();
        let array: ListArray<i32> = array.into();
        array.boxed()
    }

    #[test]
    fn lists_and_times_become_rows() {
        let columns: Vec<Box<dyn Array>> = vec![
            list(vec![Some(vec![Some(0.1_f32)]), None, Some(vec![])]),
            list(vec![Some(vec![Some(0.5), Some(f64::INFINITY)]), Some(vec![]), None]),
            Int64Array::from([Some(-3), None, Some(5)])
                .to(DataType::Timestamp(TimeUnit::Second, Some("UTC".into())))
                .boxed(),
            Int64Array::from([None, Some(7), None])
                .to(DataType::Timestamp(TimeUnit::Nanosecond, None))
                .boxed(),
        ];
        let floats = |name, data_type| {
            let element = Field::new("item", data_type, true);
            (name, DataType::List(Box::new(element)))
        };
        let fields = [
            floats("narrow", DataType::Float32),
            floats("list", DataType::Float64),
            ("at", DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))),
            ("local", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ];
        let first = Row::from([
            ("narrow", Value::from([f64::from(0.1_f32)])),
            ("list", [0.5, f64::INFINITY].into()),
            ("at", Timestamp::millis(-3_000).into()),
        ]);
        let empty = || Value::from(Vec::<f64>::new());
        let second = Row::from([("list", empty()), ("local", Timestamp::nanos(7).local().into())]);
        let third = Row::from([("narrow", empty()), ("at", Timestamp::millis(5_000).into())]);
        assert_eq!(rows(&fields, columns), Ok(vec![first, second, third]));
    }

    #[test]
    fn a_column_that_cannot_become_rows_is_reported_by_name() {
        let large = || UInt64Array::from_slice([1 << 63]).boxed();
        let half = Float16Array::from_slice([]).boxed();
        let one = |name, data_type, array| rows(&[(name, data_type)], vec![array]).unwrap_err();
        for (error, words) in [
            (one("seed", DataType::UInt64, large()), "9223372036854775808 is too large"),
            (one("loss", DataType::Float16, half), "`loss`"),
            (one("", DataType::UInt64, large()), "a unique name"),
            (
                one("list", DataType::Null, list(vec![Some(vec![Some(0.5), None])])),
                "an element of a list is null",
            ),
            (one("list", DataType::Null, list(vec![Some(vec![Some(1_i64)])])), "lists of Int64"),
            (
                one(
                    "at",
                    DataType::Null,
                    Int64Array::from_slice([i64::MAX / 999])
                        .to(DataType::Timestamp(TimeUnit::Second, None))
                        .boxed(),
                ),
                "seconds are too many",
            ),
            (rows(&[], vec![large()]).unwrap_err(), "0 names for 1 columns"),
        ] {
            assert!(error.contains(words), "{error}");
        }
    }
}
