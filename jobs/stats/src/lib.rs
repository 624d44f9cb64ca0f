//! Count, min, max, mean and standard deviation of every band: exact, whatever the order.
//!
//! Sums are exact (`mapfold::plan::exact`), so neither the number of threads nor the cut into windows changes a bit
//! of the result. Values are looked at as stored: statistics of a file, not of a quantity. `--scale auto` asks for
//! the quantity: bands with a scale or an offset are then loaded as float64.
//!
//! Several files (a list, a pattern, several arguments) give the rows of each, in their order. They may have grids
//! and types of their own: there is no mosaic, and no file waits for another.
//!
//! A histogram has equal bins between the smallest and the largest value. That range is known only at the end, so
//! 8- and 16-bit bands count every value and bin at the end; other types need `--range`.

mod fold;

pub use fold::BandStats;
use fold::{BandFold, Observed};
use mapfold::plan::Plan;
use mapfold::prelude::*;
use mapfold::raster::{OpenRaster, ReadOptions, Scale};

/// Exact statistics of every band: count, min, max, mean, standard deviation (ddof 0), histogram
#[derive(Parser, Serialize, Deserialize, Clone, Debug)]
pub struct Stats {
    /// Any rasters: files, patterns ('tiles/*.tif'), lists (@list.txt); a band of several by name or number: scene.tif#B04
    #[arg(required = true, num_args = 1..)]
    pub input: Vec<Loc>,
    /// Also count values in this many equal bins
    #[arg(long, value_name = "BINS")]
    pub histogram: Option<usize>,
    /// Range of the histogram: LOW,HIGH [default: min and max of the band, for 8- and 16-bit bands]
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, requires = "histogram")]
    pub range: Option<String>,
}

/// A band's number and what a block says of it.
type Seen = (u32, Observed);

/// The plan: one record per file, band and split, folded by file and band.
///
/// # Errors
/// When an input cannot be opened, or a histogram needs a range.
#[allow(clippy::needless_pass_by_value)] // what a job function looks like
pub fn stats(job: Stats, p: &Plan) -> Result<()> {
    let options = p.setting::<ReadOptions>().map(|o| (*o).clone()).unwrap_or_default();
    let scale = options.scale.unwrap_or(Scale::Raw);
    p.set(ReadOptions { scale: Some(scale), ..options });
    let several = job.input.len() > 1 || job.input.iter().any(Loc::is_pattern);
    let inputs = if several { in_box(&job.input, p)? } else { job.input.clone() };
    let (mut flows, mut names) = (Vec::new(), Vec::new());
    for input in &inputs {
        let opened = p.open_raster(input)?;
        flows.push(observed(&job, input, loaded(&opened, scale), p)?);
        names.push((several.then(|| input.without_fragment().to_string()), bands(&opened)));
    }
    p.union(flows)?
        .map(|(file, (band, seen))| ((file, band), seen))
        .combine::<BandFold>()
        .map(move |((file, band), fold)| {
            let (file, bands) = &names[file as usize];
            fold.stats(file.clone(), &bands[band as usize])
        })
        .report("bands")
}

/// The files that the inputs name; those outside of `--bbox` are left out, and said so.
fn in_box(inputs: &[Loc], p: &Plan) -> Result<Vec<Loc>> {
    let all = p.locations(inputs)?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for loc in &all {
        let side = if p.is_in_box(&p.open_raster(loc)?)? { &mut inside } else { &mut outside };
        side.push(loc.clone());
    }
    if inside.is_empty() {
        let what = format!("no file has a pixel in --bbox, of {} (the first is {})", all.len(), outside[0]);
        return Err(Error::usage(what).with_remedy("`mapfold info FILE` shows where a file lies"));
    }
    if let Some(first) = outside.first() {
        p.warn(format!(
            "{} of {} files have no pixel in --bbox and no row (the first is {first})",
            outside.len(),
            all.len()
        ));
    }
    Ok(inside)
}

/// The type that the bands are looked at in.
fn loaded(opened: &OpenRaster, scale: Scale) -> DType {
    let scaled = |b: &usize| (opened.meta().bands[*b].scale, opened.meta().bands[*b].offset) != (1.0, 0.0);
    if scale == Scale::Auto && opened.bands.iter().any(scaled) { DType::F64 } else { opened.dtype() }
}

fn observed(job: &Stats, input: &Loc, dtype: DType, p: &Plan) -> Result<Flow<Seen>> {
    match dtype {
        DType::U8 => typed::<u8>(job, input, p),
        DType::I8 => typed::<i8>(job, input, p),
        DType::U16 => typed::<u16>(job, input, p),
        DType::I16 => typed::<i16>(job, input, p),
        DType::U32 => typed::<u32>(job, input, p),
        DType::I32 => typed::<i32>(job, input, p),
        DType::F32 => typed::<f32>(job, input, p),
        DType::F64 => typed::<f64>(job, input, p),
    }
}

fn typed<T: Pixel>(job: &Stats, input: &Loc, p: &Plan) -> Result<Flow<Seen>> {
    let binning = fold::binning(job, T::DTYPE)?;
    Ok(p.raster::<T>([input])?.flat_map(move |block| {
        (0..block.band_count()).map(|band| (band as u32, Observed::of(&block, band, &binning))).collect::<Vec<_>>()
    }))
}

/// `B04`, or `1` for bands without a name.
fn bands(opened: &OpenRaster) -> Vec<String> {
    let name = |b: &usize| opened.meta().bands[*b].name.clone().unwrap_or_else(|| (b + 1).to_string());
    opened.bands.iter().map(name).collect()
}
