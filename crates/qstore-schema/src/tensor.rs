//! An array of numbers that is cheap to pass on: reference-counted bytes with a type and a shape.
//!
//! It does no arithmetic and has no strides: elements are in C order (row-major) and little-endian.

use crate::dtype::{Dtype, Element};
use crate::tensor_error::TensorError;
use bytemuck::checked;
use bytes::Bytes;

/// An element type, a shape and the bytes. Cloning it copies no data.
///
/// Making one from a vector or from [`Bytes`] copies nothing either: the tensor takes ownership, so that a
/// snapshot of a model costs a reference count per tensor.
///
/// ```
/// use qstore_schema::Tensor;
///
/// let weights = vec![0.5_f32; 6];
/// let tensor = Tensor::from_vec(weights, [2, 3])?; // takes the vector, copies nothing
/// assert_eq!(tensor.as_slice::<f32>()?.len(), 6);
/// # Ok::<(), qstore_schema::TensorError>(())
/// ```
///
/// From a framework that hands out bytes and a name of the element type:
///
/// ```
/// use qstore_schema::{Tensor, TensorError};
///
/// let bytes = vec![0, 0, 128, 63, 0, 0, 0, 64]; // two little-endian floats
/// let tensor = Tensor::new("float32".parse().unwrap(), [2], bytes)?;
/// assert_eq!(tensor.to_vec::<f32>()?, [1.0, 2.0]);
/// assert!(matches!(tensor.to_vec::<f64>(), Err(TensorError::DtypeMismatch { .. })));
/// # Ok::<(), TensorError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Bytes,
}

/// Keeps a vector alive as the owner of the bytes of a tensor.
struct Owned<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::must_cast_slice(&self.0)
    }
}

impl Tensor {
    /// A tensor over existing bytes; nothing is copied.
    ///
    /// `shape` lists the length of each dimension, outermost first; `[]` is a single element.
    ///
    /// # Errors
    /// [`TensorError::ShapeMismatch`] when the shape does not take exactly these bytes,
    /// [`TensorError::ShapeOverflow`] when it takes more than memory can hold.
    pub fn new(
        dtype: Dtype,
        shape: impl Into<Vec<usize>>,
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (shape, data) = (shape.into(), data.into());
        let expected = byte_len(dtype, &shape)?;
        if expected != data.len() {
            return Err(TensorError::ShapeMismatch { dtype, shape, expected, found: data.len() });
        }
        Ok(Self { dtype, shape, data })
    }

    /// A tensor that takes ownership of a vector; nothing is copied.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_vec<T: Element>(
        values: Vec<T>,
        shape: impl Into<Vec<usize>>,
    ) -> Result<Self, TensorError> {
        Self::new(T::DTYPE, shape, Bytes::from_owner(Owned(values)))
    }

    /// A tensor with a copy of these elements.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_slice<T: Element>(
        values: &[T],
        shape: impl Into<Vec<usize>>,
    ) -> Result<Self, TensorError> {
        Self::from_vec(values.to_vec(), shape)
    }

    /// A 0-dimensional tensor: a single number.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Self {
        Self { dtype: T::DTYPE, shape: Vec::new(), data: Bytes::from_owner(Owned(vec![value])) }
    }

    /// A 1-dimensional `uint8` tensor over these bytes; nothing is copied.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let data = bytes.into();
        Self { dtype: Dtype::UInt8, shape: vec![data.len()], data }
    }

    /// The number of bytes that a tensor takes.
    ///
    /// # Errors
    /// [`TensorError::ShapeOverflow`] when it is more than memory can hold.
    pub fn bytes_of(dtype: Dtype, shape: &[usize]) -> Result<usize, TensorError> {
        byte_len(dtype, shape)
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The length of each dimension, outermost first; empty for a single element.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes of the elements in C order.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// Whether any dimension has length 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements, without copying.
    ///
    /// # Errors
    /// [`TensorError::DtypeMismatch`] for another element type, [`TensorError::Misaligned`] when the bytes
    /// start at an address that `T` cannot be read from ([`Tensor::to_vec`] works all the same), and
    /// [`TensorError::InvalidElement`] for bytes that are not a valid `T`.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        self.expect_dtype(T::DTYPE)?;
        // An empty buffer may dangle at any address, and has no element to misread.
        if self.data.is_empty() {
            return Ok(&[]);
        }
        checked::try_cast_slice(&self.data).map_err(|error| match error {
            checked::CheckedCastError::InvalidBitPattern => {
                TensorError::InvalidElement { dtype: self.dtype }
            }
            checked::CheckedCastError::PodCastError(_) => {
                TensorError::Misaligned { dtype: self.dtype }
            }
        })
    }

    /// A copy of the elements.
    ///
    /// # Errors
    /// [`TensorError::DtypeMismatch`] for another element type, [`TensorError::InvalidElement`] for bytes that
    /// are not a valid `T`.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        self.expect_dtype(T::DTYPE)?;
        self.data
            .chunks_exact(size_of::<T>())
            .map(|bytes| checked::try_pod_read_unaligned(bytes))
            .collect::<Result<_, _>>()
            .map_err(|_| TensorError::InvalidElement { dtype: self.dtype })
    }

    fn expect_dtype(&self, requested: Dtype) -> Result<(), TensorError> {
        if self.dtype == requested {
            Ok(())
        } else {
            Err(TensorError::DtypeMismatch { found: self.dtype, requested })
        }
    }
}

