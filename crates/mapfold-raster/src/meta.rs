//! What a raster file says of itself before a pixel is read.

use mapfold_grid::{DType, GeoBox, Shape};
use serde::{Deserialize, Serialize};

/// One band of a raster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandMeta {
    /// Name or description (`B04`), when the file has one.
    pub name: Option<String>,
    /// Type of the stored values.
    pub dtype: DType,
    /// Nodata value as the file says it, when it can stand in `dtype` (NaN included).
    pub nodata: Option<f64>,
    /// Real value = stored value x scale + offset.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
}

/// How the samples of a pixel lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interleave {
    /// All bands of a pixel together (chunky).
    Pixel,
    /// Band after band (planar).
    Band,
}

/// One resolution of a raster: level 0 is the full one, others are overviews.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelMeta {
    /// Rows and columns.
    pub shape: Shape,
    /// The compressed unit: a codec tile, or a strip as wide as the image.
    pub block: Shape,
}

/// What a raster file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RasterMeta {
    /// Format for people: `GeoTIFF`, `COG`, ...
    pub format: String,
    /// The ground that level 0 covers.
    pub geobox: GeoBox,
    /// Bands, first to last.
    pub bands: Vec<BandMeta>,
    /// Level 0 and the overviews, finest first.
    pub levels: Vec<LevelMeta>,
    /// How samples lie.
    pub interleave: Interleave,
    /// Whether a dataset mask comes with the pixels.
    pub has_mask: bool,
    /// `deflate`, `zstd`, `none`.
    pub compression: String,
    /// 1 none, 2 horizontal, 3 floating point.
    pub predictor: u16,
    /// Other metadata of the file (GDAL items), as name and text.
    pub tags: Vec<(String, String)>,
    /// What a reader should tell the user: sidecars ignored, nodata outside the type, mask and nodata both present.
    pub warnings: Vec<String>,
}
