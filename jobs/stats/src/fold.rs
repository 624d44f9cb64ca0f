//! What is kept of a band while it is folded.

use crate::Stats;
use mapfold::plan::exact::{Histogram, Moments};
use mapfold::prelude::*;

/// How a band is binned.
#[derive(Clone, Debug)]
pub(crate) enum Binning {
    /// Not at all.
    None,
    /// Every value of a small integer type by itself; binned at the end.
    Every { low: f64, values: usize, bins: usize },
    /// Over a range that was given.
    Range(Histogram),
}

/// The binning that a job asks for.
pub(crate) fn binning(job: &Stats, dtype: DType) -> Result<Binning> {
    let Some(bins) = job.histogram else { return Ok(Binning::None) };
    if let Some(text) = &job.range {
        let ends: Vec<f64> = text.split(',').filter_map(|w| w.trim().parse().ok()).collect();
        let [low, high] = ends[..] else {
            return Err(Error::usage(format!("--range {text:?}: write LOW,HIGH")));
        };
        return Ok(Binning::Range(Histogram::new(low, high, bins)?));
    }
    if dtype.size() > 2 {
        let what = format!("the range of a {dtype} histogram is not known before the end");
        return Err(
            Error::usage(what).with_remedy("give --range LOW,HIGH (a run without --histogram tells min and max)")
        );
    }
    Histogram::new(0.0, 1.0, bins)?; // Refuses 0 bins and too many.
    let (low, high) = dtype.range();
    Ok(Binning::Every { low, values: (high - low) as usize + 1, bins })
}

/// What a block says of one band.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Observed {
    moments: Moments,
    pixels: u64,
    counts: Option<Histogram>,
    /// Bins to make of the counts of single values; `None` when `counts` are what was asked for.
    bins: Option<usize>,
}

impl Observed {
    pub(crate) fn of<T: Pixel>(block: &Block<T>, band: usize, binning: &Binning) -> Observed {
        let mut ok = vec![0; block.pixel_count()];
        block.band_valid(band, 0, &mut ok);
        let values = block.band(band);
        let mut moments = Moments::default();
        let all = !ok.contains(&0);
        moments.add_block(values, (!all).then_some(ok.as_slice()));
        let (mut counts, bins) = match binning {
            Binning::None => (None, None),
            Binning::Range(h) => (Some(h.clone()), None),
            Binning::Every { low, values, bins } => {
                (Histogram::new(low - 0.5, low - 0.5 + *values as f64, *values).ok(), Some(*bins))
            }
        };
        if let Some(h) = &mut counts {
            h.add_block(values, Some(&ok));
        }
        Observed { moments, pixels: values.len() as u64, counts, bins }
    }
}

/// A band folded so far. Laws: the default is the unit, merging is associative and commutative (all sums are exact).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BandFold(Option<Observed>);

impl BandFold {
    fn join(&mut self, other: Option<Observed>) {
        match (&mut self.0, other) {
            (Some(a), Some(b)) => {
                a.moments.merge(&b.moments);
                a.pixels += b.pixels;
                if let (Some(x), Some(y)) = (&mut a.counts, &b.counts) {
                    x.merge(y).expect("all blocks of a band are binned alike");
                }
            }
            (mine @ None, other) => *mine = other,
            (Some(_), None) => {}
        }
    }
}

impl Combine<Observed> for BandFold {
    type Out = BandFold;

    fn add(&mut self, value: Observed) {
        self.join(Some(value));
    }

    fn merge(&mut self, other: BandFold) {
        self.join(other.0);
    }

    fn finish(self) -> BandFold {
        self
    }
}

/// Statistics of one band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandStats {
    /// The file, where several were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Name, or number from 1.
    pub band: String,
    /// Valid pixels.
    pub count: u64,
    /// Smallest valid value; `null` when there is none.
    pub min: Option<f64>,
    /// Largest valid value.
    pub max: Option<f64>,
    /// Mean, rounded once from exact sums.
    pub mean: Option<f64>,
    /// Standard deviation with ddof 0, rounded once from exact sums.
    pub std: Option<f64>,
    /// Share of valid pixels in per cent.
    pub valid_percent: f64,
    /// Counts in equal bins, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Binned>,
}

/// A histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binned {
    /// Left edge of the first bin.
    pub low: f64,
    /// Right edge of the last bin, which belongs to it.
    pub high: f64,
    /// Valid pixels per bin.
    pub counts: Vec<u64>,
    /// Valid pixels below `low`.
    pub below: u64,
    /// Valid pixels above `high`.
    pub above: u64,
}

impl BandFold {
    /// The result for people and tools.
    pub(crate) fn stats(self, file: Option<String>, name: &str) -> BandStats {
        let Some(o) = self.0 else {
            let (min, max, mean, std, histogram) = (None, None, None, None, None);
            return BandStats { file, band: name.into(), count: 0, min, max, mean, std, valid_percent: 0.0, histogram };
        };
        let m = &o.moments;
        BandStats {
            file,
            band: name.to_string(),
            count: m.count(),
            min: m.min(),
            max: m.max(),
            mean: m.mean(),
            std: m.std(0),
            valid_percent: 100.0 * m.count() as f64 / o.pixels.max(1) as f64,
            histogram: o.counts.as_ref().and_then(|h| binned(h, m, o.bins)),
        }
    }
}

/// Counts over a given range as they are; counts of single values as equal bins from min to max.
fn binned(h: &Histogram, m: &Moments, bins: Option<usize>) -> Option<Binned> {
    let Some(bins) = bins else {
        let (low, high) = (h.edge(0), h.edge(h.counts().len()));
        return Some(Binned { low, high, counts: h.counts().to_vec(), below: h.below(), above: h.above() });
    };
    let (low, high) = (m.min()?, m.max()?);
    // One value only: a bin of width 1 around it, as NumPy does.
    let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
    let mut counts = vec![0; bins];
    for (i, n) in h.counts().iter().enumerate().filter(|(_, n)| **n > 0) {
        let mut one = Histogram::new(low, high, bins).ok()?;
        one.add(h.edge(i) + 0.5);
        counts[one.counts().iter().position(|c| *c > 0)?] += n;
    }
    Some(Binned { low, high, counts, below: 0, above: 0 })
}
