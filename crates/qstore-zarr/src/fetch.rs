//! Chunks from the container into memory: read, checked and decompressed by several threads.
//!
//! Nothing is allocated for an array before all its chunks are known to be there with lengths that
//! can be true; see [`Root::array`](crate::root::Root::array).

use crate::aligned::Aligned;
use crate::codec::{ArrayForm, ChunkError};
use crate::manifest::Sealed;
use crate::root::Array;
use crate::{Damage, Error};
use qstore_schema::Tensor;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Reads these arrays, each into memory of its own.
pub(crate) fn read_tensors(
    sealed: &Sealed,
    arrays: Vec<Array>,
    workers: usize,
) -> Result<Vec<(String, Tensor)>, Error> {
    let memory = |array: &Array| {
        Aligned::try_zeroed(array.len).ok_or_else(|| {
            let reason = format!("there is no memory for its {} bytes", array.len);
            sealed.container.damaged(Damage::malformed(&array.path, reason))
        })
    };
    let mut memory = arrays.iter().map(memory).collect::<Result<Vec<_>, _>>()?;
    let mut tasks = Vec::new();
    for (array, memory) in arrays.iter().zip(&mut memory) {
        let mut rest = memory.bytes_mut();
        for (index, entry) in array.entries.iter().enumerate() {
            let (out, left) = rest.split_at_mut(array.form.grid.range(index).len());
            rest = left;
            tasks.push(Task { entry: *entry, form: &array.form, out });
        }
    }
    run(sealed, tasks, workers)?;
    let tensor = |(array, memory): (Array, Aligned)| {
        let ArrayForm { dtype, shape, .. } = array.form;
        let tensor = Tensor::new(dtype, shape, memory.into_bytes())
            .map_err(|error| sealed.container.damaged(Damage::malformed(&array.path, error)))?;
        Ok((array.path, tensor))
    };
    arrays.into_iter().zip(memory).map(tensor).collect()
}

/// Reads and checks every chunk of these arrays, keeps nothing.
pub(crate) fn check_chunks(sealed: &Sealed, arrays: &[Array], workers: usize) -> Result<(), Error> {
    let mut tasks = Vec::new();
    for array in arrays {
        for entry in &array.entries {
            tasks.push(Task { entry: *entry, form: &array.form, out: &mut [] });
        }
    }
    run(sealed, tasks, workers)
}

/// One chunk to be read, and where it belongs.
struct Task<'a> {
    entry: usize,
    form: &'a ArrayForm,
    out: &'a mut [u8],
}

/// Does the tasks on `workers` threads, of which this is one; the first error ends the work.
fn run(sealed: &Sealed, tasks: Vec<Task<'_>>, workers: usize) -> Result<(), Error> {
    let extra = workers.min(tasks.len()).saturating_sub(1);
    let tasks = Mutex::new(tasks.into_iter());
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let first_error = Mutex::new(None);
    let work = || {
        let mut buffer = Vec::new();
        while let Some(task) = next() {
            if let Err(error) = read_chunk(sealed, task, &mut buffer) {
                first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                while next().is_some() {}
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..extra {
            // Where no thread can be had, those that run do its share.
            let _ = thread::Builder::new().name("qstore-chunks".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let first_error = first_error.into_inner().unwrap_or_else(PoisonError::into_inner);
    first_error.map_or(Ok(()), Err)
}

fn read_chunk(sealed: &Sealed, task: Task<'_>, buffer: &mut Vec<u8>) -> Result<(), Error> {
    let Task { entry, form, out } = task;
    let stored = sealed.container.read(entry, buffer)?;
    let decoded = form.codec.decode(stored, sealed.crc32c(entry), form.grid.chunk_len(), out);
    decoded.map_err(|error| {
        let name = sealed.container.name(entry);
        sealed.container.damaged(match error {
            ChunkError::Checksum => Damage::Checksum { entry: name.into() },
            other => Damage::malformed(name, other),
        })
    })
}
