//! Counts in equal bins over a range that is known beforehand.

use crate::{Error, Result};
use mapfold_grid::Pixel;
use serde::{Deserialize, Serialize};

/// Counts of values in `n` equal bins from `low` to `high`.
///
/// Bin `i` holds `edge(i) <= v < edge(i + 1)`; the last one also holds `high` (NumPy's convention). Other values are
/// counted as below or above, NaN is not counted.
///
/// ```
/// # fn main() -> mapfold_plan::Result<()> {
/// use mapfold_plan::exact::Histogram;
/// let mut h = Histogram::new(0.0, 10.0, 5)?;
/// h.add_block(&[0u8, 1, 2, 9, 10, 11], None);
/// assert_eq!(h.counts(), [2, 1, 0, 0, 2]);
/// assert_eq!((h.below(), h.above()), (0, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<u64>,
    below: u64,
    above: u64,
}

impl Histogram {
    /// Empty bins.
    ///
    /// # Errors
    /// A usage error unless `low < high`, both and their distance are finite, and there are 1 to 2^24 bins.
    pub fn new(low: f64, high: f64, bins: usize) -> Result<Histogram> {
        if !(low < high && (high - low).is_finite()) {
            return Err(Error::usage(format!("a histogram needs a range of finite numbers, not {low} to {high}")));
        }
        if !(1..=1 << 24).contains(&bins) {
            return Err(Error::usage(format!("a histogram has 1 to 16777216 bins, not {bins}")));
        }
        Ok(Histogram { low, high, counts: vec![0; bins], below: 0, above: 0 })
    }

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, v: f64) {
        if v < self.low {
            self.below += 1;
        } else if v > self.high {
            self.above += 1;
        } else if !v.is_nan() {
            let bin = self.bin(v);
            self.counts[bin] += 1;
        }
    }

    /// Adds a block of values; `ok` has one byte per value, 0 = invalid.
    ///
    /// # Panics
    /// When `ok` and `values` differ in length.
    pub fn add_block<T: Pixel>(&mut self, values: &[T], ok: Option<&[u8]>) {
        let Some(ok) = ok else {
            return values.iter().for_each(|v| self.add(v.to_f64()));
        };
        assert_eq!(values.len(), ok.len(), "one validity byte per value");
        values.iter().zip(ok).filter(|(_, ok)| **ok != 0).for_each(|(v, _)| self.add(v.to_f64()));
    }

    /// The bin of a value within the range: a guess, put right where it is rounded across an edge.
    fn bin(&self, v: f64) -> usize {
        let last = self.counts.len() - 1;
        let guess = ((v - self.low) / (self.high - self.low) * self.counts.len() as f64) as usize;
        let guess = guess.min(last);
        if v < self.edge(guess) {
            return guess.saturating_sub(1);
        }
        if guess < last && v >= self.edge(guess + 1) { guess + 1 } else { guess }
    }

    /// The lower edge of bin `i`; the upper edge of the last bin for `i` = number of bins.
    pub fn edge(&self, i: usize) -> f64 {
        let n = self.counts.len();
        if i >= n { self.high } else { self.low + (self.high - self.low) * (i as f64 / n as f64) }
    }

    /// Adds the counts of another histogram.
    ///
    /// # Errors
    /// A usage error when range or number of bins differ.
    pub fn merge(&mut self, other: &Histogram) -> Result<()> {
        let shape = |h: &Histogram| (h.low, h.high, h.counts.len());
        if shape(self) != shape(other) {
            let (a, b) = (shape(self), shape(other));
            return Err(Error::usage(format!("histograms over {a:?} and {b:?} (low, high, bins) cannot be merged")));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.below += other.below;
        self.above += other.above;
        Ok(())
    }

    /// Counts of the bins.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of values below the range.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Number of values above the range.
    pub fn above(&self) -> u64 {
        self.above
    }
}
