//! Normalised difference vegetation index: `(nir - red) / (nir + red + eps)`, block by block.
use mapfold::prelude::*;
/// NDVI from a red and a near-infrared band: nodata in, nodata out; 0/0 is nodata
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Ndvi {
    /// Red band: GeoTIFF or COG; a band of several by name or number: scene.tif#B04, scene.tif#4
    #[arg(long)]
    pub red: Loc,
    /// Near-infrared band on the same grid
    #[arg(long)]
    pub nir: Loc,
    /// The index: a COG, float32 unless --dtype says otherwise
    #[arg(long)]
    pub out: Loc,
    /// Added to the denominator
    #[arg(long, default_value_t = 0.0)]
    pub eps: f32,
}

/// The plan: two bands to one, written where it was asked for.
pub fn ndvi(job: Ndvi, p: &Plan) -> Result<()> {
    let Ndvi { red, nir, out, eps } = job;
    p.raster::<f32>([&red, &nir])?
        .map(move |block| block.pixels(|[red, nir]| ratio(nir - red, nir + red + eps)))
        .write(&out, Cog::default())
}
