//! Memory for tensors, aligned for every element type, so that it can be read as a slice.

use bytes::Bytes;
use qstore_os::prefer_large_pages;

/// A fixed number of bytes at an address that is a multiple of eight.
#[derive(Debug)]
pub(crate) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    /// All zeros. The operating system allocates the pages when they are first touched.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut aligned = Self { words: vec![0; len.div_ceil(size_of::<u64>())], len };
        prefer_large_pages(aligned.bytes_mut());
        aligned
    }

    /// Like [`zeroed`](Self::zeroed), but `None` if the operating system cannot promise this much. The
    /// length comes from a file, and a failed allocation would abort the process.
    pub(crate) fn try_zeroed(len: usize) -> Option<Self> {
        can_be_had(len).then(|| Self::zeroed(len))
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

/// Whether the operating system would promise this much memory. It is requested and released untouched.
pub(crate) fn can_be_had(len: usize) -> bool {
    /// Below this, the check is not worth its cost.
    const LARGE: usize = 1 << 26;
    len < LARGE || Vec::<u8>::new().try_reserve_exact(len).is_ok()
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
        let some = Aligned::try_zeroed(13).unwrap();
        assert_eq!((some.len(), some.bytes()), (13, &[0; 13][..]));
    }
}
