//! Splits an array into chunks that are contiguous in its bytes.
//!
//! The leading dimensions of a chunk are 1, one dimension is split into balanced parts, and the remaining
//! dimensions are whole. So a chunk is one slice of the tensor, and the chunks are back to back. Only the
//! last part of the split dimension can be short; Zarr stores it padded to full size.

use std::fmt::Write as _;
use std::num::NonZero;
use std::ops::Range;

/// The largest chunk. Blosc compresses up to a little less than 2 GiB at once.
pub(crate) const CHUNK_BYTES_MAX: usize = 1 << 30;

/// The chunks of one array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    shape: Vec<usize>,
    chunk_shape: Vec<NonZero<u64>>,
    /// The length of a full chunk in bytes.
    chunk_len: usize,
    /// Bytes per step of the dimensions before the split one.
    outer_len: usize,
    /// Chunks per such step.
    splits: usize,
    /// The number of chunks.
    count: usize,
    /// The separator between the coordinates in a key.
    separator: char,
}

impl Grid {
    /// Chunks of at most `chunk_bytes`, or of one element if that is larger. `None` if the array has more
    /// bytes than can be addressed.
    pub(crate) fn new(shape: &[usize], element: usize, chunk_bytes: usize) -> Option<Self> {
        // bounded: by the number of dimensions
        let mut chunk_shape = vec![NonZero::<u64>::MIN; shape.len()];
        if !shape.contains(&0) {
            let mut inner = element;
            for (length, chunk) in shape.iter().zip(&mut chunk_shape).rev() {
                let rows = (chunk_bytes / inner).clamp(1, *length);
                let rows = length.div_ceil(length.div_ceil(rows));
                *chunk = NonZero::new(rows as u64)?;
                if rows < *length {
                    break;
                }
                inner = inner.checked_mul(*length)?;
            }
        }
        Self::from_chunk_shape(shape, &chunk_shape, element)
    }

    /// The grid with chunks of this shape, if they are contiguous and their count does not overflow.
    pub(crate) fn from_chunk_shape(
        shape: &[usize],
        chunk_shape: &[NonZero<u64>],
        element: usize,
    ) -> Option<Self> {
        if shape.len() != chunk_shape.len() {
            return None;
        }
        let chunk: Vec<usize> = chunk_shape
            .iter()
            .map(|rows| usize::try_from(rows.get()).ok())
            .collect::<Option<_>>()?;
        let len_of = |lengths: &[usize]| {
            lengths.iter().try_fold(element, |len, length| len.checked_mul(*length))
        };
        let grid = |chunk_len, outer_len, splits, count| Self {
            shape: shape.to_vec(),
            chunk_shape: chunk_shape.to_vec(),
            chunk_len,
            outer_len,
            splits,
            count,
            separator: '/',
        };
        if shape.contains(&0) {
            return Some(grid(len_of(&chunk)?, 0, 0, 0));
        }
        // The split dimension is the first in which a chunk has more than one row.
        let split = chunk.iter().position(|rows| *rows > 1).unwrap_or(shape.len());
        let whole = split + 1..shape.len().max(split + 1);
        if shape.get(whole.clone()) != chunk.get(whole) {
            return None;
        }
        let outer: usize =
            shape[..split].iter().try_fold(1, |n: usize, len| n.checked_mul(*len))?;
        let splits = match shape.get(split) {
            Some(length) => length.div_ceil(chunk[split]),
            None => 1,
        };
        len_of(shape)?;
        let outer_len = len_of(&shape[split..])?;
        Some(grid(len_of(&chunk)?, outer_len, splits, outer.checked_mul(splits)?))
    }

    /// The same chunks with keys like `c.0.3`, for which no directories are needed.
    pub(crate) fn with_separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    pub(crate) fn separator(&self) -> char {
        self.separator
    }

    pub(crate) fn chunk_shape(&self) -> &[NonZero<u64>] {
        &self.chunk_shape
    }

    /// The number of chunks.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The length of a full chunk in bytes.
    pub(crate) fn chunk_len(&self) -> usize {
        self.chunk_len
    }

