//! The pixels of a picture, from a raster: the coarsest overview that is large enough, read strip by strip and
//! averaged on the way, so that a raster without overviews needs the memory of one strip.

use super::{Planes, PreviewError, Shrink, choose_level};
use bytes::Bytes;
use mapfold::grid::{DType, Shape};
use mapfold::raster::tiff::select_bands;
use mapfold::raster::{Fetched, PixelsMut, RasterError, RasterMeta, RasterSource, Scratch, Want};
use mapfold::store::{Loc, Stores};
use std::ops::Range;

/// Values of all bands that one strip should not exceed (a row of codec tiles may).
const STRIP_VALUES: usize = 4 << 20;

/// The bands to draw, numbers from 0: those of the location's fragment (`#4,3,2`), else all when there are 1, 3 or
/// (uint8) 4, else the true colours of Sentinel-2 by their names.
///
/// # Errors
/// For a band that is not there, and for a number of bands that makes no picture.
pub fn choose_bands(meta: &RasterMeta, loc: &Loc) -> Result<Vec<usize>, PreviewError> {
    let bands = select_bands(meta, loc)?;
    let bytes = bands.iter().all(|b| meta.bands[*b].dtype == DType::U8);
    if matches!((bands.len(), bytes), (1 | 3, _) | (4, true)) {
        return Ok(bands);
    }
    let named = |name: &str| meta.bands.iter().position(|b| b.name.as_deref() == Some(name));
    match ["B04", "B03", "B02"].map(named) {
        [Some(r), Some(g), Some(b)] if loc.fragment().is_none() => Ok(vec![r, g, b]),
        _ => Err(PreviewError::Bands(bands.len())),
    }
}

/// The pixels of `bands` for a picture of about `size` pixels. A pixel is invalid where the mask says so or, without a
/// mask, where every band is nodata; and where a band is NaN. Values are scaled as the file says, except uint8. `classes`: see [`Shrink::new`].
///
/// # Errors
/// What is wrong with the file, or with the size.
pub fn read(
    stores: &Stores,
    source: &dyn RasterSource,
    bands: &[usize],
    size: usize,
    classes: bool,
) -> Result<Planes, PreviewError> {
    let meta = source.meta();
    let shapes: Vec<(usize, usize)> = meta.levels.iter().map(|l| (l.shape.rows, l.shape.cols)).collect();
    let level = choose_level(&shapes, size);
    let (shape, block) = (meta.levels[level].shape, meta.levels[level].block);
    let mut shrink = Shrink::new(shape.rows, shape.cols, bands.len(), size, classes)?;
    let rows = STRIP_VALUES / (shape.cols * bands.len()).max(1) / block.rows.max(1) * block.rows;
    let mut strip = Strip::default();
    for window in shape.window().tiles(Shape { rows: rows.max(block.rows), cols: shape.cols }) {
        strip.read(stores, source, &Want { level, bands: bands.to_vec(), window })?;
        strip.judge(meta, bands);
        let n = window.pixels();
        let slices: Vec<&[f32]> = strip.values.chunks_exact(n).collect();
        shrink.push(window.row as usize, &slices, &strip.valid)?;
    }
    Ok(shrink.finish())
}

/// Room for one strip of rows.
#[derive(Default)]
struct Strip {
    values: Vec<f32>,
    valid: Vec<u8>,
    scratch: Scratch,
}

impl Strip {
    fn read(&mut self, stores: &Stores, source: &dyn RasterSource, want: &Want) -> Result<(), PreviewError> {
        let mut ranges = Vec::new();
        source.needs(want, &mut ranges)?;
        let bytes = stores.block_on(stores.read_ranges(source.loc(), &ranges))?;
        let fetched = Pieces { loc: source.loc(), pieces: ranges.into_iter().zip(bytes).collect() };
        let n = want.window.pixels();
        self.values.resize(n * want.bands.len(), 0.0);
        self.valid.resize(n, 0);
        self.valid.fill(1);
        let mask = source.meta().has_mask.then_some(&mut self.valid[..]);
        source.decode(want, &fetched, &mut self.scratch, PixelsMut::of(&mut self.values), mask)?;
        Ok(())
    }

    /// Finds nodata, then scales.
    fn judge(&mut self, meta: &RasterMeta, bands: &[usize]) {
        let n = self.valid.len();
        let mut seen = vec![false; n];
        for (values, band) in self.values.chunks_exact_mut(n).zip(bands) {
            let band = &meta.bands[*band];
            // A mask decides alone, as in GDAL.
            let nodata = band.nodata.filter(|_| !meta.has_mask).map(|v| v as f32);
            let (scale, offset) =
                if band.dtype == DType::U8 { (1.0, 0.0) } else { (band.scale as f32, band.offset as f32) };
            for (v, seen) in values.iter_mut().zip(&mut seen) {
                *seen |= !v.is_nan() && nodata != Some(*v);
                *v = *v * scale + offset;
            }
        }
        self.valid.iter_mut().zip(seen).for_each(|(valid, seen)| *valid &= u8::from(seen));
    }
}

/// Ranges that were fetched.
struct Pieces<'a> {
    loc: &'a Loc,
    pieces: Vec<(Range<u64>, Bytes)>,
}

impl Fetched for Pieces<'_> {
    fn bytes(&self, range: Range<u64>) -> Result<Bytes, RasterError> {
        let covers = |(have, _): &&(Range<u64>, Bytes)| have.start <= range.start && range.end <= have.end;
        match self.pieces[..self.pieces.partition_point(|(have, _)| have.start <= range.start)]
            .iter()
            .rev()
            .find(covers)
        {
            Some((have, bytes)) => {
                Ok(bytes.slice((range.start - have.start) as usize..(range.end - have.start) as usize))
            }
            None => {
                Err(RasterError::Request { loc: self.loc.clone(), why: format!("bytes {range:?} were not fetched") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use mapfold::grid::GeoBox;
    use mapfold::raster::{BandMeta, Interleave};

    fn judged(has_mask: bool, values: [f32; 4]) -> Vec<u8> {
        let band = BandMeta { name: None, dtype: DType::U16, nodata: Some(0.0), scale: 0.5, offset: 1.0 };
        let meta = RasterMeta {
            format: "GeoTIFF".to_owned(),
            geobox: GeoBox::plain(Shape { rows: 1, cols: 2 }),
            bands: vec![band.clone(), band],
            levels: Vec::new(),
            interleave: Interleave::Pixel,
            has_mask,
            compression: "none".to_owned(),
            predictor: 1,
            tags: Vec::new(),
            warnings: Vec::new(),
        };
        let mut strip = Strip { values: values.to_vec(), valid: vec![1, 1], scratch: Scratch::default() };
        strip.judge(&meta, &[0, 1]);
        assert_eq!(strip.values, values.map(|v| v * 0.5 + 1.0), "scaled as the file says");
        strip.valid
    }

    #[test]
    fn a_pixel_is_missing_where_every_band_is_nodata_unless_there_is_a_mask() {
        assert_eq!(judged(false, [0.0, 0.0, 0.0, 5.0]), [0, 1]);
        assert_eq!(judged(true, [0.0, 0.0, 0.0, 5.0]), [1, 1]);
    }
}
