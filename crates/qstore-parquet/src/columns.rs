//! Rows as columns in memory: those that wait to be written, and those that were read.
//!
//! The lowest room of the crate: it knows neither files nor Parquet.

/// Does the same with the list of values, whatever their type is.
macro_rules! each {
    ($enum:ident, $values:expr, $list:ident => $do:expr) => {
        match $values {
            $enum::Bool($list) => $do,
            $enum::Int($list) => $do,
            $enum::Float($list) => $do,
            $enum::Text($list) => $do,
            $enum::List($list) => $do,
        }
    };
}

pub(crate) mod buffers;
pub(crate) mod column;
pub(crate) mod dataset_names;
pub(crate) mod fit;
pub(crate) mod numbers;
pub(crate) mod present;
pub(crate) mod rows;
pub(crate) mod table;
pub(crate) mod time_type;
