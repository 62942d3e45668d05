//! Large pieces of memory that are used again and again.
//!
//! To encode a row group takes megabytes for as long as one publication, and leaves behind a kilobyte
//! that stays. Memory that is given back between the two is cut up for the kilobyte, and the next group
//! needs new one: a process grew by 36 MB with every million rows. So what is large is kept.

use crate::columns::rows::Column;
use bytes::Bytes;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// As many of a kind as are in use at a time: a publication seldom has more groups, and one is prepared
/// beside it.
const KEPT_MAX: usize = 3;

/// Memory that nobody uses now; all clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    bytes: Pool<Vec<u8>>,
    columns: Pool<Vec<Column>>,
}

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.bytes.take()
    }

    /// What was written into a buffer; the memory comes back when nobody looks at it any more.
    pub(crate) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.bytes.clone() })
    }

    /// Columns to copy rows into; whatever is in them is of no use.
    pub(crate) fn take_columns(&self) -> Vec<Column> {
        self.columns.take()
    }

    /// The columns are not needed any more.
    pub(crate) fn give_columns(&self, columns: Vec<Column>) {
        self.columns.give(columns);
    }
}

#[derive(Debug)]
struct Pool<T> {
    idle: Arc<Mutex<Vec<T>>>,
}

impl<T: Default> Pool<T> {
    fn take(&self) -> T {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give(&self, memory: T) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_MAX {
            idle.push(memory);
        }
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { idle: Arc::clone(&self.idle) }
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { idle: Arc::default() }
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Pool<Vec<u8>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        self.home.give(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_when_the_last_view_of_it_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend([7; 1_000]);
        let (address, bytes) = (buffer.as_ptr(), buffers.freeze(buffer));
        let view = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(buffers.take().capacity(), 0, "somebody still looks at it");
        assert_eq!(view[..], [7; 10]);
        drop(view);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }
}
