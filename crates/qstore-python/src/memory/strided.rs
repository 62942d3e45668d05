//! Copies between an array of any shape and strides, in either byte order, and the contiguous little-endian bytes of a
//! tensor.
//!
//! An array belongs to Python: another thread may write to it meanwhile, as it may while numpy copies it. So it is never
//! a slice, and its elements are moved through pointers.

use std::marker::PhantomData;
use std::ptr;

/// Where the elements of an array are, relative to its first one.
pub(crate) struct Layout {
    shape: Vec<usize>,
    /// The bytes from an element to the next one of its dimension.
    strides: Vec<isize>,
    /// The bytes of an element.
    item: usize,
    /// The bytes of a number whose order is reversed; 1 if none is.
    swapped: usize,
}

impl Layout {
    pub(super) fn new(shape: Vec<usize>, strides: Vec<isize>, item: usize, swapped: usize) -> Self {
        assert_eq!(shape.len(), strides.len(), "a buffer has a stride for each dimension");
        Self { shape, strides, item, swapped }
    }

    /// The number of bytes of all elements.
    fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.item
    }

    /// How many of the last dimensions are contiguous, and the bytes that they take together.
    fn run(&self) -> (usize, usize) {
        let mut len = self.item;
        let mut dims = 0;
        for (length, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *length != 1 && usize::try_from(*stride) != Ok(len) {
                break;
            }
            len *= length;
            dims += 1;
        }
        (dims, len)
    }

    /// Calls `copy` with the offset of each contiguous run in the array, its offset in the tensor and its length.
    fn each_run(&self, mut copy: impl FnMut(isize, usize, usize)) {
        if self.shape.contains(&0) {
            return;
        }
        let (dims, len) = self.run();
        let outer = self.shape.len() - dims;
        let mut index = vec![0; outer];
        let (mut offset, mut at) = (0_isize, 0);
        loop {
            copy(offset, at, len);
            at += len;
            let mut dim = outer;
            loop {
                if dim == 0 {
                    return;
                }
                dim -= 1;
                index[dim] += 1;
                offset += self.strides[dim];
                if index[dim] < self.shape[dim] {
                    break;
                }
                offset -= self.strides[dim] * self.shape[dim] as isize;
                index[dim] = 0;
            }
        }
    }
}

/// An array to copy from.
pub(crate) struct Source<'e> {
    start: *const u8,
    layout: Layout,
    export: PhantomData<&'e ()>,
}

/// An array to copy to.
pub(crate) struct Target<'e> {
    start: *mut u8,
    layout: Layout,
    export: PhantomData<&'e ()>,
}

// SAFETY: a pointer into memory that stays exported for `'e`, whichever thread copies it.
unsafe impl Send for Source<'_> {}
// SAFETY: as above.
unsafe impl Send for Target<'_> {}

impl Source<'_> {
    /// Only for the memory of an export of this lifetime.
    pub(super) fn new(start: *const u8, layout: Layout) -> Self {
        Self { start, layout, export: PhantomData }
    }

    /// Copies all elements, in C order and little-endian.
    pub(crate) fn copy_to(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), self.layout.len(), "the tensor has the shape of the array");
        let base = bytes.as_mut_ptr();
        self.layout.each_run(|offset, at, len| {
            // SAFETY: the exporter says that all elements of its shape and strides are its memory; `at + len` is within
            // `bytes`, whose length was compared. The memory is not ours, so the two do not overlap.
            unsafe { copy(self.start.offset(offset), base.add(at), len) };
        });
        swap(bytes, self.layout.swapped);
    }
}

impl Target<'_> {
    /// Only for the memory of an export of this lifetime, for writing.
    pub(super) fn new(start: *mut u8, layout: Layout) -> Self {
        Self { start, layout, export: PhantomData }
    }

    /// Fills all elements from another array of the same shape and element type.
    pub(crate) fn copy_all(&self, source: &Source<'_>) {
        let len = self.layout.len();
        assert_eq!(source.layout.len(), len, "both arrays have the same shape");
        let is_plain = source.layout.run().1 == len && source.layout.swapped <= 1;
        if !is_plain || self.layout.swapped > 1 {
            let mut bytes = vec![0; len];
            source.copy_to(&mut bytes);
            return self.copy_from(&bytes);
        }
        self.layout.each_run(|offset, at, len| {
            // SAFETY: both exporters say that all elements of their shapes are their memory, and the source's are
            // contiguous. It is a tensor that was just loaded, so the two do not overlap.
            unsafe { copy(source.start.add(at), self.start.offset(offset), len) };
        });
    }

    /// Fills all elements from bytes in C order, little-endian.
    fn copy_from(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.layout.len(), "the tensor has the shape of the array");
        let swapped;
        let mut from = bytes;
        if self.layout.swapped > 1 {
            let mut other = bytes.to_vec();
            swap(&mut other, self.layout.swapped);
            swapped = other;
            from = &swapped;
        }
        let base = from.as_ptr();
        self.layout.each_run(|offset, at, len| {
            // SAFETY: as in `copy_to`, and the memory was exported for writing.
            unsafe { copy(base.add(at), self.start.offset(offset), len) };
        });
    }
}

/// Copies a run. One of a single element is a move of a known size, which is several times as fast as a call.
///
/// # Safety
/// Both sides have `len` bytes, and do not overlap.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    macro_rules! of_size {
        ($($size:literal)*) => {
            match len {
                // SAFETY: the caller's promise; an array of bytes may be at any address.
                $($size => unsafe { to.cast::<[u8; $size]>().write(from.cast::<[u8; $size]>().read()) },)*
                // SAFETY: the caller's promise.
                _ => unsafe { ptr::copy_nonoverlapping(from, to, len) },
            }
        };
    }
    of_size!(1 2 4 8 16);
}

/// Reverses the bytes of each number.
fn swap(bytes: &mut [u8], number: usize) {
    if number > 1 {
        bytes.chunks_exact_mut(number).for_each(<[u8]>::reverse);
    }
}
