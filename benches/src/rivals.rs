//! What people use instead, each without the set that measures it, so that several sets can.

pub(crate) mod python_peer;
pub(crate) mod queue;
pub(crate) mod raw_parquet;
pub(crate) mod safetensors;
pub(crate) mod step_loggers;
#[cfg(feature = "peers")]
pub(crate) mod stock_zarrs;