fn byte_len(dtype: Dtype, shape: &[usize]) -> Result<usize, TensorError> {
    // A dimension of length 0 makes the tensor empty, even if the other lengths would overflow.
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(dtype.size(), |bytes, length| bytes.checked_mul(*length))
        .ok_or_else(|| TensorError::ShapeOverflow { shape: shape.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vector_becomes_a_tensor_without_a_copy() {
        let values = vec![1.0_f32, 2.0, 3.0];
        let address = values.as_ptr();
        let tensor = Tensor::from_vec(values, [3]).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr(), address);
        assert_eq!(tensor.clone().as_slice::<f32>().unwrap().as_ptr(), address);
    }

    #[test]
    fn a_shape_that_does_not_match_is_refused_and_both_sizes_are_named() {
        let error = Tensor::from_vec(vec![1.0_f32; 5], [2, 3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a float32 tensor of shape [2, 3] takes 24 bytes, but 20 were given"
        );
        assert!(matches!(
            Tensor::new(Dtype::Float64, [usize::MAX, 2], Vec::new()),
            Err(TensorError::ShapeOverflow { .. })
        ));
        assert!(Tensor::new(Dtype::Float64, [usize::MAX, 0, 2], Vec::new()).is_ok());
    }

    #[test]
    fn a_tensor_may_have_one_element_or_none() {
        let one = Tensor::scalar(7_i64);
        assert_eq!((one.shape(), one.len()), (&[][..], 1));
        let none = Tensor::from_vec(Vec::<f64>::new(), [0, 4]).unwrap();
        assert!(none.is_empty() && none.as_slice::<f64>().unwrap().is_empty());
    }

    #[test]
    fn misaligned_bytes_are_copied_but_not_borrowed() {
        let bytes = Bytes::from(vec![0_u8; 17]);
        let start = usize::from((bytes.as_ptr() as usize).is_multiple_of(8));
        let tensor = Tensor::new(Dtype::Float64, [2], bytes.slice(start..start + 16)).unwrap();
        assert_eq!(
            tensor.as_slice::<f64>(),
            Err(TensorError::Misaligned { dtype: Dtype::Float64 })
        );
        assert_eq!(tensor.to_vec::<f64>().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn a_bool_of_two_is_refused() {
        let tensor = Tensor::new(Dtype::Bool, [2], vec![1, 2]).unwrap();
        assert_eq!(
            tensor.to_vec::<bool>(),
            Err(TensorError::InvalidElement { dtype: Dtype::Bool })
        );
        assert_eq!(
            tensor.as_slice::<bool>(),
            Err(TensorError::InvalidElement { dtype: Dtype::Bool })
        );
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_bit_for_bit(bits in prop::collection::vec(any::<u64>(), 0..64)) {
            let values: Vec<f64> = bits.iter().copied().map(f64::from_bits).collect();
            let tensor = Tensor::from_slice(&values, [values.len()]).unwrap();
            for read in [tensor.to_vec::<f64>().unwrap(), tensor.as_slice().unwrap().to_vec()] {
                let read: Vec<u64> = read.into_iter().map(f64::to_bits).collect();
                prop_assert_eq!(&read, &bits);
            }
        }
    }
}
