//! Numeric types of pixels and the one rule of conversion between them.

use serde::{Deserialize, Serialize};

/// Numeric type of a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum DType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    F64,
}

impl DType {
    /// Every type, in the order of the enum.
    pub const ALL: [DType; 8] =
        [DType::U8, DType::I8, DType::U16, DType::I16, DType::U32, DType::I32, DType::F32, DType::F64];

    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            DType::U8 | DType::I8 => 1,
            DType::U16 | DType::I16 => 2,
            DType::U32 | DType::I32 | DType::F32 => 4,
            DType::F64 => 8,
        }
    }

    /// Whether values may be fractional and NaN.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// NumPy's name: `uint16`, `float32`, ...
    pub fn name(self) -> &'static str {
        match self {
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::U16 => "uint16",
            DType::I16 => "int16",
            DType::U32 => "uint32",
            DType::I32 => "int32",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// Smallest and largest value.
    pub fn range(self) -> (f64, f64) {
        match self {
            DType::U8 => (0.0, 255.0),
            DType::I8 => (-128.0, 127.0),
            DType::U16 => (0.0, 65535.0),
            DType::I16 => (-32768.0, 32767.0),
            DType::U32 => (0.0, f64::from(u32::MAX)),
            DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
            DType::F64 => (f64::MIN, f64::MAX),
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DType {
    type Err = String;
    /// Takes NumPy's and Rust's names. The error lists the valid names.
    fn from_str(s: &str) -> Result<Self, String> {
        let known = DType::ALL.into_iter().find(|d| d.name() == s || format!("{d:?}").to_lowercase() == s);
        known.ok_or_else(|| {
            format!("unknown type {s:?}; one of uint8, int8, uint16, int16, uint32, int32, float32, float64")
        })
    }
}

/// A pixel value: one of the eight numeric types of [`DType`].
pub trait Pixel:
    Copy + Send + Sync + PartialEq + PartialOrd + Default + std::fmt::Debug + std::fmt::Display + 'static
{
    /// Its run-time name.
    const DTYPE: DType;
    /// What stands at invalid pixels: NaN for floats, 0 for integers.
    const FILL: Self;
    /// NaN for floats, `None` for integers: whether validity can stay in the band.
    const IN_BAND: Option<Self>;
    /// As f64, exact for all eight types.
    fn to_f64(self) -> f64;
    /// From f64: rounded half away from zero and saturated for integers, NaN to 0.
    fn from_f64(v: f64) -> Self;
    /// Is this the nodata value `nodata`? NaN matches NaN.
    fn is(self, nodata: Self) -> bool;
    /// NaN (never for integers).
    fn is_nan(self) -> bool;
    /// The neighbouring value, to move a result off the nodata value: the next one up, or down at the top.
    fn beside(self) -> Self;
    /// From little-endian bytes of one value (exactly `DTYPE.size()` of them).
    fn from_le(bytes: &[u8]) -> Self;
    /// Little-endian bytes appended.
    fn push_le(self, out: &mut Vec<u8>);
}

macro_rules! int_pixel {
    ($($t:ty => $d:ident),*) => {$(
        impl Pixel for $t {
            const DTYPE: DType = DType::$d;
            const FILL: $t = 0;
            const IN_BAND: Option<$t> = None;
            #[inline(always)] fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)] fn from_f64(v: f64) -> $t { v.round() as $t }
            #[inline(always)] fn is(self, nodata: $t) -> bool { self == nodata }
            #[inline(always)] fn is_nan(self) -> bool { false }
            fn beside(self) -> $t { if self == <$t>::MAX { self - 1 } else { self + 1 } }
            #[inline(always)] fn from_le(b: &[u8]) -> $t { <$t>::from_le_bytes(b.try_into().expect("caller gives one value")) }
            #[inline(always)] fn push_le(self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_le_bytes()) }
        }
    )*};
}
macro_rules! float_pixel {
    ($($t:ty => $d:ident),*) => {$(
        impl Pixel for $t {
            const DTYPE: DType = DType::$d;
            const FILL: $t = <$t>::NAN;
            const IN_BAND: Option<$t> = Some(<$t>::NAN);
            #[inline(always)] fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)] fn from_f64(v: f64) -> $t { v as $t }
            #[inline(always)] fn is(self, nodata: $t) -> bool { self == nodata || (self != self && nodata != nodata) }
            #[inline(always)] fn is_nan(self) -> bool { self != self }
            fn beside(self) -> $t { if self == <$t>::MAX { self.next_down() } else { self.next_up() } }
            #[inline(always)] fn from_le(b: &[u8]) -> $t { <$t>::from_le_bytes(b.try_into().expect("caller gives one value")) }
            #[inline(always)] fn push_le(self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_le_bytes()) }
        }
    )*};
}
int_pixel!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32);
float_pixel!(f32 => F32, f64 => F64);

/// Converts a value as loading does: exact where it fits, rounded and saturated where it does not.
///
/// ```
/// use mapfold_grid::convert;
/// assert_eq!(convert::<u16, f32>(65535), 65535.0);
/// assert_eq!(convert::<f32, u8>(300.5), 255);
/// ```
#[inline(always)]
pub fn convert<S: Pixel, T: Pixel>(v: S) -> T {
    T::from_f64(v.to_f64())
}
