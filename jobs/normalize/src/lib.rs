//! Standard scores of a raster, `(x - mean) / std` band by band: two passes over the pixels.
//!
//! The first pass folds each band into exact sums, the second uses them: a [`mapfold::plan::Side`].
use mapfold::plan::exact::Moments;
use mapfold::prelude::*;

/// Standard scores, (x - mean) / std of each band: nodata in, nodata out; a band of one value has none
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Normalize {
    /// Any raster; all of its bands, or one by name or number: scene.tif#B04
    #[arg(long)]
    pub input: Loc,
    /// The scores: a COG, float32 unless --dtype says otherwise
    #[arg(long)]
    pub out: Loc,
    /// Divide by count - DDOF in the standard deviation
    #[arg(long, default_value_t = 0)]
    pub ddof: u32,
}

/// The plan: mean and standard deviation of each band, then every pixel again.
pub fn normalize(job: Normalize, p: &Plan) -> Result<()> {
    let Normalize { input, out, ddof } = job;
    let moments = p.raster::<f64>([&input])?.combine_bands::<Moments>().side()?;
    p.raster::<f64>([&input])?.map_with(&moments, move |block, m| scores(&block, m, ddof)).write(&out, Cog::default())
}

fn scores(block: &Block<f64>, moments: &[Moments], ddof: u32) -> Block<f32> {
    let of_band = |m: &Moments| (m.mean().unwrap_or(f64::NAN), m.std(ddof).unwrap_or(f64::NAN));
    let known: Vec<(f64, f64)> = moments.iter().map(of_band).collect();
    block.band_values(|band, v| ((v - known[band].0) / known[band].1) as f32)
}
