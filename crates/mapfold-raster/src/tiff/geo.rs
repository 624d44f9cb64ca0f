//! GeoTIFF: which ground the image covers.
//!
//! The affine is always that of pixel corners: files whose georeference names pixel centres (RasterPixelIsPoint) are
//! shifted by half a pixel, and the CRS remembers it. South-up and rotated images are carried as their affine says.
//! Ground control points and RPCs are not applied: such a file gets pixel coordinates and a warning.

use super::fault::Fault;
use super::ifd::Ifd;
use super::tags::*;
use mapfold_grid::{Affine, Crs, GeoBox, GeoKey, GeoKeyValue, RasterType, Shape};

const MODEL_TYPE: u16 = 1024;
const RASTER_TYPE: u16 = 1025;
const GEOGRAPHIC_CRS: u16 = 2048;
const PROJECTED_CRS: u16 = 3072;
/// "The parameters follow in other keys".
const USER_DEFINED: u16 = 32767;

/// The ground of the image, and what the user should know about it.
pub(crate) fn geobox(ifd: &Ifd, shape: Shape, warnings: &mut Vec<String>) -> Result<GeoBox, Fault> {
    let crs = crs(ifd, warnings)?;
    let mut affine = affine(ifd, warnings).unwrap_or(Affine::IDENTITY);
    if crs.raster_type == RasterType::Point && affine != Affine::IDENTITY {
        affine = affine.shifted(-0.5, -0.5);
    }
    Ok(GeoBox { shape, affine, crs })
}

fn affine(ifd: &Ifd, warnings: &mut Vec<String>) -> Option<Affine> {
    let ties = ifd.floats(MODEL_TIEPOINT).unwrap_or_default();
    let scale = ifd.floats(MODEL_PIXEL_SCALE).filter(|s| s.len() >= 2 && s[0] != 0.0 && s[1] != 0.0);
    let found = match (scale, ifd.floats(MODEL_TRANSFORMATION)) {
        (Some(s), _) if ties.len() >= 6 => Some(from_scale(&s, &ties, warnings)),
        (_, Some(m)) if m.len() >= 8 => Some(Affine { a: m[0], b: m[1], c: m[3], d: m[4], e: m[5], f: m[7] }),
        _ => None,
    };
    match found {
        Some(a) if !a.to_gdal().iter().all(|v| v.is_finite()) || a.a * a.e - a.b * a.d == 0.0 => {
            warnings.push("its georeference is not a usable affine; pixel coordinates are used".into());
            None
        }
        None => {
            warn_unapplied(ifd, ties.len() / 6, warnings);
            None
        }
        good => good,
    }
}

fn from_scale(scale: &[f64], tie: &[f64], warnings: &mut Vec<String>) -> Affine {
    if scale[1] < 0.0 {
        // GDAL does the same: such files come from writers that meant "north up".
        warnings.push("its pixel height is negative in ModelPixelScale; taken as positive".into());
    }
    let (w, h) = (scale[0], scale[1].abs());
    Affine::north_up(tie[3] - tie[0] * w, tie[4] + tie[1] * h, w, h)
}

fn warn_unapplied(ifd: &Ifd, points: usize, warnings: &mut Vec<String>) {
    if points > 0 {
        warnings.push(format!("it is georeferenced by {points} ground control points only, which are not applied"));
    } else if ifd.has(RPC_COEFFICIENTS) {
        warnings.push("it is georeferenced by RPCs only, which are not applied".into());
    }
}

/// Every GeoKey verbatim, and the EPSG code when there is one.
fn crs(ifd: &Ifd, warnings: &mut Vec<String>) -> Result<Crs, Fault> {
    let Some(directory) = ifd.uints(GEO_KEY_DIRECTORY)? else { return Ok(Crs::default()) };
    let doubles = ifd.floats(GEO_DOUBLE_PARAMS).unwrap_or_default();
    let ascii = ifd.text(GEO_ASCII_PARAMS).unwrap_or_default();
    let said = directory.get(3).copied().unwrap_or(0) as usize;
    let (mut geokeys, mut raster_type) = (Vec::new(), RasterType::Area);
    for entry in directory.get(4..).unwrap_or(&[]).chunks_exact(4).take(said) {
        let id = entry[0] as u16;
        match key_value(entry, &doubles, &ascii) {
            Some(GeoKeyValue::Short(2)) if id == RASTER_TYPE => raster_type = RasterType::Point,
            Some(_) if id == RASTER_TYPE => {}
            Some(value) => geokeys.push(GeoKey { id, value }),
            None => warnings.push(format!("GeoKey {id} points outside its parameters and is left out")),
        }
    }
    geokeys.sort_by_key(|k| k.id);
    Ok(Crs { epsg: epsg(&geokeys), geokeys, raster_type })
}

fn key_value(entry: &[u64], doubles: &[f64], ascii: &str) -> Option<GeoKeyValue> {
    let [place, count, at] = [1, 2, 3].map(|i| entry[i] as u16);
    let (count, at) = (usize::from(count), usize::from(at));
    match place {
        0 => Some(GeoKeyValue::Short(at as u16)),
        GEO_DOUBLE_PARAMS => Some(GeoKeyValue::Doubles(doubles.get(at..at + count)?.to_vec())),
        GEO_ASCII_PARAMS => {
            // Counted in bytes of the file, so by character only where the text is ASCII.
            let text = ascii.get(at..(at + count).min(ascii.len()))?;
            Some(GeoKeyValue::Ascii(text.strip_suffix('|').unwrap_or(text).to_owned()))
        }
        _ => None,
    }
}

fn epsg(keys: &[GeoKey]) -> Option<u32> {
    let short = |id| {
        keys.iter().find_map(|k| match k.value {
            GeoKeyValue::Short(v) if k.id == id => Some(v),
            _ => None,
        })
    };
    let code = match (short(PROJECTED_CRS), short(MODEL_TYPE)) {
        (Some(code), _) => code,
        (None, Some(1)) => return None,
        (None, _) => short(GEOGRAPHIC_CRS)?,
    };
    (code != 0 && code != USER_DEFINED).then_some(u32::from(code))
}
