//! The vocabulary shared by all Q-Store crates: what a column, a row of metrics, a tensor and the state of a
//! model are.
//!
//! What it is **not**: it does no I/O, starts no thread, reads no clock, and knows neither Parquet nor Zarr.
//! Depend on it alone to write a sink, a store or a framework adapter of your own.
//!
//! | to describe | use |
//! |---|---|
//! | one step of training, 18 fixed columns | [`TrainingMetrics`] |
//! | one step of quantum training, 29 fixed columns | [`QuantumMetrics`] |
//! | a row whose columns are known only at run time | [`Row`] |
//! | a row type of your own | [`record!`], or the [`Record`] trait by hand |
//! | one array of numbers | [`Tensor`] |
//! | a point in time, a date | [`Timestamp`], [`date_of_day`] |
//! | a model or an optimizer | [`StateDict`] |
//!
//! ```
//! use qstore_schema::{Row, StateDict, Tensor, TrainingMetrics};
//!
//! let step =
//!     TrainingMetrics { epoch: 0, step: 17, train_loss: Some(0.42), ..TrainingMetrics::default() };
//! assert_eq!(step.grad_norm, None); // not measured: null in the file
//!
//! let row = Row::from([("accuracy", 0.93), ("temperature_k", 0.015)]);
//! assert_eq!(row.len(), 2);
//!
//! let mut model = StateDict::new();
//! model.insert("weights", Tensor::from_vec(vec![1.0_f32, 2.0, 3.0, 4.0], [2, 2])?);
//! assert_eq!(model.tensor("weights").unwrap().shape(), [2, 2]);
//! # Ok::<(), qstore_schema::TensorError>(())
//! ```
//!
//! # What happens in every case
//! * **A value that does not fit its column** is an error of the call that sets it, and nothing changes.
//!   Nothing is rounded: an integer is accepted for a float column, and a float for an integer column, only
//!   if the conversion is exact.
//! * **A tensor** is made from bytes or a vector without copying, or refused if shape and bytes disagree.
//!   Reading it as another element type is an error, never a reinterpretation.
//! * **A name known only at run time** is stored once for the life of the process; see [`Name::new`].
//!
//! # Features
//! `half` — `half::f16` and `half::bf16` as tensor elements. Off by default.
//!
//! `ndarray` — tensors from arrays of `ndarray` 0.17 with any strides, and arrays from tensors; complex numbers as
//! elements. Off by default.
//!
//! ```
//! # #[cfg(feature = "ndarray")] {
//! use ndarray::{ArrayD, ArrayViewD, array};
//! use qstore_schema::Tensor;
//!
//! let weights = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
//! let transposed = Tensor::from(&weights.t()); // copied in C order
//! assert_eq!(transposed.as_slice::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
//!
//! let tensor = Tensor::from(weights); // takes the vector, copies nothing
//! let view = ArrayViewD::<f32>::try_from(&tensor).unwrap(); // borrows, copies nothing
//! assert_eq!(view[[1, 2]], 6.0);
//! let copy = ArrayD::<f32>::try_from(&tensor).unwrap().into_dimensionality::<ndarray::Ix2>().unwrap();
//! assert_eq!(copy.row(0).sum(), 6.0);
//! # }
//! ```

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("Q-Store keeps tensor bytes in native order and its formats are little-endian");

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod big_int;
mod calendar;
mod column_error;
mod data_type;
mod dtype;
mod field;
mod logged;
mod metrics;
mod name;
#[cfg(feature = "ndarray")]
mod ndarray;
mod record;
mod row;
mod state;
mod tensor;
mod tensor_error;
mod timestamp;
mod value;

pub use big_int::{BigInt, NotABigInt};
pub use calendar::{date_of_day, day_of_date};
pub use column_error::ColumnError;
pub use data_type::DataType;
pub use dtype::{Dtype, Element, UnknownDtype};
pub use field::{Field, Schema};
pub use logged::Logged;
pub use metrics::{QuantumMetrics, TrainingMetrics};
pub use name::Name;
pub use record::{Cell, FieldVisitor, Record};
pub use row::Row;
pub use smol_str::SmolStr;
pub use state::{Key, State, StateDict};
pub use tensor::Tensor;
pub use tensor_error::TensorError;
pub use timestamp::{Timestamp, TimestampUnit};
pub use value::{Value, ValueRef};
