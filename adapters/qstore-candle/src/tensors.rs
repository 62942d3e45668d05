//! A tensor of candle as one of a state, and back.

use crate::error::CandleError;
use bytes::Bytes;
use candle_core::{DType, Device, Tensor as Theirs, WithDType};
use half::{bf16, f16};
use qstore_schema::{Dtype, Element, Tensor};

/// A copy of a tensor, from whatever device.
///
/// # Errors
/// [`CandleError::OfCandle`], [`CandleError::Candle`].
pub fn from_candle(theirs: &Theirs) -> Result<Tensor, CandleError> {
    let shape = theirs.dims().to_vec();
    let flat = theirs.to_device(&Device::Cpu)?.flatten_all()?;
    let halves = |dtype, bits: Vec<u16>| {
        let bytes: Vec<u8> = bits.into_iter().flat_map(u16::to_le_bytes).collect();
        Ok(Tensor::new(dtype, shape.clone(), Bytes::from(bytes))?)
    };
    match theirs.dtype() {
        DType::U8 => whole::<u8>(&flat, &shape),
        DType::U32 => whole::<u32>(&flat, &shape),
        DType::I16 => whole::<i16>(&flat, &shape),
        DType::I32 => whole::<i32>(&flat, &shape),
        DType::I64 => whole::<i64>(&flat, &shape),
        DType::F32 => whole::<f32>(&flat, &shape),
        DType::F64 => whole::<f64>(&flat, &shape),
        DType::BF16 => {
            let values = flat.to_vec1::<bf16>()?;
            halves(Dtype::BFloat16, values.into_iter().map(bf16::to_bits).collect())
        }
        DType::F16 => {
            let values = flat.to_vec1::<f16>()?;
            halves(Dtype::Float16, values.into_iter().map(f16::to_bits).collect())
        }
        other => Err(CandleError::OfCandle(other)),
    }
}

fn whole<T: WithDType + Element>(flat: &Theirs, shape: &[usize]) -> Result<Tensor, CandleError> {
    Ok(Tensor::from_vec(flat.to_vec1::<T>()?, shape)?)
}

/// A tensor of candle with the same values, on that device.
///
/// # Errors
/// [`CandleError::OfCheckpoint`], [`CandleError::Candle`].
pub fn to_candle(ours: &Tensor, device: &Device) -> Result<Theirs, CandleError> {
    let bits = || ours.data().as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let shape = ours.shape();
    let made = match ours.dtype() {
        Dtype::UInt8 => Theirs::from_vec(ours.to_vec::<u8>()?, shape, device),
        Dtype::UInt32 => Theirs::from_vec(ours.to_vec::<u32>()?, shape, device),
        Dtype::Int16 => Theirs::from_vec(ours.to_vec::<i16>()?, shape, device),
        Dtype::Int32 => Theirs::from_vec(ours.to_vec::<i32>()?, shape, device),
        Dtype::Int64 => Theirs::from_vec(ours.to_vec::<i64>()?, shape, device),
        Dtype::Float32 => Theirs::from_vec(ours.to_vec::<f32>()?, shape, device),
        Dtype::Float64 => Theirs::from_vec(ours.to_vec::<f64>()?, shape, device),
        Dtype::BFloat16 => {
            Theirs::from_vec(bits().map(bf16::from_bits).collect::<Vec<_>>(), shape, device)
        }
        Dtype::Float16 => {
            Theirs::from_vec(bits().map(f16::from_bits).collect::<Vec<_>>(), shape, device)
        }
        other => return Err(CandleError::OfCheckpoint(other)),
    };
    Ok(made?)
}

/// The element type and the shape, for messages.
pub(crate) fn form_of(theirs: &Theirs) -> String {
    format!("{:?} {:?}", theirs.dtype(), theirs.dims())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip<T: WithDType + std::fmt::Debug>(values: &[T]) {
        let theirs = Theirs::from_slice(values, (values.len() / 2, 2), &Device::Cpu).unwrap();
        let ours = from_candle(&theirs.t().unwrap()).unwrap();
        assert_eq!(ours.shape(), [2, values.len() / 2]);
        let back = to_candle(&ours, &Device::Cpu).unwrap();
        assert_eq!(back.dtype(), theirs.dtype());
        let back = back.t().unwrap().flatten_all().unwrap().to_vec1::<T>().unwrap();
        assert_eq!(format!("{back:?}"), format!("{values:?}"));
    }

    #[test]
    fn every_element_type_comes_back_bit_for_bit() {
        round_trip(&[0_u8, 255, 7, 8]);
        round_trip(&[0_u32, u32::MAX, 7, 8]);
        round_trip(&[i16::MIN, 0, i16::MAX, 1]);
        round_trip(&[i32::MIN, 0, i32::MAX, 1]);
        round_trip(&[i64::MIN, 0, i64::MAX, 1]);
        round_trip(&[f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE]);
        round_trip(&[f64::NAN, -0.0, f64::NEG_INFINITY, f64::EPSILON]);
        round_trip(&[0.5, -0.0, 3.0e38, 1.0e-30].map(bf16::from_f32));
        round_trip(&[0.5, -0.0, 65_504.0, 6.0e-8].map(f16::from_f32));
    }

    #[test]
    fn a_scalar_and_nothing_have_their_shapes() {
        let scalar = Theirs::new(7_i64, &Device::Cpu).unwrap();
        assert_eq!(from_candle(&scalar).unwrap().shape(), [0_usize; 0]);
        let empty = Theirs::from_vec(Vec::<f32>::new(), (0, 3), &Device::Cpu).unwrap();
        let ours = from_candle(&empty).unwrap();
        assert_eq!(to_candle(&ours, &Device::Cpu).unwrap().dims(), [0, 3]);
    }

    #[test]
    fn a_type_that_candle_does_not_have_is_an_error() {
        let error = to_candle(&Tensor::scalar(1_u64), &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("uint64"), "{error}");
    }
}
