//! What the tests of readers share: a file in memory that hands out only what was named, and reading through it.
#![allow(clippy::unwrap_used, dead_code)]

use bytes::Bytes;
use mapfold_grid::{Pixel, Window};
use mapfold_raster::{Fetched, PixelsMut, RasterError, RasterSource, Scratch, Want};
use mapfold_store::Loc;
use std::ops::Range;
use std::path::PathBuf;

/// Fetched bytes of a file: exactly the ranges that `needs` named, anything else is a fault of the source.
pub struct Named<'a> {
    pub file: &'a Bytes,
    pub ranges: Vec<Range<u64>>,
}

impl Fetched for Named<'_> {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        assert!(self.ranges.contains(&range), "{range:?} was not named: {:?}", self.ranges);
        Ok(self.file.slice(range.start as usize..range.end as usize))
    }
}

/// Values and mask of `want`, through `needs` and `decode`.
pub fn read<T: Pixel>(source: &dyn RasterSource, file: &Bytes, want: &Want) -> Result<(Vec<T>, Vec<u8>), RasterError> {
    let mut ranges = Vec::new();
    source.needs(want, &mut ranges)?;
    assert!(ranges.windows(2).all(|r| r[0].start < r[1].start), "ascending, each once: {ranges:?}");
    assert!(ranges.iter().all(|r| r.start < r.end && r.end <= file.len() as u64), "inside the file: {ranges:?}");
    let n = want.window.pixels();
    let (mut values, mut mask) = (vec![T::from_f64(77.0); n * want.bands.len()], vec![9; n]);
    let named = Named { file, ranges };
    source.decode(want, &named, &mut Scratch::default(), PixelsMut::of(&mut values), Some(&mut mask))?;
    Ok((values, mask))
}

/// All bands of a level.
pub fn whole(source: &dyn RasterSource, level: usize) -> Want {
    let bands = (0..source.meta().bands.len()).collect();
    Want { level, bands, window: source.meta().levels[level].shape.window() }
}

/// The part of one band of a whole level.
pub fn crop<T: Copy>(band: &[T], cols: usize, w: Window) -> Vec<T> {
    let row = |r: usize| &band[(w.row as usize + r) * cols + w.col as usize..][..w.cols];
    (0..w.rows).flat_map(|r| row(r).iter().copied()).collect()
}

/// Repeatable random numbers (xorshift).
pub struct Dice(pub u64);

impl Dice {
    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// A file of the test data. Where this package is, cargo says at run time: another clone may have compiled it.
pub fn data(name: &str) -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    [package.as_str(), "..", "..", "tests", "data", name].iter().collect()
}

/// A file of the test data and its bytes, opened from memory.
pub fn open(name: &str) -> Result<(mapfold_raster::tiff::TiffSource, Bytes), RasterError> {
    let path = data(name);
    let file = Bytes::from(std::fs::read(&path).unwrap());
    Ok((mapfold_raster::tiff::open_bytes(file.clone(), &Loc::local(path))?, file))
}
