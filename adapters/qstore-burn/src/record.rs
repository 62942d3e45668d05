//! A record of burn as nested state, and back: every tensor by itself, so that it can be read without burn.
//!
//! Burn can make bytes of each record, in its own container format; this file takes that apart. The bytes of a tensor
//! are taken over, not copied.

use burn_pack::{Bytes as BurnBytes, DType, Reader, Scalar, Tensor as BurnTensor, Writer};
use bytes::Bytes;
use qstore_schema::{Dtype, Key, State, StateDict, Tensor};

/// Keeps burn's bytes alive.
struct Owner(BurnBytes);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The state of a record.
///
/// ```text
/// tensors/{name}        in its own type; one that has no name here as bytes
/// param_ids/{name}      burn's identity of the parameter
/// opaque/{name}         of a tensor that is kept as bytes: burn's type as JSON, and the shape
/// int, uint, float, bool/{name}
/// paths/{name}          texts
/// ```
pub(crate) fn state(bytes: BurnBytes) -> Result<StateDict, String> {
    let reader = Reader::from_bytes(bytes).map_err(|error| error.to_string())?;
    let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
    let (mut tensors, mut ids, mut opaque) = (StateDict::new(), StateDict::new(), StateDict::new());
    for tensor in reader.into_tensors().map_err(|error| error.to_string())? {
        let (name, dtype, shape, id, bytes) =
            tensor.into_parts().map_err(|error| error.to_string())?;
        let (shape, bytes) = (shape.to_vec(), Bytes::from_owner(Owner(bytes)));
        let tensor = if let Some(dtype) = ours(dtype) {
            Tensor::new(dtype, shape, bytes).map_err(|error| format!("{name}: {error}"))?
        } else {
            let dtype = serde_json::to_string(&dtype).map_err(|error| error.to_string())?;
            let shape = shape.iter().map(|length| State::integer(*length as i128)).collect();
            let kept =
                StateDict::from([("dtype", State::from(dtype)), ("shape", State::List(shape))]);
            opaque.insert(name.as_str(), kept);
            Tensor::from_bytes(bytes)
        };
        if let Some(id) = id {
            ids.insert(name.as_str(), State::integer(i128::from(id)));
        }
        tensors.insert(name, tensor);
    }
    let mut kinds = [
        ("int", StateDict::new()),
        ("uint", StateDict::new()),
        ("float", StateDict::new()),
        ("bool", StateDict::new()),
    ];
    for (name, scalar) in scalars {
        let (kind, value) = match scalar {
            Scalar::Int(value) => (0, State::from(value)),
            Scalar::UInt(value) => (1, State::integer(i128::from(value))),
            Scalar::Float(value) => (2, State::from(value)),
            Scalar::Bool(value) => (3, State::from(value)),
        };
        kinds[kind].1.insert(name, value);
    }
    let paths: StateDict =
        paths.into_iter().map(|(name, text)| (name, State::from(text))).collect();
    let parts = [("tensors", tensors), ("param_ids", ids), ("opaque", opaque), ("paths", paths)];
    let parts = parts
        .into_iter()
        .chain(kinds)
        .filter(|(name, part)| *name == "tensors" || !part.is_empty());
    Ok(parts.collect())
}

