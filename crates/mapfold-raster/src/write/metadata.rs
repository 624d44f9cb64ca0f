//! The texts and georeference of a file: GDAL's metadata XML, nodata, GeoKeys, the affine.
//!
//! Numbers of statistics are written with at most [`NUMBER`] characters, so that the room for them is known before
//! they are.

use super::layout::Layout;
use super::stats::BandStatistics;
use mapfold_grid::{Affine, Crs, GeoKeyValue, RasterType};

/// Most characters of a number.
const NUMBER: usize = 26;

/// GDAL's `GDAL_METADATA` document of the image; `None` = with room for any statistics.
pub(crate) fn xml(layout: &Layout, statistics: Option<&[BandStatistics]>) -> String {
    let spec = &layout.spec;
    let mut out = String::from("<GDALMetadata>\n");
    for (name, text) in &spec.tags {
        out.push_str(&format!("  <Item name=\"{}\">{}</Item>\n", escape(name), escape_twice(text)));
    }
    if layout.levels().len() > 1 {
        let name = layout.resampling.to_string();
        out.push_str(&format!("  <Item name=\"OVR_RESAMPLING_ALG\">{}</Item>\n", name.to_uppercase()));
        out.push_str(&format!("  <Item name=\"resampling\" domain=\"rio_overview\">{name}</Item>\n"));
    }
    for band in 0..spec.bands {
        named_items(layout, band, &mut out);
        let total = spec.geobox.shape.pixels() as f64;
        statistics_items(band, statistics.map(|s| &s[band]), total, &mut out);
    }
    out.push_str("</GDALMetadata>\n");
    out
}

fn named_items(layout: &Layout, band: usize, out: &mut String) {
    if let Some(name) = layout.spec.names.get(band).and_then(Option::as_deref) {
        let name = escape_twice(name);
        out.push_str(&format!("  <Item name=\"DESCRIPTION\" sample=\"{band}\" role=\"description\">{name}</Item>\n"));
    }
    let (scale, offset) = layout.spec.scale_offset.get(band).copied().unwrap_or((1.0, 0.0));
    if (scale, offset) != (1.0, 0.0) {
        for (name, role, v) in [("OFFSET", "offset", offset), ("SCALE", "scale", scale)] {
            out.push_str(&format!("  <Item name=\"{name}\" sample=\"{band}\" role=\"{role}\">{}</Item>\n", number(v)));
        }
    }
}

fn statistics_items(band: usize, s: Option<&BandStatistics>, total: f64, out: &mut String) {
    let mut item = |name: &str, text: &str| {
        out.push_str(&format!("  <Item name=\"STATISTICS_{name}\" sample=\"{band}\">{text}</Item>\n"));
    };
    let room = "0".repeat(NUMBER);
    let texts = |s: &BandStatistics| [s.max, s.mean, s.min, s.std].map(number);
    let texts = s.map_or_else(|| [room.clone(), room.clone(), room.clone(), room.clone()], texts);
    if s.is_none_or(|s| s.count > 0) {
        ["MAXIMUM", "MEAN", "MINIMUM", "STDDEV"].iter().zip(&texts).for_each(|(name, text)| item(name, text));
    }
    let percent = s.map_or(room, |s| number((s.valid as f64 / total * 1e6).round() / 1e4));
    item("VALID_PERCENT", &percent);
}

/// A number as short as it reads back exactly, at most [`NUMBER`] characters.
pub(crate) fn number(v: f64) -> String {
    if v.is_nan() {
        return "nan".into();
    }
    let v = v + 0.0; // no "-0"
    if v != 0.0 && v.is_finite() && !(1e-5..1e17).contains(&v.abs()) {
        return format!("{v:e}");
    }
    v.to_string()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c < ' ' && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// GDAL unescapes texts (not names) once more after parsing: an ampersand needs to survive that.
fn escape_twice(text: &str) -> String {
    escape(&text.replace('&', "&amp;"))
}

/// The three GeoTIFF tags of a CRS: key directory, doubles, text. Empty when there is nothing to say.
#[derive(Default)]
pub(crate) struct GeoTags {
    pub directory: Vec<u16>,
    pub doubles: Vec<f64>,
    pub text: String,
}

/// GeoKeys verbatim, with GTRasterType (1025) put in its place.
pub(crate) fn geo_tags(crs: &Crs, georeferenced: bool) -> GeoTags {
    let mut tags = GeoTags::default();
    // That pixels are areas goes without saying; said without a CRS, GDAL makes a local one of it.
    if !crs.is_known() && (!georeferenced || crs.raster_type == RasterType::Area) {
        return tags;
    }
    let raster_type = if crs.raster_type == RasterType::Point { 2 } else { 1 };
    let mut entries = vec![[1025, 0, 1, raster_type]];
    for key in crs.geokeys.iter().filter(|k| k.id != 1025) {
        entries.push(match &key.value {
            GeoKeyValue::Short(v) => [key.id, 0, 1, *v],
            GeoKeyValue::Doubles(v) => {
                tags.doubles.extend(v);
                [key.id, 34736, v.len() as u16, (tags.doubles.len() - v.len()) as u16]
            }
            GeoKeyValue::Ascii(s) => {
                let at = tags.text.len();
                // A bar inside is kept: GDAL's citations of user-defined systems have some, and the key counts its bytes.
                tags.text.extend(s.chars().filter(|c| *c != '\0'));
                tags.text.push('|');
                [key.id, 34737, (tags.text.len() - at) as u16, at as u16]
            }
        });
    }
    entries.sort_by_key(|e| e[0]);
    tags.directory = vec![1, 1, 0, entries.len() as u16];
    tags.directory.extend(entries.into_iter().flatten());
    tags
}

/// How a file says its affine.
pub(crate) enum Placement {
    /// Pixel coordinates only.
    Nowhere,
    /// ModelPixelScale and ModelTiepoint.
    NorthUp([f64; 3], [f64; 6]),
    /// ModelTransformation.
    Matrix([f64; 16]),
}

/// The affine in GeoTIFF's terms. A file that says "point" names the centre of its first pixel.
pub(crate) fn placement(affine: &Affine, crs: &Crs) -> Placement {
    if *affine == Affine::IDENTITY && !crs.is_known() {
        return Placement::Nowhere;
    }
    let half = if crs.raster_type == RasterType::Point { 0.5 } else { 0.0 };
    let (x, y) = affine.at(half, half);
    let Affine { a, b, d, e, .. } = *affine;
    if b == 0.0 && d == 0.0 && a > 0.0 && e < 0.0 {
        return Placement::NorthUp([a, -e, 0.0], [0.0, 0.0, 0.0, x, y, 0.0]);
    }
    Placement::Matrix([a, b, 0.0, x, d, e, 0.0, y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
}

/// TIFF's photometric interpretation and the kinds of bands beyond it (0 unspecified, 2 alpha).
pub(crate) fn photometric(layout: &Layout) -> (u16, Vec<u16>) {
    let spec = &layout.spec;
    let name = |b: usize| spec.names.get(b).and_then(Option::as_deref).map(str::to_lowercase).unwrap_or_default();
    let colours = ["red", "green", "blue"];
    let rgb = spec.dtype == mapfold_grid::DType::U8 && spec.bands >= 3 && (0..3).all(|b| name(b) == colours[b]);
    let basic = if rgb { 3 } else { 1 };
    let extra = (basic..spec.bands).map(|b| if name(b) == "alpha" { 2 } else { 0 }).collect();
    (if rgb { 2 } else { 1 }, extra)
}
