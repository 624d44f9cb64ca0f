//! The door of every raster format: grid and bands first, then byte ranges, then pixels.

use crate::RasterMeta;
use bytes::Bytes;
use mapfold_grid::{DType, Pixel, Window};
use mapfold_store::Loc;
use std::ops::Range;

/// Which pixels: some bands of a window of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// 0 = full resolution, 1 = first overview, ...
    pub level: usize,
    /// Band numbers from 0, in the order wanted.
    pub bands: Vec<usize>,
    /// Pixels of that level; must lie inside it.
    pub window: Window,
}

/// Bytes that were fetched ahead: what a decoder reads from.
pub trait Fetched {
    /// The bytes of exactly this range, which was named by [`RasterSource::needs`].
    ///
    /// # Errors
    /// When the range was never asked for (a fault of the source) or its fetch failed.
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError>;
}

/// Room for decoded codec tiles, reused from tile to tile so that a pool thread allocates once.
#[derive(Default)]
pub struct Scratch {
    /// Decompressed bytes of one codec tile.
    pub tile: Vec<u8>,
    /// A second room of the same size, for predictor 3 and the like.
    pub other: Vec<u8>,
    /// A decompressor kept between tiles.
    pub inflate: Option<libdeflater::Decompressor>,
    /// A decompressor kept between tiles.
    pub unzstd: Option<zstd::bulk::Decompressor<'static>>,
}

/// A destination of pixels of any type: `window.pixels()` values per band, band after band.
pub enum PixelsMut<'a> {
    /// uint8
    U8(&'a mut [u8]),
    /// int8
    I8(&'a mut [i8]),
    /// uint16
    U16(&'a mut [u16]),
    /// int16
    I16(&'a mut [i16]),
    /// uint32
    U32(&'a mut [u32]),
    /// int32
    I32(&'a mut [i32]),
    /// float32
    F32(&'a mut [f32]),
    /// float64
    F64(&'a mut [f64]),
}

impl<'a> PixelsMut<'a> {
    /// Wraps a slice of any pixel type.
    pub fn of<T: Pixel>(values: &'a mut [T]) -> PixelsMut<'a> {
        macro_rules! pick {
            ($($t:ty => $v:ident),*) => {{
                let mut values = values;
                $(values = match same_type::<T, $t>(values) {
                    Ok(v) => return PixelsMut::$v(v),
                    Err(v) => v,
                };)*
                unreachable!("Pixel is implemented for eight types only, not {}", values.len())
            }};
        }
        pick!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32, f64 => F64)
    }
}

/// The same expression for each of the eight types.
macro_rules! each_type {
    ($pixels:expr, $v:ident => $do:expr) => {
        match $pixels {
            PixelsMut::U8($v) => $do,
            PixelsMut::I8($v) => $do,
            PixelsMut::U16($v) => $do,
            PixelsMut::I16($v) => $do,
            PixelsMut::U32($v) => $do,
            PixelsMut::I32($v) => $do,
            PixelsMut::F32($v) => $do,
            PixelsMut::F64($v) => $do,
        }
    };
}

impl PixelsMut<'_> {
    /// Number of values there is room for.
    pub fn len(&self) -> usize {
        each_type!(self, v => v.len())
    }

    /// Whether there is room for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Type of the values.
    pub fn dtype(&self) -> DType {
        fn of<T: Pixel>(_: &[T]) -> DType {
            T::DTYPE
        }
        each_type!(self, v => of(v))
    }

    /// Writes one value, converted as [`mapfold_grid::convert`] does.
    ///
    /// # Panics
    /// When `range` is not inside.
    pub fn fill(&mut self, range: Range<usize>, value: f64) {
        each_type!(self, v => v[range].fill(Pixel::from_f64(value)));
    }

    /// The bytes of some values in native byte order; `None` when `range` is not inside.
    pub(crate) fn bytes_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        each_type!(self, v => v.get_mut(range).map(crate::cast::bytes_mut))
    }
}

/// The slice as one of `U`s, when `T` is `U`. Safe: it goes through `Any`.
fn same_type<T: 'static, U: 'static>(values: &mut [T]) -> Result<&mut [U], &mut [T]> {
    if std::any::TypeId::of::<T>() != std::any::TypeId::of::<U>() {
        return Err(values);
    }
    Ok(crate::cast::slice_mut(values))
}

/// A raster file opened for reading.
///
/// Implementations must be cheap to share between threads and hold no file handle; they keep what planning read.
pub trait RasterSource: Send + Sync {
    /// What the file says of itself.
    fn meta(&self) -> &RasterMeta;
    /// The file.
    fn loc(&self) -> &Loc;
    /// Appends the byte ranges that decoding `want` will ask for, ascending, each codec tile once.
    ///
    /// # Errors
    /// When `want` names a level, band or window that the file has not.
    fn needs(&self, want: &Want, out: &mut Vec<Range<u64>>) -> Result<(), RasterError>;
    /// Decodes `want` into `pixels` (converted to the destination's type: exact where it fits, else rounded and
    /// saturated) and, where the file has a dataset mask, writes 0 (invalid) or 1 per pixel into `mask` (1 everywhere
    /// without a dataset mask). Nodata is not applied: the caller has it from the meta. Tiles that were never written
    /// become nodata, or 0 where the band has none.
    ///
    /// # Errors
    /// Names the codec tile that is truncated, corrupt or missing.
    fn decode(
        &self,
        want: &Want,
        fetched: &dyn Fetched,
        scratch: &mut Scratch,
        pixels: PixelsMut<'_>,
        mask: Option<&mut [u8]>,
    ) -> Result<(), RasterError>;
}

/// Why a raster cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RasterError {
    /// Bytes could not be had.
    #[error(transparent)]
    Store(#[from] mapfold_store::StoreError),
    /// Not a file of this format.
    #[error("{loc} is not a TIFF file ({why})")]
    NotARaster {
        /// The file.
        loc: Loc,
        /// What was found.
        why: String,
    },
    /// A feature of the format that is refused by name.
    #[error("{loc} uses {what}, which is not supported")]
    Unsupported {
        /// The file.
        loc: Loc,
        /// `JPEG compression (7)`, `CMYK`, ...
        what: String,
    },
    /// The header contradicts itself or is hostile.
    #[error("{loc}: damaged header: {why}")]
    Header {
        /// The file.
        loc: Loc,
        /// What is wrong.
        why: String,
    },
    /// One codec tile cannot be decoded.
    #[error("{loc}: tile ({row}, {col}) of level {level} {why}")]
    Tile {
        /// The file.
        loc: Loc,
        /// Level, 0 = full resolution.
        level: u32,
        /// Row of the tile, counted in tiles.
        row: u32,
        /// Column of the tile, counted in tiles.
        col: u32,
        /// `is truncated: 512 of 900 bytes`, `is corrupt: ...`
        why: String,
    },
    /// A request for pixels that are not there.
    #[error("{loc}: {why}")]
    Request {
        /// The file.
        loc: Loc,
        /// What was asked and what there is.
        why: String,
    },
    /// A band name or number that the file has not.
    #[error("{loc} has no band {band:?}; {hint}")]
    NoBand {
        /// The file.
        loc: Loc,
        /// As asked.
        band: String,
        /// Nearest name or the list.
        hint: String,
    },
    /// Options of a writer that do not go together.
    #[error("{what}")]
    Options {
        /// What is wrong and what would be right.
        what: String,
    },
}
