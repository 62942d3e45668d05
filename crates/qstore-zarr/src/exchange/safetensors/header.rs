//! The header of a safetensors file: which tensors it has, of which type and shape, and where their bytes are.
//!
//! Nothing in it is trusted: the tensors must cover the data exactly, and each must have as many bytes as its
//! shape takes, as far as the size of its elements is known.

use qstore_schema::Dtype;
use qstore_storage::FileHandle;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// The maximum length of a header, the same as in the reference implementation.
pub(super) const HEADER_MAX: u64 = 100_000_000;
/// The name that is reserved for free-form metadata.
pub(super) const METADATA: &str = "__metadata__";

/// What a file says about itself.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    /// In the order of their data, which they cover without gaps or overlaps.
    pub(super) tensors: Vec<(String, Entry)>,
    /// Where the data begins.
    pub(super) data_start: u64,
    /// The length of the data.
    pub(super) data_len: u64,
}

/// One tensor.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) data_offsets: [u64; 2],
}

/// Why a header could not be read.
#[derive(Debug)]
pub(super) enum HeaderError {
    Failed(qstore_storage::Error),
    OutOfMemory(u64),
    Malformed(String),
}

impl From<qstore_storage::Error> for HeaderError {
    fn from(error: qstore_storage::Error) -> Self {
        Self::Failed(error)
    }
}

impl Header {
    pub(super) fn read(file: &dyn FileHandle) -> Result<Self, HeaderError> {
        let malformed = |reason: &str| HeaderError::Malformed(reason.into());
        let len = file.len()?;
        if len < 8 {
            return Err(malformed("the file is too short"));
        }
        let mut prefix = [0; 8];
        file.read_at(0, &mut prefix)?;
        let header_len = u64::from_le_bytes(prefix);
        if header_len > HEADER_MAX || header_len > len - 8 {
            return Err(malformed("the header does not fit into the file"));
        }
        let mut text = Vec::new();
        let reserved = text.try_reserve_exact(header_len as usize);
        reserved.map_err(|_| HeaderError::OutOfMemory(header_len))?;
        text.resize(header_len as usize, 0); // bounded: it was reserved
        file.read_at(8, &mut text)?;
        let Fields { metadata, mut tensors } = serde_json::from_slice(&text)
            .map_err(|error| HeaderError::Malformed(error.to_string()))?;
        let data_len = len - 8 - header_len;
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        check(&tensors, data_len).map_err(HeaderError::Malformed)?;
        Ok(Self { metadata, tensors, data_start: 8 + header_len, data_len })
    }
}

fn check(tensors: &[(String, Entry)], data_len: u64) -> Result<(), String> {
    let mut end = 0;
    let mut names = HashSet::new();
    for (name, entry) in tensors {
        let [start, entry_end] = entry.data_offsets;
        if start != end || entry_end < end {
            return Err(format!("`{name}` does not begin where the previous tensor ends"));
        }
        if !names.insert(name) {
            return Err(format!("it lists `{name}` twice"));
        }
        end = entry_end;
    }
    if end != data_len {
        return Err(format!("the tensors have {end} bytes, the file has {data_len} bytes of data"));
    }
    for (name, entry) in tensors {
        entry.check_len().map_err(|reason| format!("`{name}`: {reason}"))?;
    }
    Ok(())
}

impl Entry {
    /// The length of its data in bytes.
    pub(super) fn len(&self) -> u64 {
        self.data_offsets[1] - self.data_offsets[0]
    }

    fn check_len(&self) -> Result<(), String> {
        if self.shape.iter().any(|length| i64::try_from(*length).is_err()) {
            return Err(format!("shape {:?} has a length beyond 63 bits", self.shape));
        }
        let Some(bits) = bits_of(&self.dtype) else { return Ok(()) };
        match bytes_of(bits, &self.shape) {
            Some(expected) if expected == self.len() => Ok(()),
            Some(expected) => Err(format!(
                "shape {:?} of {} takes {expected} bytes, but there are {}",
                self.shape,
                self.dtype,
                self.len()
            )),
            None => Err(format!(
                "shape {:?} of {} takes no whole number of bytes that can be \
                 addressed",
                self.shape, self.dtype
            )),
        }
    }
}

/// The fields of the JSON object.
struct Fields {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Entry)>,
}

// Not derived: a name that is listed twice must be seen, and a value that is not kept costs no memory.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut metadata: Option<Option<BTreeMap<String, String>>> = None;
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        let entry = map.next_value();
                        let entry = entry
                            .map_err(|error| A::Error::custom(format!("`{name}`: {error}")))?;
                        tensors.push((name, entry));
                    } else if metadata.replace(map.next_value()?).is_some() {
                        return Err(A::Error::duplicate_field(METADATA));
                    }
                }
                Ok(Fields { metadata: metadata.flatten().unwrap_or_default(), tensors })
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Every element type that has a [`Dtype`]; 128-bit complex numbers do not exist in the format.
pub(super) const DTYPES: [(Dtype, &str); 16] = [
    (Dtype::Bool, "BOOL"),
    (Dtype::Int8, "I8"),
    (Dtype::Int16, "I16"),
    (Dtype::Int32, "I32"),
    (Dtype::Int64, "I64"),
    (Dtype::UInt8, "U8"),
    (Dtype::UInt16, "U16"),
    (Dtype::UInt32, "U32"),
    (Dtype::UInt64, "U64"),
    (Dtype::Float8E4M3, "F8_E4M3"),
    (Dtype::Float8E5M2, "F8_E5M2"),
    (Dtype::BFloat16, "BF16"),
    (Dtype::Float16, "F16"),
    (Dtype::Float32, "F32"),
    (Dtype::Float64, "F64"),
    (Dtype::Complex64, "C64"),
];

/// The size in bits of the other types that are known to exist.
const RAW_BITS: [(&str, u64); 6] = [
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
];

pub(super) fn name_of(dtype: Dtype) -> Option<&'static str> {
    DTYPES.iter().find(|(known, _)| *known == dtype).map(|(_, name)| *name)
}

pub(super) fn dtype_of(name: &str) -> Option<Dtype> {
    DTYPES.iter().find(|(_, known)| *known == name).map(|(dtype, _)| *dtype)
}

/// The size of an element in bits; `None` for a type that did not exist when this was written.
pub(super) fn bits_of(name: &str) -> Option<u64> {
    let raw = || RAW_BITS.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits);
    dtype_of(name).map(|dtype| dtype.size() as u64 * 8).or_else(raw)
}

/// The bytes that elements of `bits` bits each take, which must be a whole number.
pub(super) fn bytes_of(bits: u64, shape: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    let product = |bits: u128, length: &usize| bits.checked_mul(*length as u128);
    let bits = shape.iter().try_fold(u128::from(bits), product)?;
    (bits % 8 == 0).then(|| u64::try_from(bits / 8).ok())?
}
