//! A raster minus its smoothed self, smoothed twice: a halo chain, whose middle is used by two outputs.
//!
//! With `--keep` the first smoothing is computed once and kept (`materialise`); the bytes of the results are the same.
//!
//! `cargo run --release -p mapfold --example smoothed -- --input scene.tif#B04 --once once.tif --twice twice.tif --keep`
use mapfold::prelude::*;

/// Smooth a raster once and twice
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
struct Smoothed {
    /// Any raster
    #[arg(long)]
    input: Loc,
    /// The mean of the neighbourhood
    #[arg(long)]
    once: Loc,
    /// The mean of the neighbourhood of that
    #[arg(long)]
    twice: Loc,
    /// Pixels to each side of a neighbourhood
    #[arg(long, default_value_t = 2)]
    radius: usize,
    /// Keep the first smoothing instead of computing it again
    #[arg(long)]
    keep: bool,
}

fn mean(n: Neighbours<'_, f32>) -> Option<f32> {
    let (sum, count) = n.iter().fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f32)
}

fn smoothed(job: Smoothed, p: &Plan) -> Result<()> {
    let Smoothed { input, once, twice, radius, keep } = job;
    let first = p.raster::<f32>([&input])?.halo(radius, Edge::Nearest).stencil(mean);
    let first = if keep { first.materialise()? } else { first };
    first.clone().write(&once, Cog::default())?;
    first.halo(radius, Edge::Nearest).stencil(mean).write(&twice, Cog::default())
}

fn main() -> ExitCode {
    mapfold::main(smoothed)
}