/// The record of a state. The bytes are copied once, into burn's container.
pub(crate) fn bytes(state: &StateDict) -> Result<BurnBytes, String> {
    let empty = StateDict::new();
    let part = |name: &str| state.dict(name).unwrap_or(&empty);
    let (ids, opaque) = (part("param_ids"), part("opaque"));
    let mut tensors = Vec::new();
    let saved = state.dict("tensors").ok_or("it has no tensors")?;
    for (key, node) in saved.iter() {
        let name = name(key)?;
        let State::Tensor(tensor) = node else {
            return Err(format!("{name} is not a tensor"));
        };
        let (dtype, shape) = match opaque.dict(name) {
            None => (
                burns(tensor.dtype()).ok_or_else(|| format!("burn has no {}", tensor.dtype()))?,
                tensor.shape().to_vec(),
            ),
            Some(kept) => {
                let dtype = kept.text("dtype").ok_or_else(|| format!("{name} has no type"))?;
                let dtype: DType =
                    serde_json::from_str(dtype).map_err(|error| error.to_string())?;
                let shape = kept.list("shape").unwrap_or_default().iter();
                let shape = shape.map(|length| usize::try_from(length.as_integer()?).ok());
                (
                    dtype,
                    shape
                        .collect::<Option<Vec<_>>>()
                        .ok_or_else(|| format!("{name} has no shape"))?,
                )
            }
        };
        let id = ids.get(name).and_then(State::as_integer).and_then(|id| u64::try_from(id).ok());
        let bytes = BurnBytes::from_bytes_vec(tensor.data().to_vec());
        tensors.push(BurnTensor::new(name.to_owned(), dtype, shape, id, bytes));
    }
    let mut writer = Writer::new(tensors);
    for (kind, scalar) in [
        ("int", (|node| node.as_int().map(Scalar::Int)) as fn(&State) -> Option<Scalar>),
        ("uint", |node| u64::try_from(node.as_integer()?).ok().map(Scalar::UInt)),
        ("float", |node| node.as_float().map(Scalar::Float)),
        ("bool", |node| node.as_bool().map(Scalar::Bool)),
    ] {
        for (key, node) in part(kind).iter() {
            let name = name(key)?;
            let scalar =
                scalar(node).ok_or_else(|| format!("{name} is not of its kind, {kind}"))?;
            writer = writer.with_scalar(name, scalar);
        }
    }
    for (key, node) in part("paths").iter() {
        let name = name(key)?;
        writer = writer
            .with_metadata(name, node.as_text().ok_or_else(|| format!("{name} is not a text"))?);
    }
    writer.into_bytes().map_err(|error| error.to_string())
}

fn name(key: &Key) -> Result<&str, String> {
    match key {
        Key::Name(name) => Ok(name),
        Key::Int(number) => Err(format!("{number} is not a name")),
    }
}

const TYPES: &[(DType, Dtype)] = &[
    (DType::F64, Dtype::Float64),
    (DType::F32, Dtype::Float32),
    (DType::F16, Dtype::Float16),
    (DType::BF16, Dtype::BFloat16),
    (DType::I64, Dtype::Int64),
    (DType::I32, Dtype::Int32),
    (DType::I16, Dtype::Int16),
    (DType::I8, Dtype::Int8),
    (DType::U64, Dtype::UInt64),
    (DType::U32, Dtype::UInt32),
    (DType::U16, Dtype::UInt16),
    (DType::U8, Dtype::UInt8),
];

/// Quantized numbers, booleans and `Flex32` have no type of their own here.
fn ours(dtype: DType) -> Option<Dtype> {
    TYPES.iter().find(|(burns, _)| *burns == dtype).map(|(_, ours)| *ours)
}

fn burns(dtype: Dtype) -> Option<DType> {
    TYPES.iter().find(|(_, ours)| *ours == dtype).map(|(burns, _)| *burns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_scalar_and_text_survives() {
        let tensor = |name: &str, dtype, shape: Vec<usize>, id, length| {
            let bytes = (0..length).map(|byte| byte as u8).collect();
            BurnTensor::new(name.into(), dtype, shape, id, BurnBytes::from_bytes_vec(bytes))
        };
        let bool_store = DType::Bool(burn::tensor::BoolStore::U8);
        let packed = Writer::new(vec![
            tensor("a.weight", DType::F32, vec![2, 3], Some(u64::MAX), 24),
            tensor("b", DType::BF16, vec![4], None, 8),
            tensor("flags", bool_store, vec![2], Some(7), 2),
            tensor("none", DType::I64, vec![0], None, 0),
        ])
        .with_scalar("count", Scalar::UInt(u64::MAX))
        .with_scalar("offset", Scalar::Int(-3))
        .with_scalar("lr", Scalar::Float(0.1))
        .with_scalar("on", Scalar::Bool(true))
        .with_metadata("path", "a/b");
        let packed = packed.into_bytes().unwrap().to_vec();
        let state = state(BurnBytes::from_bytes_vec(packed.clone())).unwrap();
        let weights = state.dict("tensors").unwrap().tensor("a.weight").unwrap();
        assert_eq!((weights.dtype(), weights.shape()), (Dtype::Float32, &[2, 3][..]));
        assert_eq!(bytes(&state).unwrap().to_vec(), packed);
    }

    #[test]
    fn what_is_no_record_is_an_error_and_not_a_panic() {
        assert!(state(BurnBytes::from_bytes_vec(vec![1, 2, 3])).is_err());
        assert!(bytes(&StateDict::new()).is_err());
        let text = StateDict::from([("w", "text")]);
        assert!(bytes(&StateDict::from([("tensors", text)])).is_err());
        let complex = StateDict::from([("w", Tensor::scalar([1.0_f32, 2.0]))]);
        assert!(bytes(&StateDict::from([("tensors", complex)])).is_err());
    }
}
