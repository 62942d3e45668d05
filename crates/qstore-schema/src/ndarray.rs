//! Arrays of the crate `ndarray` as tensors, and tensors as arrays.
//!
//! It does no arithmetic and chooses no number of dimensions: what comes back is dynamic, and
//! [`into_dimensionality`](ndarray::ArrayBase::into_dimensionality) makes it fixed. Elements are always in C order
//! in a tensor, whatever the strides of the array were.

use crate::dtype::{Dtype, Element};
use crate::tensor::Tensor;
use crate::tensor_error::TensorError;
use ndarray::{Array, ArrayBase, ArrayD, ArrayViewD, Data, Dimension};
use num_complex::Complex;

/// The same bytes as `[f32; 2]`.
impl Element for Complex<f32> {
    const DTYPE: Dtype = Dtype::Complex64;
}

/// The same bytes as `[f64; 2]`.
impl Element for Complex<f64> {
    const DTYPE: Dtype = Dtype::Complex128;
}

/// Takes the elements over without a copy if they lie in C order and the array is all that its vector holds. A
/// transposed, reversed or cut array is copied.
impl<T: Element, D: Dimension> From<Array<T, D>> for Tensor {
    fn from(array: Array<T, D>) -> Self {
        if !array.is_standard_layout() {
            return Self::from(&array);
        }
        let (shape, length) = (array.shape().to_vec(), array.len());
        let (values, start) = array.into_raw_vec_and_offset();
        if values.len() == length {
            return tensor(values, shape);
        }
        // A part of a longer vector would keep all of it in memory.
        let start = start.unwrap_or(0);
        tensor(values[start..start + length].to_vec(), shape)
    }
}

/// Copies the elements in C order, from an array, a view or a shared array with any strides.
impl<T, S, D> From<&ArrayBase<S, D>> for Tensor
where
    T: Element,
    S: Data<Elem = T>,
    D: Dimension,
{
    fn from(array: &ArrayBase<S, D>) -> Self {
        let values = match array.as_slice() {
            Some(values) => values.to_vec(),
            // In the order of the indices, the last one fastest.
            None => array.iter().copied().collect(),
        };
        tensor(values, array.shape().to_vec())
    }
}

fn tensor<T: Element>(values: Vec<T>, shape: Vec<usize>) -> Tensor {
    Tensor::from_vec(values, shape).expect("an array has as many elements as its shape says")
}

/// Copies the elements.
///
/// # Errors
/// [`TensorError::DtypeMismatch`] for another element type, [`TensorError::InvalidElement`] for bytes that are not a
/// valid `T`, and [`TensorError::ShapeOverflow`] for a tensor without elements whose other lengths multiply to more
/// than an array may have.
impl<T: Element> TryFrom<&Tensor> for ArrayD<T> {
    type Error = TensorError;

    fn try_from(tensor: &Tensor) -> Result<Self, TensorError> {
        let values = tensor.to_vec::<T>()?;
        Self::from_shape_vec(tensor.shape(), values).map_err(|_| overflow(tensor))
    }
}

/// Borrows the elements; nothing is copied.
///
/// # Errors
/// As for a copy, and [`TensorError::Misaligned`] when the bytes start at an address that `T` cannot be read from: an
/// [`ArrayD`] can be made of them all the same.
impl<'a, T: Element> TryFrom<&'a Tensor> for ArrayViewD<'a, T> {
    type Error = TensorError;

    fn try_from(tensor: &'a Tensor) -> Result<Self, TensorError> {
        let values = tensor.as_slice::<T>()?;
        Self::from_shape(tensor.shape(), values).map_err(|_| overflow(tensor))
    }
}

