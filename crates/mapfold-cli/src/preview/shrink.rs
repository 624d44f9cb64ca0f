//! Making a picture smaller: every pixel of the raster falls into exactly one pixel of the picture, whose value is
//! the mean of its valid pixels and whose opacity is their share. Rows come in any cut, so memory is the picture's.

use super::{Planes, PreviewError};

/// The level to read for a picture whose longer side is `size`: the coarsest one that is not smaller than that, else
/// the full resolution. Levels are (rows, columns), finest first.
pub fn choose_level(levels: &[(usize, usize)], size: usize) -> usize {
    levels.iter().rposition(|(rows, cols)| *rows.max(cols) >= size).unwrap_or(0)
}

/// A raster on its way to a smaller picture.
#[derive(Clone, Debug)]
pub struct Shrink {
    from: (usize, usize),
    to: (usize, usize),
    sums: Vec<Vec<f64>>,
    counts: Vec<u32>,
    totals: Vec<u32>,
    /// Classes: the first valid pixel instead of the mean.
    first: bool,
    /// The column of the picture for each column of the raster.
    target: Vec<usize>,
}

impl Shrink {
    /// From `rows` x `cols` with `bands` bands to a picture whose longer side is at most `size` pixels (never larger
    /// than the raster). `classes`: values are names, take one of them instead of their mean.
    ///
    /// # Errors
    /// For a raster without pixels or a size out of range.
    pub fn new(rows: usize, cols: usize, bands: usize, size: usize, classes: bool) -> Result<Shrink, PreviewError> {
        if rows == 0 || cols == 0 {
            return Err(PreviewError::Empty(rows, cols));
        }
        if !(16..=16384).contains(&size) {
            return Err(PreviewError::Size(size));
        }
        let long = rows.max(cols);
        let side = |n: usize| {
            if long <= size { n } else { (n * size).div_ceil(long).max(1) }
        };
        let to = (side(rows), side(cols));
        let n = to.0 * to.1;
        Ok(Shrink {
            from: (rows, cols),
            to,
            sums: vec![vec![0.0; n]; bands],
            counts: vec![0; n],
            totals: vec![0; n],
            first: classes,
            target: (0..cols).map(|c| c * to.1 / cols).collect(),
        })
    }

    /// Adds whole rows from row `row` on: one slice per band and the validity (0 = invalid), all of the same length.
    /// NaN and infinite values count as invalid.
    ///
    /// # Errors
    /// [`PreviewError::Length`] when slices do not fit.
    pub fn push(&mut self, row: usize, bands: &[&[f32]], valid: &[u8]) -> Result<(), PreviewError> {
        self.check(row, bands, valid)?;
        let cols = self.from.1;
        for i in 0..valid.len() / cols {
            let line = i * cols..(i + 1) * cols;
            let start = (row + i) * self.to.0 / self.from.0 * self.to.1;
            for (at, c) in line.zip(0..cols) {
                self.pixel(start + self.target[c], bands, at, valid[at] != 0);
            }
        }
        Ok(())
    }

    fn check(&self, row: usize, bands: &[&[f32]], valid: &[u8]) -> Result<(), PreviewError> {
        let (rows, cols) = self.from;
        let want = (valid.len() / cols).min(rows.saturating_sub(row)) * cols;
        let lengths = std::iter::once(valid.len()).chain(bands.iter().map(|b| b.len()));
        match lengths.enumerate().find(|(_, got)| *got != want) {
            Some((band, got)) => Err(PreviewError::Length { band, got, want }),
            None if bands.len() != self.sums.len() => Err(PreviewError::Bands(bands.len())),
            None => Ok(()),
        }
    }

    #[inline]
    fn pixel(&mut self, to: usize, bands: &[&[f32]], at: usize, valid: bool) {
        self.totals[to] += 1;
        let usable = valid && bands.iter().all(|b| b[at].is_finite());
        if !usable || (self.first && self.counts[to] > 0) {
            return;
        }
        self.counts[to] += 1;
        for (sum, band) in self.sums.iter_mut().zip(bands) {
            sum[to] += f64::from(band[at]);
        }
    }

    /// The smaller raster.
    pub fn finish(self) -> Planes {
        let mean =
            |sums: &Vec<f64>| sums.iter().zip(&self.counts).map(|(s, n)| (s / f64::from((*n).max(1))) as f32).collect();
        let share = |(n, all): (&u32, &u32)| match (self.first, *n, *all) {
            (_, 0, _) => 0,
            (true, _, _) => 255,
            (false, n, all) => (u64::from(n) * 255).div_ceil(u64::from(all)) as u8,
        };
        Planes {
            rows: self.to.0,
            cols: self.to.1,
            bands: self.sums.iter().map(mean).collect(),
            valid: self.counts.iter().zip(&self.totals).map(share).collect(),
        }
    }
}
