//! Checkpoints of candle: the weights of a `VarMap`, and an `AdamW` whose state is saved with them.
//!
//! candle writes weights as safetensors, and its `AdamW` keeps its moments to itself: a training that is resumed from weights
//! alone is another training. Here both become states that `qstore-zarr` saves as one checkpoint, and a run that is killed
//! goes on bit for bit.
//!
//! | to | use |
//! |---|---|
//! | save weights | [`state_of`] a `VarMap` |
//! | load weights into the variables of a model | [`load_into`] |
//! | optimize, save and resume | [`AdamW`], the same arithmetic as candle's |
//! | come from or go to safetensors | `import_safetensors_flat` and `export_safetensors` of `qstore-zarr`, which make and take the same states |
//!
//! What it is **not**: a training loop, or a logger. `Run` of `qstore-run` logs, saves and resumes; the example `moons` shows it.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{ParamsAdamW, VarBuilder, VarMap};
//! use qstore_candle::{AdamW, load_into, state_of};
//!
//! let vars = VarMap::new();
//! let build = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
//! let weights = build.get_with_hints(3, "weights", candle_nn::Init::Const(1.0))?;
//! let mut optimizer = AdamW::of(&vars, ParamsAdamW::default())?;
//! optimizer.backward_step(&weights.sqr()?.sum_all()?)?;
//!
//! let (model, moments) = (state_of(&vars)?, optimizer.state()?); // into a `Snapshot`
//! load_into(&vars, &model)?;
//! optimizer.load_state(&moments)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod adamw;
mod error;
mod tensors;
mod vars;

pub use adamw::AdamW;
pub use error::CandleError;
pub use tensors::{from_candle, to_candle};
pub use vars::{load_into, state_of};
