//! Reads, checks and decompresses chunks on several threads.
//!
//! Nothing is allocated for an array before all its chunks are known to exist with plausible lengths; see
//! [`Root::array`](super::root::Root::array).

use super::memory::Loading;
use super::root::Array;
use crate::container::sealed::Sealed;
use crate::format::aligned::can_allocate;
use crate::format::codec::{self, ArrayForm, ChunkError};
use crate::workers::spread::spread;
use qstore_checkpoint::{Damage, LoadError};
use qstore_schema::Tensor;

/// Reads these arrays, each into its own memory.
pub(super) fn read_tensors(
    sealed: &Sealed,
    arrays: Vec<Array>,
    loading: &Loading,
) -> Result<Vec<(String, Tensor)>, LoadError> {
    let no_memory = |what: String, needed: u64| LoadError::OutOfMemory {
        location: sealed.container.location().into(),
        what,
        needed,
    };
    // All of them are filled, so they must fit together.
    let total = arrays.iter().fold(0, |total: u64, array| total.saturating_add(array.len as u64));
    if !can_allocate(total) {
        return Err(no_memory(format!("{} tensors", arrays.len()), total));
    }
    let memory = arrays.iter().map(|array| {
        let block = loading.allocate(array.len);
        block.ok_or_else(|| no_memory(format!("`{}`", array.path), array.len as u64))
    });
    let mut memory = memory.collect::<Result<Vec<_>, _>>()?;
    let mut tasks = Vec::new();
    for (array, memory) in arrays.iter().zip(&mut memory) {
        let mut rest = memory.bytes_mut();
        assert_eq!(rest.len(), array.len, "a block has the length that was asked for");
        for (index, entry) in array.entries.iter().enumerate() {
            let (out, left) = rest.split_at_mut(array.form.grid.range(index).len());
            rest = left;
            tasks.push(Task { entry: *entry, form: &array.form, aim: Aim::Fill(out) });
        }
    }
    run(sealed, tasks, loading.workers)?;
    let tensors = arrays.into_iter().zip(memory).map(|(array, memory)| {
        let ArrayForm { dtype, shape, .. } = array.form;
        let tensor = Tensor::new(dtype, shape, memory.into_bytes())
            .map_err(|error| sealed.container.damaged(Damage::malformed(&array.path, error)))?;
        Ok((array.path, tensor))
    });
    tensors.collect()
}

/// How much of a checkpoint is verified.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depth {
    /// Every byte is as it was written.
    Stored,
    /// And decompresses to what the metadata describes.
    Decoded,
}

/// Reads and checks every chunk of these arrays, and keeps nothing in memory.
pub(super) fn check_chunks(
    sealed: &Sealed,
    arrays: &[Array],
    workers: usize,
    depth: Depth,
) -> Result<(), LoadError> {
    let mut tasks = Vec::new();
    for array in arrays {
        for entry in &array.entries {
            tasks.push(Task { entry: *entry, form: &array.form, aim: Aim::Check(depth) });
        }
    }
    run(sealed, tasks, workers)
}

/// A chunk to be read, and what for.
struct Task<'a> {
    entry: usize,
    form: &'a ArrayForm,
    aim: Aim<'a>,
}

enum Aim<'a> {
    /// Its values are put there.
    Fill(&'a mut [u8]),
    Check(Depth),
}

fn run(sealed: &Sealed, tasks: Vec<Task<'_>>, workers: usize) -> Result<(), LoadError> {
    sealed.container.announce(tasks.iter().map(|task| task.entry));
    let read = |buffer: &mut Vec<u8>, task| read_chunk(sealed, task, buffer);
    spread(workers, tasks, Vec::new, read).map(drop)
}

fn read_chunk(sealed: &Sealed, task: Task<'_>, buffer: &mut Vec<u8>) -> Result<(), LoadError> {
    let Task { entry, form, aim } = task;
    let stored = sealed.container.read(entry, buffer)?;
    let crc32c = sealed.crc32c(entry);
    let decode = |out: &mut [u8]| form.codec.decode(stored, crc32c, form.grid.chunk_len(), out);
    let read = match aim {
        Aim::Fill(out) => decode(out),
        // Verifying looks at everything, and loading only at what it relies on.
        Aim::Check(_) if !sealed.container.has_own_checksum_of(entry, stored) => {
            Err(ChunkError::Checksum)
        }
        Aim::Check(Depth::Decoded) => decode(&mut []),
        Aim::Check(Depth::Stored) => codec::checked(stored, crc32c).map(drop),
    };
    read.map_err(|error| {
        let name = sealed.container.name(entry);
        let damage = match error {
            ChunkError::Memory => {
                return LoadError::OutOfMemory {
                    location: sealed.container.location().into(),
                    what: name.into(),
                    needed: form.grid.chunk_len() as u64,
                };
            }
            ChunkError::Checksum => Damage::Checksum { entry: name.into() },
            other => Damage::malformed(name, other),
        };
        sealed.container.damaged(damage)
    })
}
