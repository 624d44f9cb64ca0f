//! One codec tile of all bands in the making: pixels come in, encoded pieces go out, a coarser quarter is left behind.
//!
//! Values in here are as the file will hold them: invalid pixels are the fill value (or masked), valid ones are
//! never equal to the nodata value. So validity follows from the value, and nothing else is carried along.

use super::codec;
use super::layout::{Layout, Validity};
use super::overview::{Coarser, Finer, resample};
use super::stats::{ExactSums, TileMoments, exact, moments};
use crate::RasterError;
use mapfold_grid::{Pixel, Shape, Window};

/// A tile that is being filled.
pub(crate) struct OpenTile<T> {
    /// Bands one after the other, each `side` x `side`.
    pub values: Vec<T>,
    /// 0 or 1 per pixel; empty unless the file has a mask.
    pub mask: Vec<u8>,
    /// Pixels that arrived.
    pub filled: usize,
}

/// Sums of one band of one tile.
#[derive(Clone, Copy)]
pub(crate) enum TileSums {
    Exact(ExactSums),
    Moments(TileMoments),
}

/// How a file stores invalid pixels, in its own type.
#[derive(Clone, Copy)]
pub(crate) struct Rule<T> {
    pub fill: T,
    pub nodata: Option<T>,
}

impl<T: Pixel> Rule<T> {
    pub(crate) fn of(layout: &Layout) -> Rule<T> {
        match layout.validity {
            Validity::InBand(v) if v.is_nan() => Rule { fill: T::FILL, nodata: T::IN_BAND },
            Validity::InBand(v) => Rule { fill: T::from_f64(v), nodata: Some(T::from_f64(v)) },
            _ => Rule { fill: T::FILL, nodata: None },
        }
    }
}

impl<T: Pixel> OpenTile<T> {
    pub(crate) fn new(layout: &Layout) -> OpenTile<T> {
        let n = layout.tile * layout.tile;
        let mask = vec![0; if layout.has_mask() { n } else { 0 }];
        OpenTile { values: vec![T::default(); n * layout.spec.bands], mask, filled: 0 }
    }

    /// Values of one band.
    pub(crate) fn band(&self, layout: &Layout, band: usize) -> &[T] {
        let n = layout.tile * layout.tile;
        &self.values[band * n..(band + 1) * n]
    }

    pub(crate) fn band_mut(&mut self, layout: &Layout, band: usize) -> &mut [T] {
        let n = layout.tile * layout.tile;
        &mut self.values[band * n..(band + 1) * n]
    }

    /// Writes 0 or 1 per pixel of a band.
    pub(crate) fn valid(&self, layout: &Layout, band: usize, out: &mut Vec<u8>) {
        out.resize(layout.tile * layout.tile, 0);
        match Rule::<T>::of(layout).nodata {
            _ if layout.has_mask() => out.copy_from_slice(&self.mask),
            Some(nodata) => differs(self.band(layout, band), nodata, out),
            None => out.fill(1),
        }
    }

    /// Sums of one band over the tile's pixels inside the image.
    pub(crate) fn sums(&self, layout: &Layout, band: usize, valid: &[u8], inside: Shape) -> TileSums {
        let (values, side) = (self.band(layout, band), layout.tile);
        if T::DTYPE.is_float() {
            return TileSums::Moments(moments(values, valid, side, inside.rows, inside.cols));
        }
        TileSums::Exact(exact(values, valid, side, inside.rows, inside.cols))
    }

    /// Fills the part of a tile that lies outside the image: the last column, then the last row, go on. Always the
    /// same bytes, and the cheapest ones for either predictor.
    pub(crate) fn pad(&mut self, layout: &Layout, inside: Shape) {
        let side = layout.tile;
        if inside.rows == side && inside.cols == side {
            return;
        }
        for band in 0..layout.spec.bands {
            pad_plane(self.band_mut(layout, band), side, inside);
        }
        for (r, row) in self.mask.chunks_exact_mut(side).enumerate() {
            row[if r < inside.rows { inside.cols } else { 0 }..].fill(0);
        }
    }

    /// Appends the encoded pieces of a padded tile to `out`. Pieces that a reader would fill in the same way by
    /// itself are left out.
    pub(crate) fn encode(&self, layout: &Layout, out: &mut Vec<u8>) -> Result<Vec<u32>, RasterError> {
        let empty = Rule::<T>::of(layout).nodata.unwrap_or_default();
        let mut lens = Vec::with_capacity(layout.planes());
        for band in 0..layout.spec.bands {
            let values = self.band(layout, band);
            let sparse = all_are(values, empty);
            lens.push(if sparse { 0 } else { codec::append_tile(layout, values, out)? });
        }
        if layout.has_mask() {
            let sparse = self.mask.iter().all(|m| *m == 0);
            lens.push(if sparse { 0 } else { codec::append_mask(layout, &self.mask, out)? });
        }
        Ok(lens)
    }

    /// Makes one band of a quarter of the tile above from this one, whose level halves exactly; with band 0 also the
    /// mask. `valid` is the band's validity here, `room` is for that of the quarter.
    pub(crate) fn quarter(
        &self,
        layout: &Layout,
        band: usize,
        valid: &[u8],
        step: &Step,
        into: &mut OpenTile<T>,
        room: &mut Vec<u8>,
    ) {
        let side = layout.tile;
        let rule = Rule::<T>::of(layout);
        room.resize(side * side, 0);
        let start = step.at.row as usize * side + step.at.col as usize;
        let finer =
            Finer { values: self.band(layout, band), valid, window: step.from, stride: side, shape: step.from_shape };
        let mut coarser = Coarser {
            values: &mut into.band_mut(layout, band)[start..],
            valid: &mut room[start..],
            window: step.to,
            stride: side,
            shape: step.to_shape,
            fill: rule.fill,
            nodata: rule.nodata,
        };
        resample(layout.resampling, &finer, &mut coarser);
        if layout.has_mask() && band == 0 {
            for r in 0..step.to.rows {
                let at = start + r * side..start + r * side + step.to.cols;
                into.mask[at.clone()].copy_from_slice(&room[at]);
            }
        }
    }
}

/// One step up the pyramid: from a window of a level to one of the next.
pub(crate) struct Step {
    pub from: Window,
    pub from_shape: Shape,
    pub to: Window,
    pub to_shape: Shape,
    /// Where `to` starts inside its tile (only row and column count).
    pub at: Window,
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn differs<T: Pixel>(values: &[T], nodata: T, out: &mut [u8]) {
    values.iter().zip(out).for_each(|(v, o)| *o = u8::from(!v.is(nodata)));
}

/// Whether all values are `one`. Looked at in pieces, so that the usual tile is left at once.
fn all_are<T: Pixel>(values: &[T], one: T) -> bool {
    values.chunks(256).all(|piece| piece.iter().fold(true, |same, v| same & v.is(one)))
}

fn pad_plane<T: Pixel>(plane: &mut [T], side: usize, inside: Shape) {
    for row in plane.chunks_exact_mut(side).take(inside.rows) {
        let last = row[inside.cols - 1];
        row[inside.cols..].fill(last);
    }
    let (image, below) = plane.split_at_mut(inside.rows * side);
    let last = &image[image.len() - side..];
    below.chunks_exact_mut(side).for_each(|row| row.copy_from_slice(last));
}