fn overflow(tensor: &Tensor) -> TensorError {
    TensorError::ShapeOverflow { shape: tensor.shape().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ndarray::{ArcArray, Array1, Array2, Axis, Ix2, Slice, array};
    use proptest::prelude::*;
    use std::fmt::Debug;

    #[test]
    fn every_type_of_element_that_rust_has_survives_both_ways() {
        fn check<T: Element + PartialEq + Debug>(values: [T; 4]) {
            let array = Array2::from_shape_vec((2, 2), values.to_vec()).unwrap().into_dyn();
            let tensor = Tensor::from(&array);
            assert_eq!((tensor.dtype(), tensor.shape()), (T::DTYPE, &[2, 2][..]));
            assert_eq!(ArrayD::<T>::try_from(&tensor).unwrap(), array);
            assert_eq!(ArrayViewD::<T>::try_from(&tensor).unwrap(), array.view());
            assert_eq!(Tensor::from(array), tensor);
        }
        check([true, false, false, true]);
        check([i8::MIN, -1, 0, i8::MAX]);
        check([i16::MIN, -1, 0, i16::MAX]);
        check([i32::MIN, -1, 0, i32::MAX]);
        check([i64::MIN, -1, 0, i64::MAX]);
        check([0, 1, 2, u8::MAX]);
        check([0, 1, 2, u16::MAX]);
        check([0, 1, 2, u32::MAX]);
        check([0, 1, 2, u64::MAX]);
        check([f32::MIN, -0.0, f32::EPSILON, f32::INFINITY]);
        check([f64::MIN, -0.0, f64::EPSILON, f64::INFINITY]);
        check([[1.0_f32, -2.0]; 4]);
        check([Complex::new(1.0_f32, -2.0); 4]);
        check([Complex::new(1.0_f64, -2.0); 4]);
        #[cfg(feature = "half")]
        {
            check([half::f16::MIN, half::f16::ONE, half::f16::EPSILON, half::f16::MAX]);
            check([half::bf16::MIN, half::bf16::ONE, half::bf16::EPSILON, half::bf16::MAX]);
        }
    }

    #[test]
    fn an_array_in_order_is_taken_without_a_copy_and_borrowed_without_one() {
        let array = Array2::<f32>::from_elem((3, 5), 0.5);
        let address = array.as_ptr();
        let tensor = Tensor::from(array);
        assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr(), address);
        assert_eq!(ArrayViewD::<f32>::try_from(&tensor).unwrap().as_ptr(), address);
    }

    #[test]
    fn a_part_of_an_array_does_not_keep_the_rest_in_memory() {
        let rows = Array2::from_shape_fn((4, 2), |(row, column)| (2 * row + column) as i32);
        let address = rows.as_ptr();
        let mut part = rows;
        part.slice_axis_inplace(Axis(0), Slice::from(1..3));
        assert!(part.is_standard_layout());
        let tensor = Tensor::from(part);
        let found = tensor.as_slice::<i32>().unwrap();
        assert_eq!((tensor.shape(), found), (&[2, 2][..], &[2, 3, 4, 5][..]));
        assert_ne!(found.as_ptr(), address.wrapping_add(2));
    }

    #[test]
    fn strides_are_resolved_in_the_order_of_the_indices() {
        let array = array![[1_i64, 2, 3], [4, 5, 6]];
        let check = |tensor: Tensor, shape: &[usize], expected: &[i64]| {
            assert_eq!((tensor.shape(), tensor.as_slice::<i64>().unwrap()), (shape, expected));
        };
        check(Tensor::from(&array.t()), &[3, 2], &[1, 4, 2, 5, 3, 6]);
        check(Tensor::from(array.clone().reversed_axes()), &[3, 2], &[1, 4, 2, 5, 3, 6]);
        let every = |step| array.slice_axis(Axis(1), Slice::new(0, None, step));
        check(Tensor::from(&every(-1)), &[2, 3], &[3, 2, 1, 6, 5, 4]);
        check(Tensor::from(&every(2)), &[2, 2], &[1, 3, 4, 6]);
        check(Tensor::from(&array.index_axis(Axis(1), 1)), &[2], &[2, 5]);
        check(Tensor::from(&ArcArray::from(array.clone())), &[2, 3], &[1, 2, 3, 4, 5, 6]);
        let broadcast = Array1::from(vec![7_i64, 8]);
        check(Tensor::from(&broadcast.broadcast((2, 2)).unwrap()), &[2, 2], &[7, 8, 7, 8]);
    }

    #[test]
    fn a_single_element_and_none_are_arrays_too() {
        let one = Tensor::from(ndarray::arr0(2.5_f64));
        assert_eq!((one.shape(), one.len()), (&[][..], 1));
        assert_eq!(ArrayD::<f64>::try_from(&one).unwrap().ndim(), 0);
        let none = Tensor::from(Array2::<u8>::zeros((0, 3)));
        assert_eq!(ArrayViewD::<u8>::try_from(&none).unwrap().shape(), [0, 3]);
        // Empty, but the other lengths are more than an array may have.
        let wide = Tensor::new(Dtype::UInt8, [0, usize::MAX, 2], Bytes::new()).unwrap();
        let overflow = TensorError::ShapeOverflow { shape: vec![0, usize::MAX, 2] };
        assert_eq!(ArrayD::<u8>::try_from(&wide), Err(overflow.clone()));
        assert_eq!(ArrayViewD::<u8>::try_from(&wide), Err(overflow));
    }

    #[test]
    fn what_cannot_be_borrowed_is_an_error_and_can_be_copied_if_it_is_only_misaligned() {
        let bytes = Bytes::from(vec![0_u8; 17]);
        let start = usize::from((bytes.as_ptr() as usize).is_multiple_of(8));
        let odd = Tensor::new(Dtype::Float64, [2], bytes.slice(start..start + 16)).unwrap();
        let misaligned = TensorError::Misaligned { dtype: Dtype::Float64 };
        assert_eq!(ArrayViewD::<f64>::try_from(&odd), Err(misaligned));
        assert_eq!(ArrayD::<f64>::try_from(&odd).unwrap().as_slice(), Some(&[0.0, 0.0][..]));

        let requested = Dtype::Float32;
        let mismatch = TensorError::DtypeMismatch { found: Dtype::Float64, requested };
        assert_eq!(ArrayViewD::<f32>::try_from(&odd), Err(mismatch.clone()));
        assert_eq!(ArrayD::<f32>::try_from(&odd), Err(mismatch));

        let two = Tensor::new(Dtype::Bool, [1], vec![2]).unwrap();
        let invalid = TensorError::InvalidElement { dtype: Dtype::Bool };
        assert_eq!(ArrayViewD::<bool>::try_from(&two), Err(invalid.clone()));
        assert_eq!(ArrayD::<bool>::try_from(&two), Err(invalid));
    }

    proptest! {
        /// Whatever axes are swapped, reversed or thinned out, the tensor is the array that was seen.
        #[test]
        fn any_view_becomes_the_tensor_of_its_elements(
            (rows, columns) in (0_usize..6, 0_usize..6),
            is_transposed in any::<bool>(),
            (down, across) in (prop_oneof![-3_isize..0, 1_isize..4], prop_oneof![-3_isize..0, 1_isize..4]),
            bits in prop::collection::vec(any::<u64>(), 36),
        ) {
            let number = |(row, column)| f64::from_bits(bits[row * 6 + column]);
            let array = Array2::from_shape_fn((rows, columns), number);
            let mut view = array.view();
            view.slice_axis_inplace(Axis(0), Slice::new(0, None, down));
            view.slice_axis_inplace(Axis(1), Slice::new(0, None, across));
            let view = if is_transposed { view.reversed_axes() } else { view };
            let (height, width) = view.dim();
            let in_order = |(row, column)| view[(row, column)].to_bits();
            let expected = Array2::from_shape_fn((height, width), in_order);
            for tensor in [Tensor::from(&view), Tensor::from(view.to_owned())] {
                let back = ArrayD::<f64>::try_from(&tensor).unwrap();
                let back = back.into_dimensionality::<Ix2>().unwrap();
                prop_assert_eq!(back.mapv(f64::to_bits), &expected);
            }
        }
    }
}
