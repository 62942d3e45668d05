//! Large buffers that are reused.
//!
//! Encoding a row group takes megabytes for the duration of one publication and leaves a kilobyte that
//! stays. If the megabytes were freed, the kilobyte would fragment them and the next group would need
//! new memory: a process grew by 36 MB with every million rows (docs/decisions/0021). So large buffers
//! are kept.

use crate::columns::column::Column;
use bytes::Bytes;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of idle buffers of each kind: a publication rarely has more groups, and one more group is
/// encoded ahead.
const KEPT_MAX: usize = 3;

/// Of buffers that are larger than those of an ordinary full group, one of each kind is kept.
const LARGE_BYTES: usize = 16 << 20;

/// Idle buffers; all clones share them.
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

    /// The contents of a buffer; its memory returns to the pool with the last reference.
    pub(crate) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.bytes.clone() })
    }

    /// Frees idle buffers.
    pub(crate) fn clear(&self) {
        self.bytes.clear();
        self.columns.clear();
    }

    /// Columns to copy rows into; their contents are irrelevant.
    pub(crate) fn take_columns(&self) -> Vec<Column> {
        self.columns.take()
    }

    /// Returns columns that are no longer needed. Texts and lists in them would keep memory that the log has
    /// forgotten.
    pub(crate) fn give_columns(&self, mut columns: Vec<Column>) {
        for column in &mut columns {
            column.values.release();
        }
        let bytes = columns.iter().map(Column::capacity).sum();
        self.columns.give(columns, bytes);
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

    fn clear(&self) {
        let idle = mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(idle);
    }

    fn give(&self, memory: T, bytes: usize) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if bytes > LARGE_BYTES { 1 } else { KEPT_MAX };
        if idle.len() < most {
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
        let bytes = buffer.capacity();
        self.home.give(buffer, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::column::HeldValues;
    use qstore_schema::{DataType, Field};

    #[test]
    fn idle_columns_hold_no_list() {
        let (buffers, list) = (Buffers::default(), Arc::<[f64]>::from([0.5]));
        let mut column = Column::new(Field::nullable("list", DataType::FloatList), false);
        column.values = HeldValues::List(vec![Arc::clone(&list)]);
        buffers.give_columns(vec![column]);
        assert_eq!(Arc::strong_count(&list), 1);
        assert_eq!(buffers.take_columns().len(), 1, "its memory is kept");
    }

    #[test]
    fn memory_returns_to_the_pool_with_the_last_reference() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend([7; 1_000]);
        let (address, bytes) = (buffer.as_ptr(), buffers.freeze(buffer));
        let view = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(buffers.take().capacity(), 0, "a reference is left");
        assert_eq!(view[..], [7; 10]);
        drop(view);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        drop(buffers.freeze(again));
        buffers.clear();
        assert_eq!(buffers.take().capacity(), 0, "nothing is idle");
    }
}
