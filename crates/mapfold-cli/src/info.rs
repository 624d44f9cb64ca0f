//! `mapfold info`: what a raster file says of itself, as JSON with every digit or as text for people.
//!
//! The text is made from the JSON, so that they cannot disagree. No pixel is read.

use mapfold::grid::{Crs, GeoKeyValue};
use mapfold::plan::{Kind, Plan, PlanOptions};
use mapfold::raster::{BandMeta, LevelMeta, RasterMeta, RasterVerbs};
use mapfold::store::{Loc, Stores};
use mapfold::{Error, Result};
use serde_json::{Value, json};

/// Show what a raster file says of itself
#[derive(clap::Args, Clone, Debug)]
pub struct InfoArgs {
    /// The raster; bands may be named behind it: scene.tif#B04
    pub input: Loc,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

impl InfoArgs {
    /// Reads the header (no pixel) and tells it.
    ///
    /// # Errors
    /// When it is missing or no raster.
    pub fn run(&self) -> Result<String> {
        self.stores.install()?;
        let plan = Plan::new(Stores::new(), PlanOptions::default());
        let opened = plan.open_raster(&self.input)?;
        let value = told(opened.meta(), &self.input, opened.info.size, &opened.bands);
        if self.json {
            let text = serde_json::to_string_pretty(&value).map_err(|e| Error::caused(Kind::Job, e))?;
            return Ok(text + "\n");
        }
        Ok(text(&value))
    }
}

fn told(meta: &RasterMeta, loc: &Loc, bytes: u64, bands: &[usize]) -> Value {
    let g = &meta.geobox;
    let level = |l: &LevelMeta| json!({ "shape": [l.shape.rows, l.shape.cols], "block": [l.block.rows, l.block.cols] });
    json!({
        "path": loc.to_string(),
        "format": meta.format,
        "bytes": bytes,
        "shape": [g.shape.rows, g.shape.cols],
        "crs": g.crs.to_string(),
        "epsg": g.crs.epsg,
        "unit": unit(&g.crs),
        "transform": g.affine.to_gdal(),
        "bounds": g.bounds(),
        "resolution": g.affine.pixel_size(),
        "bands": bands.iter().map(|i| band(*i, &meta.bands[*i])).collect::<Vec<_>>(),
        "block": [meta.levels[0].block.rows, meta.levels[0].block.cols],
        "overviews": meta.levels[1..].iter().map(level).collect::<Vec<_>>(),
        "interleave": format!("{:?}", meta.interleave).to_lowercase(),
        "compression": meta.compression,
        "predictor": meta.predictor,
        "mask": meta.has_mask,
        "tags": meta.tags.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
        "warnings": meta.warnings,
    })
}

fn band(i: usize, b: &BandMeta) -> Value {
    let nodata = b.nodata.map(|n| match b.dtype.is_float() {
        true if n.is_finite() => json!(n),
        true => json!(n.to_string().to_lowercase()), // JSON has no number for these
        false => json!(n as i64),
    });
    let dtype = b.dtype.name();
    json!({ "band": i + 1, "name": b.name, "dtype": dtype, "nodata": nodata, "scale": b.scale, "offset": b.offset })
}

/// The unit of coordinates, where the file says it (GeoKeys) or the EPSG code is one of the common ones.
fn unit(crs: &Crs) -> Option<&'static str> {
    let short = |id: u16| {
        crs.geokeys.iter().find(|k| k.id == id).and_then(|k| match k.value {
            GeoKeyValue::Short(v) => Some(v),
            _ => None,
        })
    };
    match (short(1024), short(3076), crs.epsg) {
        (Some(2), ..) => Some("degrees"),
        (_, Some(9001), _) => Some("m"),
        (_, Some(9002), _) => Some("ft"),
        (_, Some(9003), _) => Some("US ft"),
        // UTM on WGS 84 and ETRS89, Web Mercator, LAEA Europe.
        (_, None, Some(3857 | 3035 | 25828..=25838 | 32601..=32660 | 32701..=32760)) => Some("m"),
        _ => None,
    }
}

fn text(v: &Value) -> String {
    let pair = |x: &Value| format!("{} x {}", x[0], x[1]);
    let mut out = String::new();
    let mut line = |name: &str, text: String| out += &format!("{name:<12}{text}\n");
    line("file", format!("{} ({})", word(&v["path"]), mapfold::watch::human::bytes(v["bytes"].as_u64().unwrap_or(0))));
    line("format", word(&v["format"]));
    line("size", format!("{} pixels (rows x columns)", pair(&v["shape"])));
    line("crs", word(&v["crs"]));
    let unit = v["unit"].as_str().map_or(String::new(), |u| format!(" {u}"));
    let r = &v["resolution"];
    line("resolution", format!("{} x {}{unit} (x, y)", digits(number(&r[0]), 9), digits(number(&r[1]), 9)));
    line("bounds", format!("{}{unit}", bounds(&v["bounds"], number(&r[0]))));
    line("codec", codec(v));
    let levels: Vec<String> = v["overviews"].as_array().into_iter().flatten().map(|l| pair(&l["shape"])).collect();
    line("overviews", if levels.is_empty() { "none".into() } else { levels.join(", ") });
    line("mask", if v["mask"] == true { "internal".into() } else { "none".into() });
    let tags = v["tags"].as_object().map_or(0, serde_json::Map::len);
    if tags > 0 {
        line("tags", format!("{tags}, shown with --json"));
    }
    v["bands"].as_array().into_iter().flatten().for_each(|b| line("band", band_text(b)));
    v["warnings"].as_array().into_iter().flatten().for_each(|w| line("warning", word(w)));
    out
}

