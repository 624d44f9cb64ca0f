//! Two indices of two bands: one job, two outputs, which appear together.
//!
//! `cargo run -p mapfold --example indices -- --red scene.tif#B04 --nir scene.tif#B08 --ndvi ndvi.tif --sum sum.tif`
use mapfold::prelude::*;

/// NDVI and the sum of two bands
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Indices {
    /// Red band
    #[arg(long)]
    red: Loc,
    /// Near-infrared band on the same grid
    #[arg(long)]
    nir: Loc,
    /// The vegetation index
    #[arg(long)]
    ndvi: Loc,
    /// Red + near-infrared
    #[arg(long)]
    sum: Loc,
}

fn indices(job: Indices, p: &Plan) -> Result<()> {
    let Indices { red, nir, ndvi, sum } = job;
    p.raster::<f32>([&red, &nir])?
        .map(|block| block.pixels(|[red, nir]| ratio(nir - red, nir + red)))
        .write(&ndvi, Cog::default())?;
    p.raster::<f32>([&red, &nir])?.map(|block| block.pixels(|[red, nir]| red + nir)).write(&sum, Cog::default())
}

fn main() -> ExitCode {
    mapfold::main(indices)
}
