//! Statistics of the pixels as they are written: minimum, maximum, mean, standard deviation, valid percent.
//!
//! They must not depend on how the image was cut or in which order its parts came. Integers are summed exactly.
//! Floats are summed per codec tile in a fixed order (sixteen running sums along each row), first for the mean, then
//! for the squared differences to it, and the tiles are combined in the order of their index when the file is
//! finished. Infinite values count as valid but stay out of the other figures. E[x²]-m² is never used for floats.

use mapfold_grid::Pixel;
use serde::{Deserialize, Serialize};

const LANES: usize = 16;

/// Sums of one band over some pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BandSums {
    /// Integers: exact, all tiles of the part together.
    Exact(ExactSums),
    /// Floats: one entry per tile of the part, in row order of its tiles.
    Tiles(Vec<TileMoments>),
}

/// Exact sums of integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactSums {
    /// Valid pixels.
    pub count: u64,
    /// Smallest value (0 when there is none).
    pub min: i64,
    /// Largest value (0 when there is none).
    pub max: i64,
    /// Sum of values.
    pub sum: i128,
    /// Sum of squared values.
    pub squares: i128,
}

/// Moments of the floats of one tile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TileMoments {
    /// Valid pixels, infinite ones included.
    pub valid: u64,
    /// Finite pixels: those of the figures below.
    pub count: u64,
    /// Smallest value (0 when there is none).
    pub min: f64,
    /// Largest value (0 when there is none).
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Sum of squared differences to the mean.
    pub m2: f64,
}

/// Statistics of one band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BandStatistics {
    /// Valid pixels.
    pub valid: u64,
    /// Pixels of the figures below (floats: finite ones).
    pub count: u64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation (ddof 0).
    pub std: f64,
}

