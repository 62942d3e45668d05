//! Element types of tensors, and the Rust types that correspond to them.

use bytemuck::{CheckedBitPattern, NoUninit};
use smol_str::SmolStr;
use std::fmt;
use std::str::FromStr;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $size:literal;)*) => {
        /// The element type of a tensor.
        ///
        /// ```
        /// use qstore_schema::Dtype;
        ///
        /// let dtype: Dtype = "bfloat16".parse()?;
        /// assert_eq!((dtype, dtype.size()), (Dtype::BFloat16, 2));
        /// let error = "float7".parse::<Dtype>().unwrap_err();
        /// assert_eq!(error.to_string(), "unknown dtype `float7`; see `Dtype::ALL` for the known ones");
        /// # Ok::<(), qstore_schema::UnknownDtype>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dtype { $($(#[$doc])* $variant,)* }

        impl Dtype {
            /// Every element type.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name as Zarr and NumPy write it, such as `float32`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The size of one element in bytes.
            #[must_use]
            pub const fn size(self) -> usize {
                match self { $(Self::$variant => $size,)* }
            }
        }
    };
}

dtypes! {
    /// One byte, 0 or 1.
    Bool, "bool", 1;
    /// Signed, 8 bits.
    Int8, "int8", 1;
    /// Signed, 16 bits.
    Int16, "int16", 2;
    /// Signed, 32 bits.
    Int32, "int32", 4;
    /// Signed, 64 bits.
    Int64, "int64", 8;
    /// Unsigned, 8 bits.
    UInt8, "uint8", 1;
    /// Unsigned, 16 bits.
    UInt16, "uint16", 2;
    /// Unsigned, 32 bits.
    UInt32, "uint32", 4;
    /// Unsigned, 64 bits.
    UInt64, "uint64", 8;
    /// OCP 8-bit float, 4 exponent and 3 mantissa bits, finite.
    Float8E4M3, "float8_e4m3fn", 1;
    /// OCP 8-bit float, 5 exponent and 2 mantissa bits.
    Float8E5M2, "float8_e5m2", 1;
    /// Brain float: the upper half of a `float32`.
    BFloat16, "bfloat16", 2;
    /// IEEE 754 binary16.
    Float16, "float16", 2;
    /// IEEE 754 binary32.
    Float32, "float32", 4;
    /// IEEE 754 binary64.
    Float64, "float64", 8;
    /// The real and the imaginary part, each a `float32`.
    Complex64, "complex64", 8;
    /// The real and the imaginary part, each a `float64`.
    Complex128, "complex128", 16;
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(name: &str) -> Result<Self, UnknownDtype> {
        Self::ALL
            .iter()
            .copied()
            .find(|dtype| dtype.name() == name)
            .ok_or_else(|| UnknownDtype { name: name.into() })
    }
}

/// A name that no [`Dtype`] has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype `{name}`; see `Dtype::ALL` for the known ones")]
#[non_exhaustive]
pub struct UnknownDtype {
    /// The name.
    pub name: SmolStr,
}

/// A Rust type that a tensor can be made from and read as.
///
/// Complex numbers are `[f32; 2]` and `[f64; 2]`: the real part, then the imaginary part.
pub trait Element: NoUninit + CheckedBitPattern + Send + Sync {
    /// The corresponding element type.
    const DTYPE: Dtype;
}

macro_rules! element {
    ($($rust:ty => $dtype:ident,)*) => {$(
        impl Element for $rust { const DTYPE: Dtype = Dtype::$dtype; }
    )*};
}

element! {
    bool => Bool,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => UInt8, u16 => UInt16, u32 => UInt32, u64 => UInt64,
    f32 => Float32, f64 => Float64,
    [f32; 2] => Complex64, [f64; 2] => Complex128,
}

#[cfg(feature = "half")]
element! {
    half::f16 => Float16,
    half::bf16 => BFloat16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse_back() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse(), Ok(*dtype));
        }
        assert!("float7".parse::<Dtype>().is_err());
    }

    #[test]
    fn rust_types_have_the_size_of_their_dtype() {
        fn check<T: Element>() {
            assert_eq!(size_of::<T>(), T::DTYPE.size(), "{}", T::DTYPE);
        }
        check::<bool>();
        check::<i16>();
        check::<u64>();
        check::<f32>();
        check::<[f64; 2]>();
    }
}
