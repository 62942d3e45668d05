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

mod addresses;
mod arena;
mod arrays;
mod buffer;
mod checkpoints;
mod command;
mod errors;
mod ledger;
mod logged;
mod logger;
mod logging;
mod manager;
#[expect(
    unsafe_code,
    reason = "the buffer protocol and the calling convention of Python hand out pointers"
)]
mod memory;
mod objects;
mod row_writer;
mod run;
mod run_reader;
mod run_settings;
mod saver;
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
    use crate::checkpoints::{Checkpoints, load_zarr_group};
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::errors::{Error, ForkedError, OpenError, StoppedError, WriteError};
    #[pymodule_export]
    use crate::ledger::{Batch, Intent, Ledger, job_state, read_jobs};
    #[pymodule_export]
    use crate::logged::Logged;
    #[pymodule_export]
    use crate::logger::Logger;
    #[pymodule_export]
    use crate::manager::Manager;
    #[pymodule_export]
    use crate::memory::Tensor;
    #[pymodule_export]
    use crate::objects::{copy_into, describe};
    #[pymodule_export]
    use crate::row_writer::RowWriter;
    #[pymodule_export]
    use crate::run::Run;
    #[pymodule_export]
    use crate::run_reader::{RunReader, edit_run, find_runs, latest_run};
    #[pymodule_export]
    use crate::saver::Draft;
    #[pymodule_export]
    use crate::ticket::{Notifier, Ticket};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::memory::add::<crate::step::LogStep<Logger>>(module.py())?;
        crate::memory::add::<crate::step::LogStep<Run>>(module.py())?;
        module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
        module.add("IS_DEBUG", cfg!(debug_assertions))?;
        Ok(())
    }
}