/// West, south, east, north, to a thousandth of a pixel.
fn bounds(b: &Value, pixel: f64) -> String {
    let decimals = if pixel > 0.0 { (3.0 - pixel.log10()).ceil().clamp(0.0, 12.0) as usize } else { 6 };
    let at = |i: usize| plain(&format!("{:.decimals$}", number(&b[i])));
    format!("west {}, south {}, east {}, north {}", at(0), at(1), at(2), at(3))
}

fn codec(v: &Value) -> String {
    let predictor = match v["predictor"].as_u64() {
        Some(2) => ", predictor 2 (horizontal)",
        Some(3) => ", predictor 3 (float)",
        _ => "",
    };
    let many = v["bands"].as_array().is_some_and(|b| b.len() > 1);
    let interleave = if many { format!(", {} interleaved", word(&v["interleave"])) } else { String::new() };
    let (block, shape) = (&v["block"], &v["shape"]);
    let sixteen = |n: &Value| n.as_u64().is_some_and(|n| n % 16 == 0);
    let blocks = match block[1] == shape[1] && !(sixteen(&block[0]) && sixteen(&block[1])) {
        true => format!("strips of {} rows", block[0]),
        false => format!("tiles of {} x {}", block[0], block[1]),
    };
    format!("{}{predictor}{interleave}, {blocks}", word(&v["compression"]))
}

fn band_text(b: &Value) -> String {
    let name = b["name"].as_str().map_or(String::new(), |n| format!(" {n}"));
    let nodata = if b["nodata"].is_null() { String::new() } else { format!(", nodata {}", value(&b["nodata"])) };
    let (scale, offset) = (number(&b["scale"]), number(&b["offset"]));
    let mut linear = String::new();
    if scale != 1.0 || offset != 0.0 {
        linear += &format!(", value = stored x {}", digits(scale, 12));
    }
    if offset != 0.0 {
        linear += &format!(" {} {}", if offset < 0.0 { "-" } else { "+" }, digits(offset.abs(), 12));
    }
    format!("#{}{name}: {}{nodata}{linear}", b["band"], word(&b["dtype"]))
}

fn word(v: &Value) -> String {
    v.as_str().map_or_else(|| v.to_string(), ToString::to_string)
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or(f64::NAN)
}

/// Nodata: every digit, but no `.0`.
fn value(v: &Value) -> String {
    let text = word(v);
    text.strip_suffix(".0").map_or_else(|| text.clone(), ToString::to_string)
}

/// At most so many digits that mean something, without zeros at the end.
fn digits(v: f64, most: usize) -> String {
    format!("{v:.*e}", most - 1).parse::<f64>().map_or_else(|_| v.to_string(), |v| v.to_string())
}

/// A decimal number without zeros at the end and without the minus of a zero.
fn plain(text: &str) -> String {
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if short == "-0" { "0".into() } else { short.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_write_them() {
        let ends = json!([465_181.052_231_820_4, -0.000_01, 5e6, 4_599_300.0]);
        assert_eq!(bounds(&ends, 10.0), "west 465181.05, south 0, east 5000000, north 4599300");
        assert_eq!(bounds(&json!([5.123_456_78, 1, 2, 3]), 0.0001), "west 5.1234568, south 1, east 2, north 3");
        assert_eq!(digits(9.994_792_220_071_54, 9), "9.99479222");
        assert_eq!([json!(0), json!(-9999.0), json!("nan")].map(|v| value(&v)), ["0", "-9999", "nan"]);
    }

    #[test]
    fn a_scale_is_told_as_a_sum() {
        let b = |scale: f64, offset: f64| json!({ "band": 1, "dtype": "uint16", "scale": scale, "offset": offset });
        assert_eq!(band_text(&b(1.0, 0.0)), "#1: uint16");
        assert_eq!(band_text(&b(0.0001, 0.0)), "#1: uint16, value = stored x 0.0001");
        assert_eq!(band_text(&b(0.0001, -0.1)), "#1: uint16, value = stored x 0.0001 - 0.1");
    }

    #[test]
    fn units_are_known_for_degrees_and_utm() {
        assert_eq!([4326, 32633, 2154].map(|code| unit(&Crs::from_epsg(code))), [Some("degrees"), Some("m"), None]);
    }
}
