//! Memory for tensors, aligned for every element type, so that it can be read as a slice.

use bytemuck::allocation::try_zeroed_vec;
use bytes::Bytes;
use qstore_os::{memory_limit, prefer_large_pages};

/// A fixed number of bytes at an address that is a multiple of eight.
#[derive(Debug)]
pub(crate) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    /// All zeros. The operating system allocates the pages when they are first touched. For lengths of our
    /// own, not for those of a file.
    pub(crate) fn zeroed(len: usize) -> Self {
        // bounded: by what the caller has in memory
        let mut aligned = Self { words: vec![0; len.div_ceil(size_of::<u64>())], len };
        prefer_large_pages(aligned.bytes_mut());
        aligned
    }

    /// Like [`zeroed`](Self::zeroed), but `None` if the operating system cannot promise this much. The
    /// length comes from a file, and a failed allocation would abort the process.
    pub(crate) fn try_zeroed(len: usize) -> Option<Self> {
        let words = try_zeroed_vec(len.div_ceil(size_of::<u64>())).ok()?;
        let mut aligned = Self { words, len };
        prefer_large_pages(aligned.bytes_mut());
        Some(aligned)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::must_cast_slice(&self.words)[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::must_cast_slice_mut(&mut self.words)[..self.len]
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

/// There is not enough memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// Makes a buffer at least so long. The length comes from a file.
pub(crate) fn grow_to(buffer: &mut Vec<u8>, len: usize) -> Result<(), NoMemory> {
    if let Some(more) = len.checked_sub(buffer.len()).filter(|more| *more > 0) {
        buffer.try_reserve_exact(more).map_err(|_| NoMemory)?;
        buffer.resize(len, 0); // bounded: it was reserved
    }
    Ok(())
}

/// Whether this process can have so much memory and fill it. It is requested and released untouched. The
/// system may promise more than it has, so the amount is also compared with what there is.
pub(crate) fn can_allocate(len: u64) -> bool {
    /// Below this, the check is not worth its cost.
    const LARGE: u64 = 1 << 26;
    len < LARGE || (can_be_promised(len) && memory_limit().is_none_or(|limit| len <= limit))
}

/// Whether the operating system would promise so much memory. Untouched, it may be more than there is.
pub(crate) fn can_be_promised(len: u64) -> bool {
    usize::try_from(len).is_ok_and(|len| Vec::<u8>::new().try_reserve_exact(len).is_ok())
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_memory_of_any_machine_are_refused() {
        assert!(Aligned::try_zeroed(usize::MAX / 2).is_none());
        assert!(Aligned::try_zeroed(1 << 46).is_none());
        assert!(!can_allocate(1 << 46) && !can_allocate(u64::MAX) && can_allocate(1 << 20));
        let mut buffer = vec![1; 3];
        assert_eq!(grow_to(&mut buffer, usize::MAX / 2), Err(NoMemory));
        assert_eq!((grow_to(&mut buffer, 5), grow_to(&mut buffer, 2)), (Ok(()), Ok(())));
        assert_eq!(buffer, [1, 1, 1, 0, 0]);
        let some = Aligned::try_zeroed(13).unwrap();
        assert_eq!((some.len(), some.bytes()), (13, &[0; 13][..]));
    }
}
