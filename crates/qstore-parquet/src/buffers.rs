//! Memory for encoded row groups that is used again and again.
//!
//! An encoded group takes megabytes for as long as one publication, and leaves behind a kilobyte that
//! stays. Memory that is given back between the two is cut up for the kilobyte, and the next group needs
//! new one: a process grew by 45 MB with every million rows. So these buffers are kept.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// As many as are in use at a time: a publication seldom has more groups, and one is prepared beside it.
const KEPT_MAX: usize = 3;

/// Buffers that nobody uses now; all clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_default()
    }

    /// What was written into a buffer; the memory comes back when nobody looks at it any more.
    pub(crate) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut idle = self.home.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_MAX {
            idle.push(buffer);
            // The largest one is taken first.
            idle.sort_unstable_by_key(Vec::capacity);
        }
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
