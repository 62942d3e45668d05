//! `qstore._native`: what the Python package calls.
//!
//! People use the package `qstore` beside it (`python/qstore`); this module is private, has no defaults of its
//! own, and turns Python values into rows and states, and errors into exceptions.
//!
//! Two rules hold in every file:
//!
//! * **No thread of this crate ever takes the GIL.** Background threads know nothing of Python: what they have to
//!   say is asked for by the next call. (`snapshot="staged"` uses a thread of Python's, which the end of the
//!   interpreter waits for.)
//! * **Every wait releases the GIL**, in slices after which signals are looked at, so that Ctrl-C arrives.

mod arena;
mod arrays;
mod buffer;
mod checkpoints;
mod errors;
mod logged;
mod logger;
#[expect(
    unsafe_code,
    reason = "the buffer protocol and the calling convention of Python hand out pointers"
)]
mod memory;
mod objects;
mod row_writer;
mod settings;
mod stats;
mod step;
mod ticket;
mod tree;
mod values;
mod waiting;

use pyo3::prelude::*;

/// The module itself.
#[pymodule(gil_used = false)]
mod _native {
    use super::{Bound, PyModule, PyResult};
    use pyo3::types::PyModuleMethods;

    #[pymodule_export]
    use crate::buffer::Buffer;
    #[pymodule_export]
    use crate::checkpoints::{Manager, load_zarr_group};
    #[pymodule_export]
    use crate::errors::{Error, ForkedError, OpenError, StoppedError, WriteError};
    #[pymodule_export]
    use crate::logged::Logged;
    #[pymodule_export]
    use crate::logger::Logger;
    #[pymodule_export]
    use crate::memory::Tensor;
    #[pymodule_export]
    use crate::objects::{copy_into, describe};
    #[pymodule_export]
    use crate::row_writer::RowWriter;
    #[pymodule_export]
    use crate::ticket::{Notifier, Ticket};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::memory::add::<crate::step::LogStep>(module.py())?;
        module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
        module.add("IS_DEBUG", cfg!(debug_assertions))?;
        Ok(())
    }
}
