//! What a user may choose about an output file, and the names of the choices on the command line.
//!
//! Values only: whether choices go together is decided where the layout is made, because that needs the image.

use serde::{Deserialize, Serialize};

/// Gives an enum its names for [`std::str::FromStr`] and [`std::fmt::Display`], and as `CHOICES` for the command line;
/// the first name of a variant is the one that is shown.
macro_rules! named {
    ($t:ident, $what:literal, $($variant:ident => [$first:literal $(, $other:literal)*]),+) => {
        impl $t {
            /// The names of every variant: the one that is shown, then others that are understood.
            pub const CHOICES: &'static [&'static [&'static str]] = &[$(&[$first $(, $other)*]),+];
        }
        impl std::str::FromStr for $t {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                match s {
                    $($first $(| $other)* => Ok($t::$variant),)+
                    _ => Err(format!(concat!("unknown ", $what, " {:?}; one of {}"), s, [$($first),+].join(", "))),
                }
            }
        }
        impl std::fmt::Display for $t {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($t::$variant => $first),+ })
            }
        }
    };
}

pub(crate) use named;

/// The kind of TIFF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Cloud-optimised: overviews, directories first, coarse levels before fine ones, GDAL's block leaders.
    #[default]
    Cog,
    /// Plain tiled GeoTIFF, without overviews unless asked for.
    Gtiff,
}
named!(Format, "format", Cog => ["cog"], Gtiff => ["gtiff", "geotiff", "tiff"]);

/// How tiles are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compress {
    /// Not at all.
    None,
    /// zlib, TIFF's compression 8: read by everything.
    Deflate,
    /// Zstandard, compression 50000: read by GDAL and its users; 4-5 times faster to write at the same size.
    #[default]
    Zstd,
}
named!(Compress, "compression", None => ["none"], Deflate => ["deflate", "zlib"], Zstd => ["zstd"]);

impl Compress {
    /// The level when none is given: ZSTD 1, DEFLATE 6.
    pub fn default_level(self) -> i32 {
        match self {
            Compress::None => 0,
            Compress::Deflate => 6,
            Compress::Zstd => 1,
        }
    }

    /// TIFF's code of the compression.
    pub(crate) fn code(self) -> u16 {
        match self {
            Compress::None => 1,
            Compress::Deflate => 8,
            Compress::Zstd => 50000,
        }
    }
}

/// What is done to the values before they are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Predictor {
    /// Horizontal for integers, Float for floats, none when nothing is compressed.
    #[default]
    Auto,
    /// Predictor 1.
    None,
    /// Predictor 2: differences along the row.
    Horizontal,
    /// Predictor 3: byte planes and differences, floats only.
    Float,
}
named!(Predictor, "predictor",
    Auto => ["auto"], None => ["none", "1"], Horizontal => ["horizontal", "2"], Float => ["float", "3"]);

/// How a coarser pixel is made of finer ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resampling {
    /// Mean of the valid pixels, weighted by the area of each inside the coarse pixel.
    #[default]
    Average,
    /// The pixel under the centre (the upper left one where the centre is on a border), valid or not.
    Nearest,
    /// The value that covers most of the coarse pixel; of equals the first in row order. For classes.
    Mode,
}
named!(Resampling, "resampling", Average => ["average"], Nearest => ["nearest"], Mode => ["mode"]);

/// How invalid pixels are told from valid ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaskChoice {
    /// By the nodata value where there is one (floats: NaN), else by an internal mask.
    #[default]
    Auto,
    /// Always by an internal mask, never by a nodata value.
    Internal,
    /// Never by a mask: without a nodata value, validity of integers is given up.
    None,
}
named!(MaskChoice, "mask", Auto => ["auto"], Internal => ["internal"], None => ["none"]);

/// Classic TIFF reaches 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BigTiff {
    /// BigTIFF when the finished file needs it.
    #[default]
    Auto,
    /// Always BigTIFF.
    Yes,
    /// Never: a file that grows too large is an error.
    No,
}
named!(BigTiff, "bigtiff", Auto => ["auto"], Yes => ["yes"], No => ["no"]);

/// How many overviews.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overviews {
    /// COG: halve until a level fits one tile. Plain GeoTIFF: none.
    #[default]
    Auto,
    /// None.
    None,
    /// This many, or fewer when a single pixel is reached.
    Count(usize),
}

impl std::str::FromStr for Overviews {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(Overviews::Auto),
            "none" => Ok(Overviews::None),
            n => n.parse().map(Overviews::Count).map_err(|_| format!("overviews {n:?}: auto, none or a number")),
        }
    }
}

impl std::fmt::Display for Overviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Overviews::Auto => f.write_str("auto"),
            Overviews::None => f.write_str("none"),
            Overviews::Count(n) => write!(f, "{n}"),
        }
    }
}

/// All choices about an output file.
///
/// ```
/// use mapfold_raster::write::{Compress, WriteOptions};
/// let options = WriteOptions { compress: "deflate".parse().unwrap(), ..WriteOptions::default() };
/// assert_eq!((options.compress, options.compress.default_level(), options.blocksize), (Compress::Deflate, 6, 512));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteOptions {
    /// COG or plain.
    pub format: Format,
    /// Codec of the tiles.
    pub compress: Compress,
    /// Effort: DEFLATE 1-12, ZSTD 1-22; `None` = [`Compress::default_level`].
    pub level: Option<i32>,
    /// Predictor.
    pub predictor: Predictor,
    /// Side of a codec tile in pixels: a multiple of 16 from 64 to 4096.
    pub blocksize: usize,
    /// Number of overviews.
    pub overviews: Overviews,
    /// How overviews are made.
    pub overview_resampling: Resampling,
    /// Mask or nodata.
    pub mask: MaskChoice,
    /// Value written at invalid pixels; goes before the image's own.
    pub nodata: Option<f64>,
    /// Classic or BigTIFF.
    pub bigtiff: BigTiff,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            format: Format::default(),
            compress: Compress::default(),
            level: None,
            predictor: Predictor::default(),
            blocksize: 512,
            overviews: Overviews::default(),
            overview_resampling: Resampling::default(),
            mask: MaskChoice::default(),
            nodata: None,
            bigtiff: BigTiff::default(),
        }
    }
}