    /// The range of chunk `index` in the array's bytes. The last chunk of a split can be short.
    pub(crate) fn range(&self, index: usize) -> Range<usize> {
        let outer = index / self.splits * self.outer_len;
        let start = outer + index % self.splits * self.chunk_len;
        start..(start + self.chunk_len).min(outer + self.outer_len)
    }

    /// The chunk's key below the array, as Zarr's default encoding has it: `c/0/3`, or with dots.
    pub(crate) fn key(&self, index: usize) -> String {
        let mut left = index;
        let mut coordinates = vec![0; self.shape.len()]; // bounded: by the number of dimensions
        for (dimension, coordinate) in coordinates.iter_mut().enumerate().rev() {
            // The lengths fit: the chunks were counted from them.
            let chunks = (self.shape[dimension] as u64).div_ceil(self.chunk_shape[dimension].get());
            *coordinate = left % chunks as usize;
            left /= chunks as usize;
        }
        coordinates.iter().fold(String::from("c"), |mut key, coordinate| {
            let _ = write!(key, "{}{coordinate}", self.separator); // cannot fail for a string
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_are_balanced_and_contiguous() {
        let check = |shape: &[usize], chunk: &[u64], count| {
            let grid = Grid::new(shape, 4, 1 << 20).unwrap();
            let found: Vec<u64> = grid.chunk_shape().iter().map(|rows| rows.get()).collect();
            assert_eq!((found.as_slice(), grid.count()), (chunk, count), "{shape:?}");
        };
        check(&[], &[], 1);
        check(&[10], &[10], 1);
        check(&[1000, 3, 100], &[500, 3, 100], 2);
        check(&[4, 1000, 1000], &[1, 250, 1000], 16);
        check(&[768, 3072], &[77, 3072], 10);
        check(&[2, 1_000_000], &[1, 250_000], 8);
        check(&[5, 0, 7], &[1, 1, 1], 0);
        check(&[1, 1, 8], &[1, 1, 8], 1);
    }

    #[test]
    fn keys_follow_zarrs_default_encoding() {
        let grid = Grid::new(&[4, 1000, 1000], 4, 1 << 20).unwrap();
        assert_eq!(grid.key(0), "c/0/0/0");
        assert_eq!(grid.key(7), "c/1/3/0");
        assert_eq!(grid.clone().with_separator('.').key(7), "c.1.3.0");
        assert_eq!(Grid::new(&[], 4, 64).unwrap().key(0), "c");
    }

    #[test]
    fn chunks_that_are_not_contiguous_are_refused() {
        let chunk = |lengths: &[u64]| -> Vec<_> {
            lengths.iter().map(|length| NonZero::new(*length).unwrap()).collect()
        };
        assert!(Grid::from_chunk_shape(&[8, 8], &chunk(&[2, 4]), 1).is_none());
        assert!(Grid::from_chunk_shape(&[8, 8], &chunk(&[2]), 1).is_none());
        assert!(Grid::from_chunk_shape(&[usize::MAX, 4], &chunk(&[1, 4]), 8).is_none());
        assert!(Grid::from_chunk_shape(&[8], &chunk(&[u64::MAX]), 8).is_none());
        assert!(Grid::from_chunk_shape(&[8, 8], &chunk(&[2, 8]), 1).is_some());
    }

    proptest! {
        #[test]
        fn chunks_cover_the_array_once_in_order(
            shape in prop::collection::vec(0_usize..12, 0..5),
            element in prop::sample::select(vec![1_usize, 2, 4, 8, 16]),
            chunk_bytes in 16_usize..600,
        ) {
            let grid = Grid::new(&shape, element, chunk_bytes).unwrap();
            let same = Grid::from_chunk_shape(&shape, grid.chunk_shape(), element);
            prop_assert_eq!(same.as_ref(), Some(&grid));
            prop_assert!(grid.chunk_len() <= chunk_bytes.max(element));
            let mut end = 0;
            let mut keys = std::collections::HashSet::new();
            for index in 0..grid.count() {
                let range = grid.range(index);
                prop_assert_eq!(range.start, end);
                prop_assert!(!range.is_empty() && range.len() <= grid.chunk_len());
                prop_assert!(keys.insert(grid.key(index)));
                end = range.end;
            }
            prop_assert_eq!(end, shape.iter().product::<usize>() * element);
        }
    }
}
