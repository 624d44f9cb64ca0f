//! `mapfold info`: what a raster file says of itself.

use mapfold::plan::{Kind, Plan, PlanOptions};
use mapfold::raster::{RasterMeta, RasterVerbs};
use mapfold::store::{Loc, Stores};
use mapfold::{Error, Result};
use serde_json::{Value, json};

/// Show what a raster file says of itself.
#[derive(clap::Args, Clone, Debug)]
pub struct InfoArgs {
    /// The raster; bands may be named behind it: scene.tif#B04
    pub input: Loc,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl InfoArgs {
    /// Reads the header (no pixel) and tells it.
    ///
    /// # Errors
    /// When it is missing or no raster.
    pub fn run(&self) -> Result<String> {
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
    let band = |i: &usize| {
        let b = &meta.bands[*i];
        let nodata = b.nodata.map(|n| if n.is_nan() { json!("nan") } else { json!(n) });
        json!({ "band": i + 1, "name": b.name, "dtype": b.dtype.name(), "nodata": nodata, "scale": b.scale, "offset": b.offset })
    };
    let level = |l: &mapfold::raster::LevelMeta| json!({ "shape": [l.shape.rows, l.shape.cols], "block": [l.block.rows, l.block.cols] });
    json!({
        "path": loc.to_string(),
        "format": meta.format,
        "bytes": bytes,
        "shape": [g.shape.rows, g.shape.cols],
        "crs": g.crs.to_string(),
        "epsg": g.crs.epsg,
        "transform": g.affine.to_gdal(),
        "bounds": g.bounds(),
        "resolution": [g.affine.a.hypot(g.affine.d), g.affine.b.hypot(g.affine.e)],
        "bands": bands.iter().map(band).collect::<Vec<_>>(),
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

fn text(v: &Value) -> String {
    let pair = |x: &Value| format!("{} x {}", x[0], x[1]);
    let mut out = String::new();
    let mut line = |name: &str, text: String| out += &format!("{name:<12}{text}\n");
    line("file", format!("{} ({})", word(&v["path"]), mapfold::watch::human::bytes(v["bytes"].as_u64().unwrap_or(0))));
    line("format", word(&v["format"]));
    line("size", format!("{} (rows x columns)", pair(&v["shape"])));
    line("crs", word(&v["crs"]));
    line("resolution", pair(&v["resolution"]));
    let b = &v["bounds"];
    line("bounds", format!("west {}, south {}, east {}, north {}", b[0], b[1], b[2], b[3]));
    let codec =
        format!("{}, predictor {}, {} interleaved", word(&v["compression"]), v["predictor"], word(&v["interleave"]));
    line("codec", format!("{codec}, tiles of {}", pair(&v["block"])));
    let levels: Vec<String> = v["overviews"].as_array().into_iter().flatten().map(|l| pair(&l["shape"])).collect();
    line("overviews", if levels.is_empty() { "none".into() } else { levels.join(", ") });
    line("mask", if v["mask"] == true { "internal".into() } else { "none".into() });
    for b in v["bands"].as_array().into_iter().flatten() {
        let name = b["name"].as_str().map_or(String::new(), |n| format!(" {n}"));
        let nodata = if b["nodata"].is_null() { String::new() } else { format!(", nodata {}", word(&b["nodata"])) };
        let linear = if b["scale"] == 1.0 && b["offset"] == 0.0 {
            String::new()
        } else {
            format!(", x {} + {}", b["scale"], b["offset"])
        };
        line("band", format!("#{}{name}: {}{nodata}{linear}", b["band"], word(&b["dtype"])));
    }
    v["warnings"].as_array().into_iter().flatten().for_each(|w| line("warning", word(w)));
    out
}

fn word(v: &Value) -> String {
    v.as_str().map_or_else(|| v.to_string(), ToString::to_string)
}
