//! Pictures of rasters: from pixels to the bytes of a PNG.
//!
//! Pure functions over arrays: [`Shrink`] averages rows as they come (so a raster without overviews never has to fit
//! into memory), [`render`] stretches, colours, enlarges, draws the legend and encodes. [`read`] brings the pixels of
//! the overview that [`choose_level`] names, strip by strip; [`PreviewArgs`] is the command line of it all.
//!
//! Deliberately absent: reprojection, a world file, hill shading. A preview is to be looked at; the numbers are
//! what `info` and `stats` print.

mod args;
mod font;
mod legend;
mod ramp;
mod read;
mod render;
mod shrink;
mod stretch;

pub use args::PreviewArgs;
pub use ramp::Ramp;
pub use read::{choose_bands, read};
pub use render::{RenderOptions, render};
pub use shrink::{Shrink, choose_level};
pub use stretch::Stretch;

/// Pixels to be drawn: rows x columns per band, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Height.
    pub rows: usize,
    /// Width.
    pub cols: usize,
    /// 1 (ramp), 3 (red, green, blue) or 4 (red, green, blue, alpha) bands.
    pub bands: Vec<Vec<f32>>,
    /// 0 = invalid, 255 = valid, between = share of valid pixels under a picture's pixel. Invalid is transparent.
    pub valid: Vec<u8>,
}

/// Why no picture can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// Two bands, or five, or none.
    #[error("a picture needs 1, 3 or 4 bands, {0} given; choose them, for example --bands 4,3,2")]
    Bands(usize),
    /// A raster of no pixels.
    #[error("the raster has no pixels ({0} rows, {1} columns)")]
    Empty(usize, usize),
    /// Arrays that do not fit together.
    #[error("band {band} has {got} values, {want} wanted (rows x columns)")]
    Length {
        /// From 1; 0 = the validity.
        band: usize,
        /// Values given.
        got: usize,
        /// Values wanted.
        want: usize,
    },
    /// A ramp that does not exist.
    #[error("unknown colour ramp {name:?}; {hint}")]
    Ramp {
        /// As typed.
        name: String,
        /// Nearest name, or the list.
        hint: String,
    },
    /// A size that makes no picture.
    #[error("--size {0} is out of range; give 16 to 16384 pixels for the longer side")]
    Size(usize),
    /// Numbers after `--stretch` that make no range.
    #[error("{0:?} is no range of percentiles; give two from 0 to 100, for example --stretch=2,98")]
    Stretch(String),
    /// A picture under the name of something else.
    #[error("{0}: pictures are PNG files; give a name that ends in .png")]
    Ending(mapfold::store::Loc),
    /// The raster itself as the picture.
    #[error("{0}: the picture would replace the raster that it shows; choose another name")]
    Itself(mapfold::store::Loc),
    /// The raster cannot be read.
    #[error(transparent)]
    Raster(Box<mapfold::raster::RasterError>),
    /// The picture cannot be written, or the raster's bytes cannot be had.
    #[error(transparent)]
    Store(#[from] mapfold::store::StoreError),
    /// The PNG encoder refused.
    #[error("the picture could not be encoded")]
    Png(#[from] png::EncodingError),
}

impl From<mapfold::raster::RasterError> for PreviewError {
    fn from(error: mapfold::raster::RasterError) -> PreviewError {
        PreviewError::Raster(Box::new(error))
    }
}

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod tests;