impl ExactSums {
    /// Adds the sums of other pixels.
    pub fn merge(&mut self, other: &ExactSums) {
        if other.count == 0 {
            return;
        }
        let first = self.count == 0;
        self.min = if first { other.min } else { self.min.min(other.min) };
        self.max = if first { other.max } else { self.max.max(other.max) };
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The figures.
    pub fn statistics(&self) -> BandStatistics {
        let n = i128::from(self.count);
        let mean = if n == 0 { 0.0 } else { self.sum as f64 / n as f64 };
        let spread = n.checked_mul(self.squares).zip(self.sum.checked_mul(self.sum)).map(|(a, b)| (a - b) as f64);
        let n = n as f64;
        let spread = spread.unwrap_or(n * (self.squares as f64 - mean * self.sum as f64));
        let std = if self.count == 0 { 0.0 } else { spread.max(0.0).sqrt() / n };
        BandStatistics { valid: self.count, count: self.count, min: self.min as f64, max: self.max as f64, mean, std }
    }
}

impl TileMoments {
    /// Combines with the moments of other pixels (Chan's formula). The order matters to the last bit: tiles are
    /// combined by ascending index.
    pub fn merge(&mut self, other: &TileMoments) {
        self.valid += other.valid;
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = TileMoments { valid: self.valid, ..*other };
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let gap = other.mean - self.mean;
        self.mean += gap * (b / (a + b));
        self.m2 += other.m2 + gap * gap * (a * b / (a + b));
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The figures.
    pub fn statistics(&self) -> BandStatistics {
        let std = if self.count == 0 { 0.0 } else { (self.m2 / self.count as f64).sqrt() };
        let TileMoments { valid, count, min, max, mean, .. } = *self;
        BandStatistics { valid, count, min, max, mean, std }
    }
}

/// Moments of one tile of floats: `rows` x `cols` pixels of rows that are `stride` apart.
pub(crate) fn moments<T: Pixel>(values: &[T], valid: &[u8], stride: usize, rows: usize, cols: usize) -> TileMoments {
    let mut out = TileMoments::default();
    let mut lanes = Lanes { count: [0.0; LANES], sum: [0.0; LANES], min: [f64::MAX; LANES], max: [f64::MIN; LANES] };
    for r in 0..rows {
        let at = r * stride..r * stride + cols;
        out.valid += valid[at.clone()].iter().map(|v| u64::from(*v)).sum::<u64>();
        add_row(&values[at.clone()], &valid[at], &mut lanes);
    }
    let count = sum(&lanes.count);
    if count == 0.0 {
        return out;
    }
    let mean = sum(&lanes.sum) / count;
    let mut m2 = [0.0; LANES];
    for r in 0..rows {
        let at = r * stride..r * stride + cols;
        add_squares(&values[at.clone()], &valid[at], mean, &mut m2);
    }
    let min = lanes.min.into_iter().fold(f64::MAX, f64::min);
    let max = lanes.max.into_iter().fold(f64::MIN, f64::max);
    TileMoments { valid: out.valid, count: count as u64, min, max, mean, m2: sum(&m2) }
}

/// Exact sums of one tile of integers.
pub(crate) fn exact<T: Pixel>(values: &[T], valid: &[u8], stride: usize, rows: usize, cols: usize) -> ExactSums {
    let mut out = ExactSums::default();
    for r in 0..rows {
        let at = r * stride..r * stride + cols;
        let (row, ok) = (&values[at.clone()], &valid[at]);
        let mut lanes =
            Lanes { count: [0.0; LANES], sum: [0.0; LANES], min: [f64::MAX; LANES], max: [f64::MIN; LANES] };
        add_row(row, ok, &mut lanes);
        let count = sum(&lanes.count) as u64;
        if count == 0 {
            continue;
        }
        // Sums of 4096 integers of 32 bits, and of as many squares of 16 bits, are whole numbers below 2^53: exact.
        let squares = if size_of::<T>() <= 2 { narrow_squares(row, ok) } else { wide_squares(row, ok) };
        let min = lanes.min.into_iter().fold(f64::MAX, f64::min) as i64;
        let max = lanes.max.into_iter().fold(f64::MIN, f64::max) as i64;
        out.merge(&ExactSums { count, min, max, sum: sum(&lanes.sum) as i128, squares });
    }
    out
}

fn narrow_squares<T: Pixel>(row: &[T], ok: &[u8]) -> i128 {
    let mut m2 = [0.0; LANES];
    add_squares(row, ok, 0.0, &mut m2);
    sum(&m2) as i128
}

fn wide_squares<T: Pixel>(row: &[T], ok: &[u8]) -> i128 {
    let square = |v: &T| (v.to_f64() as i128) * (v.to_f64() as i128);
    row.iter().zip(ok).filter(|(_, ok)| **ok != 0).map(|(v, _)| square(v)).sum()
}

fn sum(lanes: &[f64; LANES]) -> f64 {
    lanes.iter().sum()
}

/// Running sums of every sixteenth pixel of a row. Counts are floats so that all lanes are alike.
struct Lanes {
    count: [f64; LANES],
    sum: [f64; LANES],
    min: [f64; LANES],
    max: [f64; LANES],
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn add_row<T: Pixel>(row: &[T], valid: &[u8], lanes: &mut Lanes) {
    let (whole, rest) = row.as_chunks::<LANES>();
    let (whole_ok, rest_ok) = valid.as_chunks::<LANES>();
    let Lanes { mut count, mut sum, mut min, mut max } = *lanes;
    for (v, ok) in whole.iter().zip(whole_ok) {
        for i in 0..LANES {
            let x = v[i].to_f64();
            let use_it = (ok[i] != 0) & (x.abs() <= f64::MAX);
            count[i] += if use_it { 1.0 } else { 0.0 };
            sum[i] += if use_it { x } else { 0.0 };
            min[i] = if use_it & (x < min[i]) { x } else { min[i] };
            max[i] = if use_it & (x > max[i]) { x } else { max[i] };
        }
    }
    for (i, (v, ok)) in rest.iter().zip(rest_ok).enumerate() {
        let x = v.to_f64();
        if *ok != 0 && x.is_finite() {
            count[i] += 1.0;
            sum[i] += x;
            min[i] = min[i].min(x);
            max[i] = max[i].max(x);
        }
    }
    *lanes = Lanes { count, sum, min, max };
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn add_squares<T: Pixel>(row: &[T], valid: &[u8], mean: f64, m2: &mut [f64; LANES]) {
    let (whole, rest) = row.as_chunks::<LANES>();
    let (whole_ok, rest_ok) = valid.as_chunks::<LANES>();
    let mut acc = *m2;
    for (v, ok) in whole.iter().zip(whole_ok) {
        for i in 0..LANES {
            let x = v[i].to_f64();
            let use_it = (ok[i] != 0) & (x.abs() <= f64::MAX);
            let d = if use_it { x - mean } else { 0.0 };
            acc[i] += d * d;
        }
    }
    for (i, (v, ok)) in rest.iter().zip(rest_ok).enumerate() {
        let x = v.to_f64();
        if *ok != 0 && x.is_finite() {
            acc[i] += (x - mean) * (x - mean);
        }
    }
    *m2 = acc;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_where_floats_would_round() {
        let values: Vec<u32> = (0..100).map(|i| u32::MAX - i).collect();
        let s = exact(&values, &[1; 100], 100, 1, 100);
        assert_eq!(s.sum, values.iter().map(|v| i128::from(*v)).sum());
        assert_eq!(s.squares, values.iter().map(|v| i128::from(*v) * i128::from(*v)).sum());
        assert!((s.statistics().std - (9999.0f64 / 12.0).sqrt()).abs() < 1e-9); // uniform 0..100
    }

    #[test]
    fn a_large_offset_does_not_drown_the_spread() {
        let values: Vec<f64> = (0..100).map(|i| 1e9 + f64::from(i)).collect();
        let s = moments(&values, &[1; 100], 50, 2, 50).statistics();
        assert!((s.std - (9999.0f64 / 12.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn infinite_values_are_valid_but_not_summed() {
        let s = moments(&[1.0f32, f32::INFINITY, f32::NAN, 3.0], &[1, 1, 0, 1], 4, 1, 4);
        assert_eq!((s.valid, s.count, s.min, s.max, s.mean, s.m2), (3, 2, 1.0, 3.0, 2.0, 2.0));
    }
}
