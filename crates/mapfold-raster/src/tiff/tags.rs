//! Numbers of the tags that this reader knows, and names of what it refuses.

pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
pub(crate) const IMAGE_WIDTH: u16 = 256;
pub(crate) const IMAGE_LENGTH: u16 = 257;
pub(crate) const BITS_PER_SAMPLE: u16 = 258;
pub(crate) const COMPRESSION: u16 = 259;
pub(crate) const PHOTOMETRIC: u16 = 262;
pub(crate) const FILL_ORDER: u16 = 266;
pub(crate) const IMAGE_DESCRIPTION: u16 = 270;
pub(crate) const STRIP_OFFSETS: u16 = 273;
pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
pub(crate) const ROWS_PER_STRIP: u16 = 278;
pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
pub(crate) const PLANAR_CONFIG: u16 = 284;
pub(crate) const SOFTWARE: u16 = 305;
pub(crate) const DATE_TIME: u16 = 306;
pub(crate) const PREDICTOR: u16 = 317;
pub(crate) const TILE_WIDTH: u16 = 322;
pub(crate) const TILE_LENGTH: u16 = 323;
pub(crate) const TILE_OFFSETS: u16 = 324;
pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
pub(crate) const EXTRA_SAMPLES: u16 = 338;
pub(crate) const SAMPLE_FORMAT: u16 = 339;
pub(crate) const MODEL_PIXEL_SCALE: u16 = 33550;
pub(crate) const MODEL_TIEPOINT: u16 = 33922;
pub(crate) const MODEL_TRANSFORMATION: u16 = 34264;
pub(crate) const GEO_KEY_DIRECTORY: u16 = 34735;
pub(crate) const GEO_DOUBLE_PARAMS: u16 = 34736;
pub(crate) const GEO_ASCII_PARAMS: u16 = 34737;
pub(crate) const GDAL_METADATA: u16 = 42112;
pub(crate) const GDAL_NODATA: u16 = 42113;
pub(crate) const RPC_COEFFICIENTS: u16 = 50844;

/// The name of a compression that is not read here.
pub(crate) fn compression_name(code: u64) -> String {
    let name = match code {
        2 => "CCITT RLE",
        3 => "CCITT fax 3",
        4 => "CCITT fax 4",
        5 => "LZW",
        6 => "old-style JPEG",
        7 => "JPEG",
        32773 => "PackBits",
        34661 => "JBIG",
        34712 | 33003 | 33004 | 33005 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50001 => "WEBP",
        50002 | 52546 => "JPEG XL",
        _ => return format!("compression number {code}"),
    };
    format!("{name} compression ({code})")
}

/// The name of a photometric interpretation whose values are not plain numbers, if it is one.
pub(crate) fn coded_photometric(code: u64) -> Option<&'static str> {
    match code {
        5 => Some("CMYK"),
        6 => Some("YCbCr"),
        8..=10 => Some("CIE L*a*b*"),
        32844 | 32845 => Some("LogLuv"),
        _ => None,
    }
}
