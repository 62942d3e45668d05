//! Memory of a tensor: aligned for every element type, so that it can be read as a slice.

use bytes::Bytes;
use qstore_os::prefer_large_pages;

/// A fixed number of bytes at an address that is a multiple of eight.
#[derive(Debug)]
pub(crate) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    /// Zeros. The system gives the pages when they are first touched.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut aligned = Self { words: vec![0; len.div_ceil(size_of::<u64>())], len };
        prefer_large_pages(aligned.bytes_mut());
        aligned
    }

    /// As [`zeroed`](Self::zeroed); `None` where the system does not even promise so much. The length
    /// comes out of a file, and a request that is refused would end the process.
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

/// Whether the system would promise so much memory. It is asked for and given back untouched.
pub(crate) fn can_be_had(len: usize) -> bool {
    /// Less is not worth asking.
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
    fn more_memory_than_any_machine_has_is_refused_and_a_little_is_not() {
        assert!(Aligned::try_zeroed(usize::MAX / 2).is_none());
        assert!(Aligned::try_zeroed(1 << 46).is_none());
        let some = Aligned::try_zeroed(13).unwrap();
        assert_eq!((some.len(), some.bytes()), (13, &[0; 13][..]));
    }
}
