//! Tensors of element types that have no [`Dtype`](qstore_schema::Dtype): carried as bytes, with the type's
//! name and the shape beside them.
//!
//! In a state they are a dict, so that they stay together wherever the dict is moved, and so that every
//! checkpoint keeps them without knowing of them.

use super::header::{bits_of, bytes_of};
use bytes::Bytes;
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};

const DTYPE: &str = "safetensors_dtype";
const SHAPE: &str = "shape";
const BYTES: &str = "bytes";

/// A tensor of a safetensors file whose element type has no [`Dtype`](qstore_schema::Dtype): 4-bit and 6-bit
/// floats, 8-bit floats of other kinds, and types that did not exist when this version was written.
///
/// [`import_safetensors`](crate::import_safetensors) puts it into the state as a dict with the keys
/// `safetensors_dtype`, `shape` and `bytes`, which is saved, loaded and moved like any other.
/// [`export_safetensors`](crate::export_safetensors) writes such a dict as a tensor of that type again.
///
/// ```
/// use qstore_schema::StateDict;
/// use qstore_zarr::RawTensor;
///
/// # let path = tempfile::tempdir()?;
/// # let path = path.path().join("model.safetensors");
/// let scale = RawTensor { dtype: "F8_E8M0".into(), shape: vec![3], data: vec![127, 128, 126].into() };
/// qstore_zarr::export_safetensors(&path, &StateDict::from_iter([("scale", scale.clone())]))?;
///
/// let model = qstore_zarr::import_safetensors(&path)?;
/// assert_eq!(RawTensor::of(model.get("scale").unwrap()), Some(scale));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// The name of the element type in the file, such as `F8_E8M0`.
    pub dtype: String,
    /// The length of each dimension in elements, outermost first.
    pub shape: Vec<usize>,
    /// The bytes as they are in the file. An element may take less than a byte.
    pub data: Bytes,
}

impl RawTensor {
    /// The raw tensor that this node of a state is; `None` if it is anything else.
    #[must_use]
    pub fn of(node: &State) -> Option<Self> {
        let State::Dict(dict) = node else { return None };
        let State::Text(dtype) = dict.get(DTYPE)? else { return None };
        let State::List(shape) = dict.get(SHAPE)? else { return None };
        let State::Tensor(bytes) = dict.get(BYTES)? else { return None };
        let length = |node: &State| match node {
            State::Int(length) => usize::try_from(*length).ok(),
            _ => None,
        };
        let shape = shape.iter().map(length).collect::<Option<Vec<_>>>()?;
        let is_plain = dict.len() == 3 && bytes.dtype() == Dtype::UInt8 && bytes.shape().len() == 1;
        let raw = Self { dtype: dtype.as_str().into(), shape, data: bytes.data().clone() };
        // Anything else is somebody's dict that happens to have these names, and is written as a dict.
        (is_plain && raw.is_consistent()).then_some(raw)
    }

    /// Whether the bytes are as many as the shape takes, as far as the size of an element is known.
    fn is_consistent(&self) -> bool {
        let len = self.data.len() as u64;
        bits_of(&self.dtype).is_none_or(|bits| bytes_of(bits, &self.shape) == Some(len))
    }
}

impl From<RawTensor> for State {
    fn from(raw: RawTensor) -> Self {
        let shape = raw.shape.iter().map(|length| State::Int(*length as i64)).collect();
        let fields = [
            (DTYPE, State::Text(raw.dtype.into())),
            (SHAPE, State::List(shape)),
            (BYTES, State::Tensor(Tensor::from_bytes(raw.data))),
        ];
        let fields = fields.map(|(name, node)| (Key::from(name), node));
        State::Dict(fields.into_iter().collect::<StateDict>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(dtype: &str, shape: &[usize], len: usize) -> RawTensor {
        RawTensor { dtype: dtype.into(), shape: shape.into(), data: vec![7; len].into() }
    }

    #[test]
    fn a_raw_tensor_comes_back_from_a_state() {
        for raw in [
            raw("F4", &[2, 3], 3),
            raw("F6_E2M3", &[4], 3),
            raw("F8_E8M0", &[0, 9], 0),
            raw("I3_OF_THE_FUTURE", &[5], 11),
            raw("F8_E4M3FNUZ", &[], 1),
        ] {
            assert_eq!(RawTensor::of(&raw.clone().into()), Some(raw));
        }
    }

    #[test]
    fn a_dict_that_only_looks_like_one_stays_a_dict() {
        let changed = |change: fn(&mut StateDict)| {
            let State::Dict(mut dict) = raw("F8_E8M0", &[3], 3).into() else { unreachable!() };
            change(&mut dict);
            RawTensor::of(&State::Dict(dict))
        };
        assert!(changed(|_| {}).is_some());
        assert_eq!(changed(|dict| drop(dict.insert("more", 1))), None);
        assert_eq!(changed(|dict| drop(dict.insert(SHAPE, vec![State::Int(4)]))), None);
        assert_eq!(changed(|dict| drop(dict.insert(SHAPE, vec![State::Int(-3)]))), None);
        assert_eq!(changed(|dict| drop(dict.insert(DTYPE, "F32"))), None); // too few bytes
        assert_eq!(changed(|dict| drop(dict.insert(BYTES, Tensor::scalar(1_u8)))), None);
        assert_eq!(RawTensor::of(&State::Null), None);
    }
}
