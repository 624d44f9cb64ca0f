//! Count, min, max, mean and standard deviation of every band: exact, whatever the order.
//!
//! Sums are exact (`mapfold::plan::exact`), so neither the number of threads nor the cut into windows changes a bit
//! of the result. Values are looked at as stored (no scale and offset): statistics of a file, not of a quantity.
//!
//! A histogram has equal bins between the smallest and the largest value. That range is known only at the end, so
//! 8- and 16-bit bands count every value and bin at the end; other types need `--range`.

mod fold;

pub use fold::BandStats;
use fold::{BandFold, Observed};
use mapfold::plan::Plan;
use mapfold::prelude::*;
use mapfold::raster::{ReadOptions, Scale};

/// Exact statistics of every band: count, min, max, mean, standard deviation (ddof 0), histogram
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Stats {
    /// Any raster; a band of several by name or number: scene.tif#B04
    pub input: Loc,
    /// Also count values in this many equal bins
    #[arg(long, value_name = "BINS")]
    pub histogram: Option<usize>,
    /// Range of the histogram: LOW,HIGH [default: min and max of the band, for 8- and 16-bit bands]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, requires = "histogram")]
    pub range: Option<String>,
}

/// The plan: one record per band and split, folded by band.
///
/// # Errors
/// When the input cannot be opened, or a histogram needs a range.
pub fn stats(job: Stats, p: &Plan) -> Result<()> {
    let options = p.setting::<ReadOptions>().map(|o| (*o).clone()).unwrap_or_default();
    p.set(ReadOptions { scale: Scale::Raw, ..options });
    match p.open_raster(&job.input)?.dtype() {
        DType::U8 => typed::<u8>(job, p),
        DType::I8 => typed::<i8>(job, p),
        DType::U16 => typed::<u16>(job, p),
        DType::I16 => typed::<i16>(job, p),
        DType::U32 => typed::<u32>(job, p),
        DType::I32 => typed::<i32>(job, p),
        DType::F32 => typed::<f32>(job, p),
        DType::F64 => typed::<f64>(job, p),
    }
}

fn typed<T: Pixel>(job: Stats, p: &Plan) -> Result<()> {
    let binning = fold::binning(&job, T::DTYPE)?;
    let Stats { input, .. } = job;
    let names: Vec<String> = names(&input, p)?;
    p.raster::<T>([&input])?
        .flat_map(move |block| {
            (0..block.band_count()).map(|band| (band as u32, Observed::of(&block, band, &binning))).collect::<Vec<_>>()
        })
        .combine::<BandFold>()
        .map(move |(band, fold)| fold.stats(&names[band as usize]))
        .report("bands")
}

/// `B04`, or `1` for bands without a name.
fn names(input: &Loc, p: &Plan) -> Result<Vec<String>> {
    let opened = p.open_raster(input)?;
    let name = |b: &usize| opened.meta().bands[*b].name.clone().unwrap_or_else(|| (b + 1).to_string());
    Ok(opened.bands.iter().map(name).collect())
}
